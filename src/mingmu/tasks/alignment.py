"""Alignment: a face cut out of its photo so that eyes, nose and mouth lie where the network expects them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # [N, 2], x and y
Pixels = NDArray[np.uint8]

SIDE = 112
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
    scale = (spread * sign).sum() / max(float(centred.var(axis=0).sum()), 1e-12)
    matrix = scale * (left * sign) @ right
    return matrix, target_middle - matrix @ middle


def scale_of(points: Points) -> float:
    """How many pixels of the photo become one of the aligned face, a side."""
    matrix, _ = similarity(points, TEMPLATE)
    return 1 / max(math.sqrt(abs(float(np.linalg.det(matrix)))), 1e-6)


def aligned(picture: Pixels, points: Points) -> Pixels:
    """The face with these five landmarks, uint8 [112, 112, 3]; black where it lies outside of the picture.

    Antialiased: the picture is first shrunk by a whole number, then each pixel is the mean of four samples between its pixels.
    """
    matrix, shift = similarity(points, TEMPLATE)
    back = np.linalg.inv(matrix)
    quarters = (np.arange(2 * SIDE) - 0.5) / 2  # two samples a pixel
    x, y = np.meshgrid(quarters, quarters)
    places = (np.stack([x, y], axis=-1) - shift) @ back.T
    shrunk, places = _shrunk(picture, places, max(1, math.floor(scale_of(points))))
    samples = _sampled(shrunk, places)
    pixels: Pixels = np.rint(samples.reshape(SIDE, 2, SIDE, 2, 3).mean(axis=(1, 3))).astype(np.uint8)
    return pixels


def _shrunk(picture: Pixels, places: Points, by: int) -> tuple[NDArray[np.float32], Points]:
    """The part of a picture that places lie in, with a black rim, each `by` x `by` pixels averaged to one; and the places in it."""
    height, width = picture.shape[:2]
    start = np.floor(places.min(axis=(0, 1))).astype(int) - by
    stop = np.ceil(places.max(axis=(0, 1))).astype(int) + 2 * by
    across, down = (-(-(stop - start) // by)).tolist()
    part = np.zeros((down * by, across * by, 3), np.float32)
    left, top = np.maximum(start, 0)
    right, bottom = np.minimum(start + np.array([across * by, down * by]), (width, height))
    if right > left and bottom > top:
        part[top - start[1] : bottom - start[1], left - start[0] : right - start[0]] = picture[top:bottom, left:right]
    mean = part.reshape(down, by, across, by, 3).mean(axis=(1, 3))
    return mean, (places - start - (by - 1) / 2) / by


def _sampled(picture: NDArray[np.float32], places: Points) -> NDArray[np.float32]:
    """The picture between its pixels, bilinear: float32 [..., 3] at places [..., 2]."""
    height, width = picture.shape[:2]
    whole = np.clip(np.floor(places), 0, (width - 2, height - 2)).astype(int)
    x, y = whole[..., 0], whole[..., 1]
    right, down = np.moveaxis((places - whole).astype(np.float32), -1, 0)[..., None]
    upper = picture[y, x] * (1 - right) + picture[y, x + 1] * right
    lower = picture[y + 1, x] * (1 - right) + picture[y + 1, x + 1] * right
    between: NDArray[np.float32] = upper * (1 - down) + lower * down
    return between
