"""Photographs drawn number plates: somewhere in a picture, turned, lit as what is around them, then blurred, noisy, and as a JPEG."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mingmu.tasks.rectification import homography

Floats = NDArray[np.float64]

FAR = 6.0  # how many of a plate's widths a camera is away


def turned(size: tuple[int, int], width: float, rng: np.random.Generator, most: float = 1.0) -> Floats:
    """The corners [4, 2] of a plate of a size that is so wide in a photo and turned at random, around its middle; `most`: how far."""
    yaw, pitch, roll = (math.radians(float(rng.normal(0, sigma))) * most for sigma in (18, 10, 4))
    half = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * np.array([0.5, 0.5 * size[1] / size[0]])
    x, y = half.T
    x, y, z = x * math.cos(yaw), y * math.cos(pitch), x * math.sin(yaw) + y * math.sin(pitch)
    y = y + x * math.sin(yaw) * 0.3 * float(rng.normal(0, 1)) * most  # seen from the side and from above, edges are not upright
    x, y = x * math.cos(roll) - y * math.sin(roll), x * math.sin(roll) + y * math.cos(roll)
    corners: Floats = np.stack([x, y], axis=1) * (FAR / (FAR + z))[:, None]
    return corners * width / np.ptp(corners[:, 0])


def pasted(photo: Image.Image, plate: Image.Image, corners: Floats, rng: np.random.Generator, light: float | None = None) -> Image.Image:
    """A photo with a plate between corners [4, 2], in a light of 0 to 1 or any."""
    sharp = max(1, int(plate.width / max(8.0, 2 * float(np.ptp(corners[:, 0])))))
    small = plate.reduce(sharp) if sharp > 1 else plate
    wide, high = small.size
    to_plate = homography(corners, np.array([(0, 0), (wide, 0), (wide, high), (0, high)], np.float64))
    levels = np.asarray(small, np.float32)
    level = float(rng.uniform(0.35, 1.1)) if light is None else light
    (west, east), (north, south) = rng.uniform(0.8, 1.15, 2).tolist(), rng.uniform(0.85, 1.1, 2).tolist()
    lit = levels * level * np.linspace(west, east, wide)[None, :, None] * np.linspace(north, south, high)[:, None, None]
    if rng.random() < 0.15:  # a shadow, or a reflection
        edge, slope = rng.uniform(0, wide), rng.uniform(-2, 2)
        over = np.arange(wide)[None] > edge + slope * np.arange(high)[:, None]
        lit = np.where(over[..., None], lit * rng.uniform(0.45, 1.5), lit)
    if rng.random() < 0.35:  # the colour of the light
        lit = lit * rng.uniform(0.75, 1.0, 3)
    lit = lit + rng.uniform(0, 25)
    coefficients = to_plate.ravel()[:8].tolist()
    mask = Image.new("L", small.size, 255).transform(photo.size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR)
    seen = Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8)).transform(
        photo.size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR
    )
    return Image.composite(seen, photo, mask)


def taken(photo: Image.Image, rng: np.random.Generator, blur: float) -> Image.Image:
    """As a camera sees it: out of focus or moved by up to `blur` pixels, noisy, sometimes grey."""
    if rng.random() < 0.6:
        photo = photo.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, blur))))
    if rng.random() < 0.15:
        photo = photo.filter(ImageFilter.BoxBlur((float(rng.uniform(0, 1.5 * blur)), 0)))
    levels = np.asarray(photo, np.float32)
    levels = (levels - 128) * rng.uniform(0.6, 1.15) + 128 + rng.uniform(-30, 25)
    levels = levels + rng.normal(0, rng.uniform(0, 9), (photo.height, photo.width, 1)).astype(np.float32)
    if rng.random() < 0.1:
        levels = levels.mean(axis=2, keepdims=True).repeat(3, axis=2)
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


def jpeg(photo: Image.Image, rng: np.random.Generator) -> bytes:
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=int(rng.integers(45, 95)))
    return file.getvalue()
