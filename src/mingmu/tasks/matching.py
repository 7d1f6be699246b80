"""Which boxes are right: those said are matched with those that are there, as COCO does it. Shared by evaluation and training.

The rules are those of COCO's evaluation (T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, and its code).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mingmu.tasks.boxes import Found, Ints, overlaps

Bools = NDArray[np.bool_]
Doubles = NDArray[np.float64]
Area = Literal["all", "small", "medium", "large"]

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # shares of the union, from which on a box is right
RECALLS = np.linspace(0, 1, 101)
SIDES: dict[Area, tuple[float, float]] = {"all": (0, 1e5), "small": (0, 32), "medium": (32, 96), "large": (96, 1e5)}  # of a square as large


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is in a picture."""

    boxes: Doubles  # [G, 4] left, top, right, bottom
    classes: Ints  # [G]


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """All boxes of one class that were said of some pictures, the surest first; and how many there are."""

    scores: Doubles  # [D]
    pictures: Ints  # [D], 0..N-1
    right: Bools  # [T, D], at each of the thresholds
    counted: Bools  # [T, D]: False for what neither counts as right nor as wrong, as its size is not asked about
    there: Ints  # [N]: boxes of the class in each picture

    def curve(self, at: int = 0, weights: Doubles | None = None) -> tuple[Doubles, Doubles]:
        """Recall and precision [D] after each box, the surest first, at the threshold of this number; picture n counts weights[n] times."""
        weight = np.ones(len(self.there)) if weights is None else weights
        each = weight[self.pictures] * self.counted[at]
        hits, said = np.cumsum(each * self.right[at]), np.cumsum(each)
        return hits / (self.there @ weight), hits / np.maximum(said, np.spacing(1.0))

    def average_precision(self, at: int = 0, weights: Doubles | None = None) -> float:
        """Precision, never lower than at a higher recall, in the mean over 101 recalls; NaN where there is nothing to be found."""
        if not self._anything(weights):
            return float("nan")
        recall, best = self._best(at, weights)
        return float(np.append(best, 0.0)[np.searchsorted(recall, RECALLS)].mean())

    def area(self, at: int = 0, weights: Doubles | None = None) -> float:
        """The same over all recalls: the mean over 101 of them moves in steps, of a hundredth where all that is said is right."""
        if not self._anything(weights):
            return float("nan")
        recall, best = self._best(at, weights)
        return float(np.diff(recall, prepend=0.0) @ best)

    def _anything(self, weights: Doubles | None) -> bool:
        return bool(self.there.sum() if weights is None else self.there @ weights)

    def _best(self, at: int, weights: Doubles | None) -> tuple[Doubles, Doubles]:
        """Recall [D], and the best precision with that recall or more."""
        recall, precision = self.curve(at, weights)
        return recall, np.maximum.accumulate(precision[::-1])[::-1]


def rankings(said: Sequence[Found], there: Sequence[Truth], classes: int, area: Area = "all") -> list[Ranking]:
    """A ranking for each class, of what was said of N pictures beside what is there."""
    return [_ranking(said, there, kind, area) for kind in range(classes)]


def mean_average_precision(found: Sequence[Ranking], at: Sequence[int] = range(len(THRESHOLDS)), weights: Doubles | None = None) -> float:
    """The mean over the classes that are there at all, and over thresholds by their numbers: COCO's mAP; at (0,) its AP50. NaN for none."""
    each = np.array([[ranking.average_precision(t, weights) for t in at] for ranking in found])
    each = each[~np.isnan(each[:, 0])]
    return float(each.mean()) if len(each) else float("nan")


def _ranking(said: Sequence[Found], there: Sequence[Truth], kind: int, area: Area) -> Ranking:
    scores, pictures, right, counted, count = [], [], [], [], np.zeros(len(there), np.int64)
    for number, (found, truth) in enumerate(zip(said, there, strict=True)):
        ours, theirs = found[np.flatnonzero(found.classes == kind)], truth.boxes[truth.classes == kind].astype(np.float64)
        asked = _within(theirs, area)
        count[number] = asked.sum()
        if len(ours.scores):
            hits, aside = _matched(ours.boxes.astype(np.float64), theirs, asked)
            scores.append(ours.scores.astype(np.float64))
            pictures.append(np.full(len(ours.scores), number))
            right.append(hits)
            counted.append(~aside & (hits | _within(ours.boxes.astype(np.float64), area)))
    if not scores:
        none = np.zeros((len(THRESHOLDS), 0), bool)
        return Ranking(np.zeros(0), np.zeros(0, np.int64), none, none, count)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    together = np.concatenate(right, axis=1)[:, order], np.concatenate(counted, axis=1)[:, order]
    return Ranking(np.concatenate(scores)[order], np.concatenate(pictures)[order], *together, count)


def _within(boxes: Doubles, area: Area) -> Bools:
    """Which boxes have a size, both ends of it included."""
    low, high = (side**2 for side in SIDES[area])
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return np.asarray((areas >= low) & (areas <= high))


def _matched(ours: Doubles, theirs: Doubles, asked: Bools) -> tuple[Bools, Bools]:
    """Which of the boxes said, the surest first, have one that is asked about, and which one that is not: bool [T, D] each.

    Each takes the one that it shares most with and that no surer one has; those asked about go first.
    """
    shared = overlaps(ours, theirs)
    right, aside = (np.zeros((len(THRESHOLDS), len(ours)), bool) for _ in range(2))
    for row, least in enumerate(THRESHOLDS):
        free = np.ones(len(theirs), bool)
        for at, shares in enumerate(shared):
            for wanted, taken in ((asked, right), (~asked, aside)):
                open_to = np.flatnonzero(free & wanted & (shares >= min(least, 1 - 1e-10)))
                if len(open_to):
                    best = open_to[::-1][shares[open_to[::-1]].argmax()]  # of equals COCO takes the last
                    free[best], taken[row, at] = False, True
                    break
    return right, aside
