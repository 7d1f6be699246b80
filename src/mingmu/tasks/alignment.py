"""Alignment: a face cut out of its photo so that eyes, nose and mouth lie where the network expects them."""

from __future__ import annotations

import math

import numpy as np

from mingmu.tasks.sampling import Pixels, Points, between, sampled

SIDE = 112  # pixels that the template is made for
SAMPLES = 2  # a side, of each pixel
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


def scale_of(points: Points, side: int = SIDE) -> float:
    """How many pixels of the photo become one of the aligned face, a side."""
    matrix, _ = similarity(points, TEMPLATE * (side / SIDE))
    return 1 / math.sqrt(abs(float(np.linalg.det(matrix))))


def aligned(picture: Pixels, points: Points, side: int = SIDE) -> Pixels:
    """The face with these five landmarks, uint8 [side, side, 3], without jagged edges; black where it lies outside of the picture."""
    matrix, shift = similarity(points, TEMPLATE * (side / SIDE))
    places = (between(side, side, SAMPLES) - shift) @ np.linalg.inv(matrix).T
    return sampled(picture, places, SAMPLES, scale_of(points, side))
