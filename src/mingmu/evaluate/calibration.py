"""Whether a recognizer's confidence can be believed.

Sources:
* Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015 (ECE).
* Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017, section 2 (ECE in 15 bins of equal width).
* Bröcker and Smith, "Increasing the reliability of reliability diagrams", Weather and Forecasting 22 (2007) (what chance alone would show).
* Geifman and El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017 (accuracy when the unsure may be refused).
* Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", 2005 (sets with a promised coverage).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mingmu.evaluate.intervals import Estimate, proportion

Array = NDArray[np.float64]
Right = NDArray[np.bool_]

BINS = 15
SHARES = tuple(i / 20 for i in range(20, 0, -1))  # of the examples that get an answer
SIMULATIONS = 400
NEARLY_ALONE = 0.005  # labels beside the likeliest one, which is always in a set: where there are hardly any, none could be spared


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of like confidence: how sure they were on average, and how often they were right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far confidence and accuracy lie apart: the expected calibration error (ECE), 0..1."""

    ece: float  # 15 bins of equal width (Guo et al. 2017)
    ece_equal_mass: float  # 15 bins of equally many answers
    by_chance: float  # a perfectly calibrated recognizer would show a larger equal-width ECE on these answers once in 20 times
    bins: tuple[Bin, ...]  # of equal mass


@dataclass(frozen=True, slots=True)
class Selective:
    """What is gained by not answering below a confidence."""

    share: float  # of the examples that are answered: the surest
    threshold: float  # the lowest confidence among them
    accuracy: Estimate  # among them


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often a set of labels holds the truth, against what was promised."""

    promised: float
    held: Estimate
    size: float  # labels in a set, on average
    empty: float  # share of sets without a label

    @property
    def kept(self) -> bool:
        """The promise is not refuted: it does not lie above the interval."""
        return self.promised <= self.held.high

    @property
    def wide(self) -> bool:
        """It holds the truth more often than promised, by more than chance explains, and does so with more labels than one."""
        return self.promised < self.held.low and self.size > 1 + NEARLY_ALONE


def calibration(confidence: Array, right: Right, *, effective: float = 1.0, seed: int = 0) -> Calibration:
    """ECE and the reliability bins of N answers."""
    width = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    mass = _equal_mass(confidence)
    return Calibration(
        ece=_ece(width, confidence, right),
        ece_equal_mass=_ece(mass, confidence, right),
        by_chance=_ece_by_chance(width, confidence, seed),
        bins=tuple(_bin(confidence[mass == i], right[mass == i], effective) for i in np.unique(mass)),
    )


def selective(confidence: Array, right: Right, *, effective: float = 1.0) -> tuple[Selective, ...]:
    """Accuracy among the surest 100 %, 95 %, ... 5 % of N answers."""
    order = np.argsort(-confidence, kind="stable")
    hits = np.cumsum(right[order])
    counts = [max(1, round(share * len(right))) for share in SHARES]
    return tuple(
        Selective(share, float(confidence[order[count - 1]]), proportion(float(hits[count - 1]), count, effective=effective))
        for share, count in zip(SHARES, counts, strict=True)
    )


def coverage(sets: Mapping[float, NDArray[np.bool_]], truth: NDArray[np.bool_], *, effective: float = 1.0) -> tuple[Coverage, ...]:
    """For each promise, whether the sets, bool [N, C], hold every true label, bool [N, C]."""
    return tuple(
        Coverage(
            promised=promised,
            held=proportion(float((members | ~truth).all(axis=1).sum()), len(truth), effective=effective),
            size=float(members.sum(axis=1).mean()),
            empty=float((~members.any(axis=1)).mean()),
        )
        for promised, members in sorted(sets.items())
    )


def _equal_mass(confidence: Array) -> NDArray[np.int64]:
    """The bin of each answer, int64 [N]: at most 15 bins, equally filled."""
    bins = np.empty(len(confidence), np.int64)
    bins[np.argsort(confidence, kind="stable")] = np.arange(len(confidence)) * min(BINS, len(confidence)) // len(confidence)
    return bins


def _ece(bins: NDArray[np.int64], confidence: Array, right: Right) -> float:
    """Mean over the answers of |accuracy - confidence| of their bin (Guo et al. 2017, equation 3)."""
    return float(np.abs(np.bincount(bins, weights=right - confidence)).sum() / len(bins))


def _ece_by_chance(bins: NDArray[np.int64], confidence: Array, seed: int) -> float:
    """The 95 % quantile of the ECE if each answer were right with just the probability it claims."""
    rng = np.random.default_rng(seed)
    return float(np.quantile([_ece(bins, confidence, rng.random(len(bins)) < confidence) for _ in range(SIMULATIONS)], 0.95))


def _bin(confidence: Array, right: Right, effective: float) -> Bin:
    accuracy = proportion(float(right.sum()), len(right), effective=effective)
    return Bin(float(confidence.min()), float(confidence.max()), len(right), float(confidence.mean()), accuracy)
