"""How far a figure may be off: 95 % intervals for proportions, F1 scores and everything else.

Sources:
* Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), 209-212.
* Zou and Donner, "Construction of confidence limits about effect measures: a general approach", Stat. Med. 27 (2008), 1693-1702 (MOVER).
* Rao and Scott, "A simple method for the analysis of clustered binary data", Biometrics 48 (1992), 577-585 (the effective size).
* Efron, "Better bootstrap confidence intervals", JASA 82 (1987), 171-185 (BCa).
* McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", Psychometrika 12 (1947), 153-157.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Groups = NDArray[np.int64]  # [N], 0..G-1: examples of one group are not independent of each other
Weights = NDArray[np.float64]  # [N]: how often each example was drawn
Range = tuple[float, float]

NORMAL = NormalDist()
Z = NORMAL.inv_cdf(0.975)
REPLICATES = 1000
JACKKNIFE_BLOCKS = 200


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval, with the name of the method that gave the interval."""

    value: float
    low: float
    high: float
    method: str


def proportion(right: float, n: float, *, effective: float = 1.0) -> Estimate:
    """The share `right / n` with Wilson's interval, as if only the share `effective` of the n had been seen."""
    value = right / n
    low, high = wilson(value, n * effective)
    return Estimate(value, low, high, "Wilson" if effective == 1 else "Wilson at the effective sample size")


def wilson(share: float, n: float) -> Range:
    """Wilson's score interval (1927) for a share seen in n trials; n need not be whole. Never outside 0..1."""
    spread = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    centre, scale = share + Z * Z / (2 * n), 1 + Z * Z / n
    return max(0.0, (centre - spread) / scale) if share > 0 else 0.0, min(1.0, (centre + spread) / scale) if share < 1 else 1.0


def f1(hits: float, false_alarms: float, misses: float, *, effective: float = 1.0) -> Estimate:
    """F1 = 2 hits / (2 hits + false alarms + misses) with its interval.

    Of the n examples that concern a class (hits, false alarms and misses together) the share J of hits is binomial
    given n, as examples are drawn from a multinomial; F1 = 2J / (1 + J) rises with J, so Wilson's limits carry over.
    """
    n = hits + false_alarms + misses
    share = hits / n
    low, high = (2 * limit / (1 + limit) for limit in wilson(share, n * effective))
    return Estimate(2 * share / (1 + share), low, high, "Wilson on hits among hits, false alarms and misses")


def mean(parts: Sequence[Estimate]) -> Estimate:
    """The mean of independent estimates; each end of its interval from the same end of theirs (MOVER, Zou and Donner 2008)."""
    value = math.fsum(part.value for part in parts) / len(parts)
    below = math.sqrt(math.fsum((part.value - part.low) ** 2 for part in parts)) / len(parts)
    above = math.sqrt(math.fsum((part.high - part.value) ** 2 for part in parts)) / len(parts)
    return Estimate(value, value - below, value + above, f"{parts[0].method}, combined by MOVER")


def effective_share(right: NDArray[np.bool_], groups: Groups) -> float:
    """What share of the N examples counts as independent: 1 / the design effect (Rao and Scott 1992), G/N..1.

    Without a single mistake, or a single success, the groups' likeness cannot be seen: then G/N, the cautious end.
    """
    n, count = len(right), int(groups.max()) + 1
    if count == n:
        return 1.0
    share = float(right.mean())
    if count == 1 or share in (0.0, 1.0):
        return count / n
    excess = np.bincount(groups, weights=right - share)
    design_effect = count / (count - 1) * float(np.square(excess).sum()) / (n * share * (1 - share))
    return min(1.0, max(count / n, 1 / design_effect)) if design_effect > 0 else 1.0


def bootstrap(statistic: Callable[[Weights], float], groups: Groups, *, seed: int = 0, replicates: int = REPLICATES) -> Estimate:
    """A figure's interval from drawing whole groups again and again: bias-corrected and accelerated (Efron 1987, sections 3 and 7).

    `statistic` gives the figure when example i counts weights[i] times. The acceleration is taken from a jackknife over
    at most 200 blocks of groups, which tends to the one over single groups.
    """
    rng = np.random.default_rng(seed)
    count = int(groups.max()) + 1
    value = statistic(np.ones(len(groups)))
    drawn = np.empty(replicates)
    for i in range(replicates):
        drawn[i] = statistic(np.bincount(rng.integers(count, size=count), minlength=count)[groups].astype(np.float64))
    blocks = rng.permutation(count) % min(count, JACKKNIFE_BLOCKS)
    without = (
        np.array([statistic((blocks != block)[groups].astype(np.float64)) for block in range(blocks.max() + 1)]) if count > 1 else drawn
    )
    low, high = np.quantile(drawn, _bca_levels(value, drawn, without))
    return Estimate(value, float(low), float(high), "bootstrap (BCa)" if count == len(groups) else "bootstrap over groups (BCa)")


def _bca_levels(value: float, drawn: NDArray[np.float64], without: NDArray[np.float64]) -> list[float]:
    below = float((drawn < value).sum() + 0.5 * (drawn == value).sum())
    bias = NORMAL.inv_cdf((below + 0.5) / (len(drawn) + 1))
    gaps = without.mean() - without
    spread = float(np.square(gaps).sum())
    acceleration = float((gaps**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    return [NORMAL.cdf(bias + (bias + z) / (1 - acceleration * (bias + z))) for z in (-Z, Z)]


def mcnemar(only_a: int, only_b: int) -> float:
    """The exact p-value of McNemar's test (1947): could a fair coin have split the disagreements like this? Two-sided, exact integers."""
    n = only_a + only_b
    term = tail = 1
    for i in range(min(only_a, only_b)):
        term = term * (n - i) // (i + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << n))
