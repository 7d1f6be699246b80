"""How well same and different people are told apart by the likeness of their faces, measured on pairs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mingmu.core.errors import BadRequest
from mingmu.core.manifest import EmbedSpec
from mingmu.evaluate.intervals import Estimate, proportion
from mingmu.evaluate.words import interval, percent
from mingmu.tasks.verification import threshold_for

FEWEST = 2  # pairs of the same person, and pairs of different people, in each half
RATES = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)  # of false matches, at which the curve is shown

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Pairs of photos that were compared. A photo may be in several pairs."""

    similarity: NDArray[np.float64]  # [N]
    same: NDArray[np.bool_]  # [N]
    a: Numbers  # [N], numbers of photos
    b: Numbers

    def part(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Compared:
        return Compared(self.similarity[chosen], self.same[chosen], self.a[chosen], self.b[chosen])

    def people(self) -> Numbers:
        """Whose each photo is, as a number: two photos are one person's if pairs say so, directly or by way of others."""
        return _connected(self.a[self.same], self.b[self.same], int(max(self.a.max(), self.b.max())) + 1)

    def halves(self) -> tuple[Numbers, Numbers]:
        """The pairs among one half of the people, and those among the other; pairs with a person of each are in neither.

        People who are in pairs with each other stand together, so a list of many small circles loses few pairs.
        """
        people = self.people()
        a, b = people[self.a], people[self.b]
        circle, random = _connected(a, b, len(people)), np.random.default_rng(0)
        order = random.permutation(np.union1d(a, b))
        order = order[np.argsort(random.permutation(len(people))[circle[order]], kind="stable")]
        first = np.zeros(len(people), np.bool_)
        first[order[: len(order) // 2]] = True
        return np.flatnonzero(first[a] & first[b]), np.flatnonzero(~first[a] & ~first[b])

    def strangers(self) -> EmbedSpec:
        """How alike different people look."""
        other, people = self.similarity[~self.same], len(np.unique(self.people()[np.union1d(self.a, self.b)]))
        deviation = max(round(float(other.std()), 4), 1e-4)
        return EmbedSpec(mean=round(float(other.mean()), 4), deviation=deviation, pairs=len(other), things=people)


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Of the ROC curve: how many of the same person's pairs are found while different people's match this rarely."""

    false_match_rate: float
    threshold: float
    true_match_rate: Estimate


@dataclass(frozen=True, slots=True)
class PairMeasures:
    """What a threshold did on pairs."""

    pairs: int
    same: int
    thresholds: tuple[float, ...]  # each for a part of the pairs
    accuracy: Estimate
    false_match_rate: Estimate
    true_match_rate: Estimate
    equal_error_rate: Estimate  # where as many of the same are missed as of the different match, whatever the threshold
    curve: tuple[CurvePoint, ...]  # as far as the pairs of different people allow


@dataclass(frozen=True, slots=True)
class FacesReport:
    """How well people are told apart on somebody's pairs."""

    rate: float  # of false matches, for which the thresholds were set
    held_out: PairMeasures  # each half of the people, by the threshold that the other half sets
    usual: PairMeasures  # all pairs, by the threshold that the network brings along
    strangers: EmbedSpec
    without_face: int  # photos in which none was found; their pairs are left out

    def document(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return asdict(self) | {"strangers": self.strangers.model_dump(mode="json")}

    def lines(self) -> list[str]:
        """The report in words."""
        found, usual, other = self.held_out, self.usual, self.strangers
        return [
            f"It was right on {percent(found.accuracy.value)} of {found.pairs} pairs, by thresholds ({_thresholds(found)}) that "
            f"other people set. On other people's photos like these, expect {interval(found.accuracy)}.",
            f"So measured were two halves of the people, each by the other; {usual.pairs - found.pairs} pairs have a person of each half.",
            f"same person: {_rate(found.true_match_rate)} of {found.same} pairs match",
            f"different people: {_rate(found.false_match_rate)} of {found.pairs - found.same} pairs match; {self.rate:g} was the aim",
            f"equal error rate: {_rate(found.equal_error_rate)}",
            *(
                f"at {point.false_match_rate:g} false matches: {_rate(point.true_match_rate)} of the same person's pairs match"
                for point in found.curve
            ),
            f"By the usual threshold ({_thresholds(usual)}), on all {usual.pairs} pairs: right on {_rate(usual.accuracy)}; "
            f"of different people {_rate(usual.false_match_rate)} match.",
            f"Different people: similarity {other.mean:.4f} on average, deviation {other.deviation:.4f}, "
            f"{other.pairs} pairs of {other.things} people.",
            f"Photos without a face that was found: {self.without_face}; their pairs are left out.",
        ]


def measure(compared: Compared, rate: float, usual: EmbedSpec | None, without_face: int) -> FacesReport:
    """Measure each half of the people by the threshold that the other half sets, and all pairs by that of the usual figures.

    Raises BadRequest for too few; Conflict where there are no usual figures.
    """
    _check(compared.same)
    first, second = compared.halves()
    for half in (first, second):
        _check(compared.same[half], " among one half of the people")
    by_first, by_second = (threshold_for(rate, compared.part(half).strangers()) for half in (first, second))
    set_by_others = np.repeat([by_second, by_first], [len(first), len(second)])
    held_out = measures_of(compared.part(np.concatenate([first, second])), set_by_others)
    return FacesReport(rate, held_out, measures_of(compared, threshold_for(rate, usual)), compared.strangers(), without_face)


def measures_of(compared: Compared, threshold: float | NDArray[np.float64]) -> PairMeasures:
    """What a threshold does on pairs of both kinds; or one for each pair, float [N]."""
    matched = compared.similarity >= threshold
    same = compared.part(compared.same)
    other = compared.part(~compared.same)
    return PairMeasures(
        pairs=len(matched),
        same=len(same.same),
        thresholds=tuple(np.unique(threshold).tolist()),
        accuracy=_share(matched == compared.same, compared),
        false_match_rate=_share(matched[~compared.same], other),
        true_match_rate=_share(matched[compared.same], same),
        equal_error_rate=_equal_error(same, other),
        curve=tuple(_point(rate, same, other) for rate in RATES if rate * len(other.same) >= 1),
    )


def _point(rate: float, same: Compared, other: Compared) -> CurvePoint:
    """The lowest threshold that lets no larger share of different people's pairs match."""
    allowed = int(rate * len(other.same))
    threshold = float(np.nextafter(np.sort(other.similarity)[-allowed - 1], np.inf))
    return CurvePoint(rate, threshold, _share(same.similarity >= threshold, same))


def _equal_error(same: Compared, other: Compared) -> Estimate:
    levels = np.unique(np.concatenate([same.similarity, other.similarity]))
    missed = np.searchsorted(np.sort(same.similarity), levels) / len(same.same)
    matched = 1 - np.searchsorted(np.sort(other.similarity), levels) / len(other.same)
    rate = float(((missed + matched) / 2)[np.abs(missed - matched).argmin()])
    return proportion(rate * len(same.same), len(same.same), effective=_effective(same))


def _share(right: NDArray[np.bool_], pairs: Compared) -> Estimate:
    return proportion(float(right.sum()), len(right), effective=_effective(pairs))


def _effective(pairs: Compared) -> float:
    """Pairs that share photos are not independent: no more are counted than there are photos."""
    return min(1.0, len(np.union1d(pairs.a, pairs.b)) / len(pairs.same))


def _check(same: NDArray[np.bool_], where: str = "") -> None:
    if min(same.sum(), (~same).sum()) < FEWEST:
        least = f"at least {FEWEST} of each are needed in each half"
        raise BadRequest(f"{same.sum()} pairs of the same person and {(~same).sum()} of different people{where}; {least}")


def _connected(a: Numbers, b: Numbers, count: int) -> Numbers:
    """The number of the group of each of so many things: whatever a pair connects is in one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, groups = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(count, count)), directed=False)
    return np.asarray(groups, np.int64)


def _thresholds(found: PairMeasures) -> str:
    return ", ".join(f"{threshold:.3f}" for threshold in found.thresholds)


def _rate(found: Estimate) -> str:
    return f"{percent(found.value)} ({interval(found)})"
