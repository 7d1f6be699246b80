"""Rectification: what lies in a picture between four corners, as if it were looked at from the front."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mingmu.tasks.sampling import Pixels, between, sampled

Corners = NDArray[np.float64]  # [4, 2], x and y, from the left upper one of the text clockwise; edges of pixels are at whole numbers

NEAREST = 1e-6  # to the horizon: corners that no rectangle has can reach beyond it
MOST = (2048, 256)  # pixels, width and height, of what is cut out


def size_of(corners: Corners) -> tuple[float, float]:
    """Width and height in pixels of the picture: of opposite edges the longer."""
    edges = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    return float(max(edges[0], edges[2])), float(max(edges[1], edges[3]))


def rectified(picture: Pixels, corners: Corners, height: int | None = None) -> Pixels:
    """The text between corners, uint8 [h, w, 3], in its own size, or `height` pixels high; black where it lies outside of the picture."""
    corners = np.nan_to_num(corners, posinf=0.0, neginf=0.0)
    across, down = size_of(corners)
    tall = min(MOST[1], height or max(1, round(down)))
    wide = int(min(MOST[0], max(1, round(across * tall / max(down, 1)))))
    scale = max(across / wide, down / tall)
    samples = 2 if scale > 1 else 1
    matrix = homography(np.array([(0, 0), (wide, 0), (wide, tall), (0, tall)], np.float64), corners)
    grid = between(wide, tall, samples) + 0.5
    places = np.concatenate([grid, np.ones_like(grid[..., :1])], axis=-1) @ matrix.T
    depth = np.where(abs(places[..., 2:]) < NEAREST, NEAREST, places[..., 2:])
    return sampled(picture, places[..., :2] / depth - 0.5, samples, scale)


def homography(points: Corners, target: Corners) -> NDArray[np.float64]:
    """The projective map [3, 3] that takes four points to four others.

    R. Hartley, A. Zisserman, "Multiple View Geometry in Computer Vision", 2nd edition, section 4.1, with the last element 1. Of four
    points of which three are on a line, what is nearest by least squares.
    """
    (x, y), (u, v) = points.T, target.T
    zero, one = np.zeros(4), np.ones(4)
    rows = np.concatenate(
        [
            np.stack([x, y, one, zero, zero, zero, -u * x, -u * y], axis=1),
            np.stack([zero, zero, zero, x, y, one, -v * x, -v * y], axis=1),
        ]
    )
    found = np.linalg.lstsq(rows, np.concatenate([u, v]), rcond=None)[0]
    return np.append(found, 1.0).reshape(3, 3)
