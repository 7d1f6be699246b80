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

FEWEST = 4  # pairs of the same person, and pairs of different people: two for each half
RATES = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)  # of false matches, at which the curve is shown

Photos = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Pairs of photos that were compared. A photo may be in several pairs."""

    similarity: NDArray[np.float64]  # [N]
    same: NDArray[np.bool_]  # [N]
    a: Photos  # [N], numbers of photos
    b: Photos

    def part(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Compared:
        return Compared(self.similarity[chosen], self.same[chosen], self.a[chosen], self.b[chosen])

    def people(self) -> dict[int, int]:
        """Whose each photo is, as a number: two photos are one person's if pairs say so, directly or by way of others."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        count = int(max(self.a.max(), self.b.max())) + 1
        a, b = self.a[self.same], self.b[self.same]
        _, person = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(count, count)), directed=False)
        return {photo: int(person[photo]) for photo in np.union1d(self.a, self.b).tolist()}

    def strangers(self) -> EmbedSpec:
        """How alike different people look."""
        other, people = self.similarity[~self.same], len({*self.people().values()})
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
    threshold: float
    accuracy: Estimate
    false_match_rate: Estimate
    true_match_rate: Estimate
    equal_error_rate: Estimate  # where as many of the same are missed as of the different match, whatever the threshold
    curve: tuple[CurvePoint, ...]  # as far as the pairs of different people allow


@dataclass(frozen=True, slots=True)
class FacesReport:
    """How well people are told apart on somebody's pairs."""

    rate: float  # of false matches, for which the thresholds were set
    held_out: PairMeasures  # half of the pairs, by the threshold that the other half sets
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
            f"It was right on {percent(found.accuracy.value)} of {found.pairs} pairs, by a threshold ({found.threshold:.3f}) that "
            f"others set. On other photos like these, expect {interval(found.accuracy)}.",
            f"same person: {_rate(found.true_match_rate)} of {found.same} pairs match",
            f"different people: {_rate(found.false_match_rate)} of {found.pairs - found.same} pairs match; {self.rate:g} was the aim",
            f"equal error rate: {_rate(found.equal_error_rate)}",
            *(
                f"at {point.false_match_rate:g} false matches: {_rate(point.true_match_rate)} of the same person's pairs match"
                for point in found.curve
            ),
            f"By the usual threshold ({usual.threshold:.3f}), on all {usual.pairs} pairs: right on {_rate(usual.accuracy)}; "
            f"of different people {_rate(usual.false_match_rate)} match.",
            f"Different people: similarity {other.mean:.4f} on average, deviation {other.deviation:.4f}, "
            f"{other.pairs} pairs of {other.things} people.",
            f"Photos without a face that was found: {self.without_face}; their pairs are left out.",
        ]


def measure(compared: Compared, rate: float, usual: EmbedSpec | None, without_face: int) -> FacesReport:
    """Measure half of the pairs by the threshold that the other half sets, and all of them by that of the usual figures.

    The halves have as many pairs of the same person, and as many of different people; photos may be in both. Raises BadRequest for too few;
    Conflict where there are no usual figures.
    """
    same, other = int(compared.same.sum()), int((~compared.same).sum())
    if min(same, other) < FEWEST:
        raise BadRequest(f"{same} pairs of the same person and {other} of different people; {FEWEST} of each are needed")
    order = np.random.default_rng(0).permutation(len(compared.same))
    order = order[np.argsort(compared.same[order], kind="stable")]
    held_out = measures_of(compared.part(order[1::2]), threshold_for(rate, compared.part(order[::2]).strangers()))
    return FacesReport(rate, held_out, measures_of(compared, threshold_for(rate, usual)), compared.strangers(), without_face)


def measures_of(compared: Compared, threshold: float) -> PairMeasures:
    """What a threshold does on pairs of both kinds."""
    matched = compared.similarity >= threshold
    same = compared.part(compared.same)
    other = compared.part(~compared.same)
    return PairMeasures(
        pairs=len(matched),
        same=len(same.same),
        threshold=threshold,
        accuracy=_share(matched == compared.same, compared),
        false_match_rate=_share(other.similarity >= threshold, other),
        true_match_rate=_share(same.similarity >= threshold, same),
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


def _rate(found: Estimate) -> str:
    return f"{percent(found.value)} ({interval(found)})"
