"""Alignment: a face cut out of its photo so that eyes, nose and mouth lie where the network expects them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # [N, 2], x and y
Pixels = NDArray[np.uint8]

SIDE = 112
MOST_SHRUNK = 64  # pixels a side that are averaged to one: a face of that scale is larger than any picture
TEMPLATE: Points = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
"""Where the five landmarks of a face lie in its 112x112 pixels: Deng et al., "ArcFace", CVPR 2019, and all that were trained like it."""


def similarity(points: Points, target: Points) -> tuple[Points, Points]:
    """The turning, scaling [2, 2] and shift [2] that bring points nearest to a target, by least squares, without mirroring.

    S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns", IEEE PAMI 13 (1991), equations 39-42.
    """
    middle, target_middle = points.mean(axis=0), target.mean(axis=0)
    centred, target_centred = points - middle, target - target_middle
    left, spread, right = np.linalg.svd(target_centred.T @ centred / len(points))
    sign = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right)) or 1.0])
    scale = max((spread * sign).sum() / max(float(centred.var(axis=0).sum()), 1e-12), 1e-6)  # points that are all one have none
    matrix = scale * (left * sign) @ right
    return matrix, target_middle - matrix @ middle


def scale_of(points: Points) -> float:
    """How many pixels of the photo become one of the aligned face, a side."""
    matrix, _ = similarity(points, TEMPLATE)
    return 1 / math.sqrt(abs(float(np.linalg.det(matrix))))


def aligned(picture: Pixels, points: Points) -> Pixels:
    """The face with these five landmarks, uint8 [112, 112, 3]; black where it lies outside of the picture.

    Antialiased: the picture is first shrunk by a whole number, then each pixel is the mean of four samples between its pixels.
    """
    matrix, shift = similarity(points, TEMPLATE)
    back = np.linalg.inv(matrix)
    quarters = (np.arange(2 * SIDE) - 0.5) / 2  # two samples a pixel
    x, y = np.meshgrid(quarters, quarters)
    places = (np.stack([x, y], axis=-1) - shift) @ back.T
    shrunk, places = _shrunk(picture, places, min(max(1, math.floor(scale_of(points))), MOST_SHRUNK))
    samples = _sampled(shrunk, places)
    pixels: Pixels = np.rint(samples.reshape(SIDE, 2, SIDE, 2, 3).mean(axis=(1, 3))).astype(np.uint8)
    return pixels


def _shrunk(picture: Pixels, places: Points, by: int) -> tuple[NDArray[np.float32], Points]:
    """The part of a picture that places lie in, each `by` x `by` pixels averaged to one, with a black rim where it ends; the places in it.

    However far away places lie, it takes no more memory than the picture.
    """
    size = np.array(picture.shape[1::-1])
    ends = -(-size // by)
    start = np.clip(np.floor(places.min(axis=(0, 1)) / by) - 1, -1, ends - 1).astype(int)
    stop = np.clip(np.ceil(places.max(axis=(0, 1)) / by) + 2, start + 2, ends + 1).astype(int)
    across, down = (stop - start).tolist()
    part = np.zeros((down * by, across * by, 3), np.uint8)
    left, top = np.maximum(start * by, 0)
    right, bottom = np.minimum(stop * by, size)
    x, y = (left, top) - start * by
    part[y : y + bottom - top, x : x + right - left] = picture[top:bottom, left:right]
    mean = part.reshape(down, by, across, by, 3).mean(axis=(1, 3), dtype=np.float32)
    return mean, (places + 0.5) / by - 0.5 - start


def _sampled(picture: NDArray[np.float32], places: Points) -> NDArray[np.float32]:
    """The picture between its pixels, bilinear: float32 [..., 3] at places [..., 2]; its rim where they lie outside."""
    height, width = picture.shape[:2]
    places = np.clip(places, 0, (width - 1, height - 1))
    whole = np.clip(np.floor(places), 0, (width - 2, height - 2)).astype(int)
    x, y = whole[..., 0], whole[..., 1]
    right, down = np.moveaxis((places - whole).astype(np.float32), -1, 0)[..., None]
    upper = picture[y, x] * (1 - right) + picture[y, x + 1] * right
    lower = picture[y + 1, x] * (1 - right) + picture[y + 1, x + 1] * right
    between: NDArray[np.float32] = upper * (1 - down) + lower * down
    return between
