"""How good a detector is: every figure with its interval, and the name of the method that gave it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mingmu.evaluate.intervals import Estimate, Weights, bootstrap, effective_share, f1, proportion
from mingmu.evaluate.measure import LeftOut
from mingmu.evaluate.sightings import Sightings
from mingmu.tasks.boxes import overlaps
from mingmu.tasks.matching import THRESHOLDS, Area, Ranking, mean_average_precision, rankings

AP50, AP75 = 0, 5  # by their numbers among the thresholds
REPLICATES = 200  # each goes through all that was said, at ten thresholds
POINTS = 60  # of a curve
WORST = 12  # photos


@dataclass(frozen=True, slots=True)
class BoxClass:
    """One label: of its boxes, how many were found (recall); of those said, how many were right (precision)."""

    label: str
    there: int  # boxes
    said: int  # with the usual threshold
    precision: Estimate | None  # None: never said
    recall: Estimate | None  # None: it is nowhere
    f1: Estimate | None  # None: neither
    average_precision: float | None  # the mean over thresholds .5 to .95
    ap50: float | None
    curve: tuple[tuple[float, float, float], ...]  # recall, precision, and the score from which on they hold


@dataclass(frozen=True, slots=True)
class BoxSize:
    """Things of one size, as COCO has them: small below 32x32 pixels of the photo, large from 96x96 on."""

    size: Area
    there: int
    average_precision: float | None
    found: float | None  # the share, with the usual threshold


@dataclass(frozen=True, slots=True)
class Drawn:
    """A box on a photo, in its pixels: one that is right, one that was missed, one of nothing, or one of another label."""

    kind: Literal["right", "missed", "invented", "confused"]
    label: str  # said, or missed
    score: float | None  # None: missed
    truth: str | None  # the label that is there
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Miss:
    """A photo on which much is wrong."""

    name: str
    image: str  # SHA-256
    size: tuple[int, int]
    boxes: tuple[Drawn, ...]

    def count(self, kind: str) -> int:
        return sum(box.kind == kind for box in self.boxes)


@dataclass(frozen=True, slots=True)
class BoxMeasures:
    """Everything that was measured on the boxes of N photos."""

    source: str  # what kind of photos
    examples: int
    groups: int  # fewer than examples where some belong together
    boxes: int
    left_out: LeftOut
    threshold: float  # the usual one, for all that is not an average precision
    mean_average_precision: Estimate  # over thresholds .5 to .95, as COCO's
    ap50: Estimate
    ap75: Estimate
    precision: Estimate | None  # of all boxes said; None: none was
    recall: Estimate
    classes: tuple[BoxClass, ...]  # in the recognizer's order
    sizes: tuple[BoxSize, ...]
    confusion: tuple[tuple[int, int, int], ...]  # (true label, said label, count), as places in `classes`; one past the last: nothing
    misses: tuple[Miss, ...]  # the worst first
    task: Literal["detect"] = "detect"

    def occurring(self) -> list[BoxClass]:
        """The labels that are there or were said, the lowest average precision first."""
        shown = [found for found in self.classes if found.there or found.said]
        return sorted(shown, key=lambda found: math.inf if found.average_precision is None else found.average_precision)


def measure_boxes(sightings: Sightings, *, seed: int = 0) -> BoxMeasures:
    """Measure what a detector said. Boxes are right that share half of their union with one of their label that no surer box has."""
    together, ranked = sightings.groups, rankings(sightings.said, sightings.there, len(sightings.labels))
    groups = together if together.max() else np.arange(len(sightings))  # of one group alone no spread could be seen
    photos = [_compared(sightings, row) for row in range(len(sightings))]
    judged = [_judged(ranking, sightings.spec.threshold, groups) for ranking in ranked]
    whole = _Judged.of_all(judged)
    return BoxMeasures(
        source=sightings.source,
        examples=len(sightings),
        groups=int(together.max()) + 1,
        boxes=sum(len(truth.classes) for truth in sightings.there),
        left_out=LeftOut(sightings.failures, sightings.unknown, 0, sightings.unboxed, sightings.learned),
        threshold=sightings.spec.threshold,
        mean_average_precision=_estimate(ranked, range(len(THRESHOLDS)), groups, seed),
        ap50=_estimate(ranked, (AP50,), groups, seed),
        ap75=_estimate(ranked, (AP75,), groups, seed),
        precision=_share(whole.said, whole.said_groups),
        recall=_share(whole.found, whole.found_groups) or Estimate(0, 0, 1, "nothing is there"),
        classes=tuple(map(_class, sightings.labels, ranked, judged)),
        sizes=tuple(_size(sightings, area) for area in get_args(Area)[1:]),
        confusion=_confusion(photos, sightings),
        misses=_misses(photos),
    )


def _estimate(ranked: list[Ranking], at: range | tuple[int, ...], groups: NDArray[np.int64], seed: int) -> Estimate:
    statistic: Callable[[Weights], float] = lambda weights: np.nan_to_num(mean_average_precision(ranked, at, weights))  # noqa: E731
    return bootstrap(statistic, groups, seed=seed, replicates=REPLICATES)


@dataclass(frozen=True, eq=False)
class _Judged:
    """Which boxes said are right, and which that are there were found; each with the group of its photo."""

    said: NDArray[np.bool_]
    said_groups: NDArray[np.int64]
    found: NDArray[np.bool_]
    found_groups: NDArray[np.int64]

    @classmethod
    def of_all(cls, each: list[_Judged]) -> _Judged:
        names = ("said", "said_groups", "found", "found_groups")
        return cls(*(np.concatenate([getattr(one, name) for one in each]) for name in names))


def _judged(ranking: Ranking, threshold: float, groups: NDArray[np.int64]) -> _Judged:
    sure = ranking.counted[AP50] & (ranking.scores >= threshold)
    right, pictures = ranking.right[AP50][sure], ranking.pictures[sure]
    hits = np.bincount(pictures[right], minlength=len(groups))
    found = np.concatenate([np.ones(hits.sum(), bool), np.zeros((ranking.there - hits).sum(), bool)])
    return _Judged(right, groups[pictures], found, np.concatenate([np.repeat(groups, hits), np.repeat(groups, ranking.there - hits)]))


def _share(right: NDArray[np.bool_], groups: NDArray[np.int64]) -> Estimate | None:
    if not len(right):
        return None
    return proportion(float(right.sum()), len(right), effective=effective_share(right, np.unique(groups, return_inverse=True)[1]))


def _class(label: str, ranking: Ranking, judged: _Judged) -> BoxClass:
    hits, said, there = int(judged.said.sum()), len(judged.said), len(judged.found)
    precision, recall = _share(judged.said, judged.said_groups), _share(judged.found, judged.found_groups)
    together = np.concatenate([judged.said, judged.found])
    groups = np.unique(np.concatenate([judged.said_groups, judged.found_groups]), return_inverse=True)[1]
    each = [ranking.average_precision(at) for at in range(len(THRESHOLDS))] if there else []
    return BoxClass(
        label=label,
        there=there,
        said=said,
        precision=precision,
        recall=recall,
        f1=f1(hits, said - hits, there - hits, effective=effective_share(together, groups)) if said or there else None,
        average_precision=float(np.mean(each)) if each else None,
        ap50=each[AP50] if each else None,
        curve=_curve(ranking) if there else (),
    )


def _curve(ranking: Ranking) -> tuple[tuple[float, float, float], ...]:
    """Recall and precision for falling scores, at some points along the recall."""
    recall, precision = ranking.curve(AP50)
    if not len(recall):
        return ()
    steps = np.unique(np.searchsorted(recall, np.linspace(0, recall[-1], POINTS)).clip(max=len(recall) - 1))
    return tuple((float(recall[at]), float(precision[at]), float(ranking.scores[at])) for at in steps)


def _size(sightings: Sightings, area: Area) -> BoxSize:
    ranked = rankings(sightings.said, sightings.there, len(sightings.labels), area)
    there = sum(int(ranking.there.sum()) for ranking in ranked)
    hits = sum(int((each.right[AP50] & each.counted[AP50] & (each.scores >= sightings.spec.threshold)).sum()) for each in ranked)
    return BoxSize(area, there, mean_average_precision(ranked) if there else None, hits / there if there else None)


def _compared(sightings: Sightings, row: int) -> Miss:
    """What was said of one photo with the usual threshold, beside what is there: first label by label, then what is left."""
    said, there, labels = sightings.said[row], sightings.there[row], sightings.labels
    sure = said[np.flatnonzero(said.scores >= sightings.spec.threshold)]
    shared = overlaps(sure.boxes.astype(np.float64), there.boxes)
    alike = sure.classes[:, None] == there.classes[None]
    owner = np.full(len(sure.scores), -1)
    for allowed in (alike, ~alike):
        for at in np.flatnonzero(owner < 0).tolist():
            free = np.flatnonzero(allowed[at] & (shared[at] >= THRESHOLDS[AP50]) & ~np.isin(np.arange(len(there.classes)), owner))
            owner[at] = free[shared[at][free].argmax()] if len(free) else -1
    boxes = []
    for at, found in enumerate(owner.tolist()):
        said_label, truth = labels[sure.classes[at]], labels[there.classes[found]] if found >= 0 else None
        kind: Literal["right", "invented", "confused"] = "invented" if truth is None else "right" if truth == said_label else "confused"
        boxes.append(Drawn(kind, said_label, float(sure.scores[at]), truth, *_sides(sure.boxes[at])))
    for missed in np.flatnonzero(~np.isin(np.arange(len(there.classes)), owner)):
        label = labels[there.classes[missed]]
        boxes.append(Drawn("missed", label, None, label, *_sides(there.boxes[missed])))
    example = sightings.examples[row]
    return Miss(example.name, example.image, sightings.sizes[row], tuple(boxes))


def _sides(box: NDArray[np.floating]) -> tuple[float, float, float, float]:
    left, top, right, bottom = np.round(box.astype(np.float64), 1).tolist()
    return left, top, round(right - left, 1), round(bottom - top, 1)


def _confusion(photos: list[Miss], sightings: Sightings) -> tuple[tuple[int, int, int], ...]:
    place = {label: at for at, label in enumerate(sightings.labels)}
    nothing = len(place)
    counts: dict[tuple[int, int], int] = {}
    for box in (box for photo in photos for box in photo.boxes):
        true = nothing if box.truth is None else place[box.truth]
        cell = (true, nothing if box.kind == "missed" else place[box.label])
        counts[cell] = counts.get(cell, 0) + 1
    return tuple((true, said, count) for (true, said), count in sorted(counts.items()))


def _misses(photos: list[Miss]) -> tuple[Miss, ...]:
    """The photos on which most is wrong; what is wrong for sure weighs more."""
    wrong = [sum(1.0 if box.score is None else box.score for box in photo.boxes if box.kind != "right") for photo in photos]
    order = sorted(range(len(photos)), key=lambda row: -wrong[row])
    return tuple(photos[row] for row in order[:WORST] if wrong[row])
