"""Which pictures are most alike to a backbone: for each the nearest others, by the cosine of their features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NEAREST = 16  # for each picture; what it was cut out of is nearly always among them
_AT_ONCE = 2**23  # cosines: 32 MB, and 64 MB for their order


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The K nearest others of each of N pictures, the nearest first. What has no features is nobody's neighbour."""

    places: NDArray[np.int64]  # [N, K]
    cosines: Floats  # [N, K]; -1 where there is none


def neighbours(features: Floats, count: int = NEAREST) -> Neighbours:
    """The nearest others by features [N, F], of which rows may not be numbers. Memory grows with N, not with N squared."""
    lengths = np.linalg.norm(features, axis=1)
    usable = np.isfinite(lengths) & (lengths > 0)
    count = max(0, min(count, len(features) - 1))
    places, cosines = np.zeros((len(features), count), np.int64), np.full((len(features), count), -1, np.float32)
    rows = max(1, _AT_ONCE // max(1, len(features)))
    scale = np.where(usable, lengths, 1)
    for start in range(0, len(features) if count else 0, rows):
        some = slice(start, start + rows)
        with np.errstate(invalid="ignore"):
            alike = (features[some] / scale[some, None]) @ features.T / scale
        alike[:, ~usable] = -1
        alike[~usable[some]] = -1
        np.fill_diagonal(alike[:, some], -1)  # itself
        nearest = np.argpartition(alike, -count, axis=1)[:, -count:]
        order = np.argsort(-np.take_along_axis(alike, nearest, 1), axis=1, kind="stable")
        places[some] = np.take_along_axis(nearest, order, 1)
        cosines[some] = np.take_along_axis(alike, places[some], 1)
    return Neighbours(places, cosines)
