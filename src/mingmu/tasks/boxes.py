"""Boxes: how much they overlap, and which of many on the same thing remain. One implementation for evaluation and serving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Real = TypeVar("Real", NDArray[np.float32], NDArray[np.float64])

CONSIDERED = 1000  # the surest, before those that overlap are left out


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Things in a picture, the surest first."""

    boxes: Floats  # [N, 4] left, top, right, bottom
    scores: Floats  # [N]
    classes: Ints  # [N]
    rows: Ints  # [N], which of the boxes that were given these are

    def __getitem__(self, which: Ints) -> Found:
        return Found(self.boxes[which], self.scores[which], self.classes[which], self.rows[which])


def found_in(boxes: Floats, scores: Floats, *, threshold: float, overlap: float, most: int) -> Found:
    """At most so many things, from boxes [A, 4] and scores [A, C]: what has the score, without what overlaps a surer one of its class."""
    rows, classes = np.nonzero(scores >= threshold)
    kept = scores[rows, classes]
    if len(kept) > CONSIDERED:
        surest = np.sort(np.argpartition(-kept, CONSIDERED)[:CONSIDERED])
        rows, classes, kept = rows[surest], classes[surest], kept[surest]
    order = np.argsort(-kept, kind="stable")
    found = Found(boxes[rows[order]], kept[order], classes[order], rows[order])
    return found[suppress(found.boxes, found.classes, overlap, most)]


def suppress(boxes: Floats, classes: Ints, overlap: float, most: int) -> Ints:
    """The first `most` rows that remain of boxes [N, 4], the surest first.

    Each leaves out the later ones of its class with which it shares more than `overlap` of their union: greedy non-maximum
    suppression, class by class (A. Neubeck, L. Van Gool, "Efficient Non-Maximum Suppression", ICPR 2006).
    """
    left = np.ones(len(boxes), bool)
    same = (overlaps(boxes, boxes) > overlap) & (classes[:, None] == classes[None])
    for row, others in enumerate(same):
        if left[row]:
            left[row + 1 :] &= ~others[row + 1 :]
    return np.flatnonzero(left)[:most]


def overlaps(first: Real, second: Real) -> Real:
    """Intersection over union of corners [N, 4] and [M, 4]: [N, M], as exact as these; 0 for boxes without an area."""
    left, top = (np.maximum.outer(first[:, side], second[:, side]) for side in (0, 1))
    right, bottom = (np.minimum.outer(first[:, side], second[:, side]) for side in (2, 3))
    both = np.maximum(right - left, 0) * np.maximum(bottom - top, 0)
    areas = [np.maximum(each[:, 2] - each[:, 0], 0) * np.maximum(each[:, 3] - each[:, 1], 0) for each in (first, second)]
    union = areas[0][:, None] + areas[1][None] - both
    shares: Real = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    return shares
