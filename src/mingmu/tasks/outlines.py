"""Outlines: where in its box a plate lies that the camera saw turned, or from beside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mingmu.core.pixels import Pixels
from mingmu.tasks.rectification import Corners, rectified

SLOPES = np.tan(np.radians(np.arange(-30, 31, 2)))  # of a plate's lines that are told apart
LEVEL = np.tan(np.radians(5))  # a plate of less slope is read as well in its box
LONGEST = 4.0  # times as wide as high: what is cut out of a box is no flatter
ROWS = 32  # that a box is looked at in


def outline(picture: Pixels, box: NDArray[np.float64]) -> Corners:
    """The corners of a plate whose box [4] a detector found: those of the box, unless the plate's lines run up or down in it."""
    left, top, right, bottom = box
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    slope = _slope(rectified(picture, corners, ROWS).mean(axis=2))
    if abs(slope) < LEVEL:
        return corners
    width, middle = right - left, (top + bottom) / 2
    height = max(bottom - top - abs(slope) * width, width / LONGEST)
    rise = slope * width
    sides = middle + np.array([-rise - height, rise - height, rise + height, -rise + height]) / 2
    return np.stack([corners[:, 0], sides], axis=1)


def _slope(picture: NDArray[np.float64]) -> float:
    """The slope, of SLOPES, of lines along which the upper and lower edges of text and rim lie: there, differences between rows add up.

    W. Postl, "Detection of linear oblique structures and skew scan in digitized documents", ICPR 1986.
    """
    steps = np.diff(picture, axis=0)
    y, x = np.indices(steps.shape)
    x = x - (steps.shape[1] - 1) / 2

    def sharpness(slope: float) -> float:
        lines = np.rint(y - slope * x).astype(int)
        lines -= lines.min()
        sums, counts = np.bincount(lines.ravel(), steps.ravel()), np.bincount(lines.ravel())
        return float((sums**2 / np.maximum(counts, 1)).sum())

    return float(max(SLOPES, key=sharpness))
