"""Pictures looked at along other lines than their rows: sampled between their pixels, without jagged edges."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # [..., 2], x and y, in pixels whose middles are at whole numbers
Pixels = NDArray[np.uint8]

MOST_SHRUNK = 64  # pixels a side that are averaged to one


def between(width: int, height: int, samples: int) -> Points:
    """So many places a side of each pixel of a picture to be, [height * samples, width * samples, 2]."""
    x, y = ((np.arange(side * samples) + 0.5) / samples - 0.5 for side in (width, height))
    return np.stack(np.meshgrid(x, y), axis=-1)


def sampled(picture: Pixels, places: Points, samples: int, scale: float) -> Pixels:
    """A picture uint8 [H, W, 3] as it is at places [h * samples, w * samples, 2]: uint8 [h, w, 3], black outside of it.

    `scale` says how many of its pixels become one, a side. It is shrunk by a whole number first, then `samples` x `samples` places
    are averaged.
    """
    shrunk, places = _shrunk(picture, places, min(max(1, math.floor(scale)), MOST_SHRUNK))
    found = _interpolated(shrunk, places)
    height, width = (side // samples for side in found.shape[:2])
    pixels: Pixels = np.rint(found.reshape(height, samples, width, samples, 3).mean(axis=(1, 3))).astype(np.uint8)
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


def _interpolated(picture: NDArray[np.float32], places: Points) -> NDArray[np.float32]:
    """The picture between its pixels, bilinear: float32 [..., 3] at places [..., 2]; its rim where they lie outside."""
    height, width = picture.shape[:2]
    places = np.clip(places, 0, (width - 1, height - 1))
    whole = np.clip(np.floor(places), 0, (width - 2, height - 2)).astype(int)
    x, y = whole[..., 0], whole[..., 1]
    right, down = np.moveaxis((places - whole).astype(np.float32), -1, 0)[..., None]
    upper = picture[y, x] * (1 - right) + picture[y, x + 1] * right
    lower = picture[y + 1, x] * (1 - right) + picture[y + 1, x + 1] * right
    found: NDArray[np.float32] = upper * (1 - down) + lower * down
    return found
