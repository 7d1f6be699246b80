"""Boxes: how much they overlap, and which of many on the same thing remain. One implementation for evaluation and serving."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

CONSIDERED = 2000  # the surest, before those that overlap are left out


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Things in a picture, the surest first."""

    boxes: Floats  # [N, 4] left, top, right, bottom
    scores: Floats  # [N]
    classes: Ints  # [N]

    def __getitem__(self, which: NDArray[np.bool_] | Ints | slice) -> Found:
        return Found(self.boxes[which], self.scores[which], self.classes[which])

    def moved(self, boxes: Floats) -> Found:
        return replace(self, boxes=boxes)


def found_in(boxes: Floats, scores: Floats, *, threshold: float, overlap: float) -> Found:
    """Things, from boxes [A, 4] and scores [A, C]: what has the score, without what overlaps a surer one of its class."""
    rows, classes = np.nonzero(scores >= threshold)
    kept = scores[rows, classes]
    order = np.argsort(-kept, kind="stable")[:CONSIDERED]
    found = Found(boxes[rows[order]], kept[order], classes[order])
    return found[suppress(found.boxes, found.classes, overlap)]


def suppress(boxes: Floats, classes: Ints, overlap: float) -> Ints:
    """Rows that remain of boxes [N, 4] with the surest first: each leaves out the later ones of its class that it overlaps by more.

    Greedy non-maximum suppression, class by class (A. Neubeck, L. Van Gool, "Efficient Non-Maximum Suppression", ICPR 2006).
    """
    left, remain = np.arange(len(boxes)), []
    while len(left):
        row, rest = left[0], left[1:]
        remain.append(row)
        shared = overlaps(boxes[row : row + 1], boxes[rest])[0]
        left = rest[(shared <= overlap) | (classes[rest] != classes[row])]
    return np.array(remain, np.int64)


def overlaps(first: Floats, second: Floats) -> Floats:
    """Intersection over union of corners [N, 4] and [M, 4]: float32 [N, M], 0 for boxes without an area."""
    upper = np.maximum(first[:, None, :2], second[None, :, :2])
    lower = np.minimum(first[:, None, 2:], second[None, :, 2:])
    both = np.prod(np.maximum(lower - upper, 0), axis=2)
    areas = [np.prod(np.maximum(each[:, 2:] - each[:, :2], 0), axis=1) for each in (first, second)]
    union = areas[0][:, None] + areas[1][None] - both
    shares: Floats = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    return shares
