"""Draws where a picture speaks for a class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STOPS = np.array([[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], dtype=np.float32)  # viridis
OPACITY = 0.65


def overlay(pixels: NDArray[np.uint8], activation: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay an activation map [h, w] over a picture uint8 [H, W, 3]: yellow speaks most for the class.

    Only evidence for the class is drawn (negative values count as none); the opacity grows with the evidence.
    """
    height, width, _ = pixels.shape
    evidence = stretch(np.maximum(activation, 0), height, width)
    evidence /= max(float(evidence.max()), 1e-12)
    colour = np.stack([np.interp(evidence, np.linspace(0, 1, len(STOPS)), channel) for channel in STOPS.T], axis=2)
    alpha = (evidence * OPACITY)[..., None]
    return np.asarray(np.rint(pixels * (1 - alpha) + colour * alpha), dtype=np.uint8)


def stretch(values: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Enlarge a map [h, w] to [height, width] bilinearly, cell centres aligned."""
    rows = np.interp((np.arange(height) + 0.5) * values.shape[0] / height - 0.5, np.arange(values.shape[0]), np.arange(values.shape[0]))
    columns = np.interp((np.arange(width) + 0.5) * values.shape[1] / width - 0.5, np.arange(values.shape[1]), np.arange(values.shape[1]))
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    bottom, right = np.minimum(top + 1, values.shape[0] - 1), np.minimum(left + 1, values.shape[1] - 1)
    down, across = (rows - top)[:, None], (columns - left)[None, :]
    upper = values[np.ix_(top, left)] * (1 - across) + values[np.ix_(top, right)] * across
    lower = values[np.ix_(bottom, left)] * (1 - across) + values[np.ix_(bottom, right)] * across
    return np.asarray(upper * (1 - down) + lower * down, dtype=np.float32)
