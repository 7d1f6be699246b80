"""Whether a detector finds what it found, where its network runs in another way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mingmu.compress.gate import ALL, LEAST_KEPT, LEAST_SURELY_KEPT, SURE, Bools, Verdict, around, quantile, verdict_of
from mingmu.core.errors import Conflict
from mingmu.registry.tuning import BoxAccuracy
from mingmu.tasks.boxes import Found, Ints, overlaps
from mingmu.tasks.matching import Doubles, Ranking, Truth, rankings

SAME = 0.5  # of their union two boxes that mean the same thing share, at least
REPLICATES = 400


@dataclass(frozen=True, eq=False)
class Finds:
    """What a detector finds on N photos with one network."""

    said: tuple[Found, ...]  # [N], with any score that is ever given, the surest first
    there: tuple[Truth, ...] | None  # [N]; None: nobody says what is there, so what the sealed network is sure of counts
    groups: Ints  # [N], 0..G-1
    classes: int
    threshold: float  # the usual one

    @property
    def accuracy(self) -> BoxAccuracy:
        """Held against itself. Raises Conflict where nothing is there."""
        there = self._truth()
        return BoxAccuracy(photos=len(there), boxes=_boxes(there), ap50=_ap50(self._ranked(there)), kept=ALL)

    def judge(self, after: Finds, *, tries: int = 1, exact: bool = False) -> Verdict:
        """Hold what a variant finds on the same photos against this; see `judge_answers` for what is asked of it.

        It is AP50 that must be kept. And the boxes that it was sure of must stay: not all of its labels may be among those of the photos.
        Raises Conflict where nothing is there, or nothing of it is found.
        """
        there, z = self._truth(), quantile(tries)
        change = _change(self._ranked(there), after._ranked(there), self.groups)
        kept = around(change.ratio, change.spread(z))
        found = BoxAccuracy(photos=len(there), boxes=_boxes(there), ap50=change.after, kept=kept)
        kept_well = verdict_of(found, "AP50", lambda: math.ceil(len(there) * change.times_needed(z)), exact=exact)
        return kept_well & _judge_sure(self, after)

    def _truth(self) -> tuple[Truth, ...]:
        """What counts as there, [N]."""
        sure = [found[np.flatnonzero(found.scores >= SURE)] for found in self.said]
        there = self.there or tuple(Truth(found.boxes.astype(np.float64), found.classes) for found in sure)
        if not _boxes(there):
            raise Conflict("no box is there on these photos that could be found; nothing can be compared on them")
        return there

    def _ranked(self, there: Sequence[Truth]) -> list[Ranking]:
        """Of the labels that are there at all."""
        return [each for each in rankings(self.said, there, self.classes) if each.there.any()]


@dataclass(frozen=True)
class _Change:
    """Of AP50, from one network to another on the same photos."""

    before: float
    after: float
    drawn: float  # the variance of their ratio, as a share of its square, from drawing photos anew: about that of its logarithm
    photos: int  # with something to be found

    @property
    def ratio(self) -> float:
        return self.after / self.before

    def spread(self, z: float) -> float:
        """By how much the logarithm of the ratio may be off, at z standard deviations.

        As in `ratio` of the gate, the square of z is added to what differs, as if of so many photos: few photos without a single
        difference prove little, however many boxes each has, for what is lost is often lost photo by photo.
        """
        return z * math.sqrt(self.drawn + (z / (self.photos + 1)) ** 2)

    def times_needed(self, z: float) -> float:
        """How many times these photos would show that LEAST_SURELY_KEPT is reached, if others are like them; `spread` solved for that."""
        room = (math.log(min(1.0, self.ratio) / LEAST_SURELY_KEPT) / z) ** 2
        return (self.drawn + math.sqrt(self.drawn**2 + 4 * room * (z / self.photos) ** 2)) / (2 * room)


def _change(before: Sequence[Ranking], after: Sequence[Ranking], groups: Ints) -> _Change:
    """How AP50 changes, with its spread over photos drawn anew, whole groups of them, the same for both: the paired bootstrap."""
    if not (first := _ap50(before)):
        raise Conflict("the network finds nothing of what is there on these photos; nothing can be compared on them")
    if not groups.max():  # of one group alone no spread could be seen
        groups = np.arange(len(groups))
    random, count, kept = np.random.default_rng(0), int(groups.max()) + 1, []
    for _ in range(REPLICATES):
        weights = np.bincount(random.integers(count, size=count), minlength=count)[groups].astype(np.float64)
        one, other = _ap50(before, weights), _ap50(after, weights)
        kept += [other / one] if one > 0 else []  # of nothing, nobody can say how much is kept
    some = int((np.sum([each.there for each in before], axis=0) > 0).sum())
    last = _ap50(after)
    return _Change(first, last, float(np.var(kept)) * (first / last) ** 2 if kept and last else 0.0, some)


def _ap50(ranked: Sequence[Ranking], weights: Doubles | None = None) -> float:
    """In the mean over the labels that are there; by the whole curve, as COCO's 101 points of it are too coarse for one per cent."""
    areas = np.array([each.area(0, weights) for each in ranked])
    return float(areas[~np.isnan(areas)].mean()) if not np.isnan(areas).all() else 0.0


def _boxes(there: Sequence[Truth]) -> int:
    return sum(len(truth.classes) for truth in there)


def _judge_sure(before: Finds, after: Finds) -> Verdict:
    """Hold the boxes that either is sure of, with a score of at least SURE, against all that count of the other's."""
    stay = np.concatenate([_met(one, other, after.threshold) for one, other in zip(before.said, after.said, strict=True)])
    new = ~np.concatenate([_met(other, one, before.threshold) for one, other in zip(before.said, after.said, strict=True)])
    said = f"{stay.sum()} of {len(stay)} sure boxes stay" + (f", {new.sum()} are new" if new.any() else "")
    if stay.sum() >= LEAST_KEPT * (len(stay) + new.sum()):
        return Verdict(True, said)
    return Verdict(False, f"only {said}; at least {LEAST_KEPT:.0%} must be the same")


def _met(ones: Found, others: Found, threshold: float) -> Bools:
    """Which of the boxes that one is sure of are among those of the other with a score of the threshold."""
    sure, there = ones[np.flatnonzero(ones.scores >= SURE)], others[np.flatnonzero(others.scores >= threshold)]
    alike = sure.classes[:, None] == there.classes[None]
    return np.asarray((alike & (overlaps(sure.boxes, there.boxes) >= SAME)).any(axis=1))
