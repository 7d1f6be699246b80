"""Which of two recognizers is better, told from the same photos.

The size of a difference that would have been seen: Connor, "Sample size for testing differences in proportions for the
paired-sample design", Biometrics 43 (1987), 207-211.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mingmu.core.errors import Conflict
from mingmu.evaluate.intervals import NORMAL, Estimate, Weights, Z, bootstrap, effective_share, mcnemar, proportion
from mingmu.evaluate.predictions import Predictions

SIGNIFICANT = 0.05
POWER = NORMAL.inv_cdf(0.8)  # a difference that would be seen four times in five
FEWEST_DISAGREEMENTS = 6  # all one way: the fewest that McNemar's exact test can call significant


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two recognizers on the photos that both could look at."""

    examples: int
    left_out: int  # photos that only one of them, or neither, could be measured on
    a: Estimate  # accuracy
    b: Estimate
    only_a: int  # photos that only A got right
    only_b: int
    p: float  # McNemar, exact
    difference: Estimate  # accuracy of B minus that of A
    visible: float  # a difference that would have shown itself four times in five
    better: Literal["A", "B"] | None

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        points, low, high = (100 * part for part in (self.difference.value, self.difference.low, self.difference.high))
        if self.better is None:
            return (
                f"no difference can be shown with {self.examples} photos "
                f"(a difference under about {100 * self.visible:.1f} points would not be visible)"
            )
        if self.better == "A":
            points, low, high = -points, -high, -low
        return f"{self.better} is better, by {points:.1f} points (95 % interval {low:.1f} to {high:.1f}; McNemar's exact p = {self.p:.2g})"


def compare(a: Predictions, b: Predictions, *, seed: int = 0) -> Comparison:
    """Pair the predictions of A and B by example. Raises Conflict if they share none, or differ about the truth.

    One is called better only where McNemar's exact test and the paired bootstrap interval (over groups, where there are any) both say so.
    """
    rows = _paired(a, b)
    right_a, right_b = a.right[rows[:, 0]], b.right[rows[:, 1]]
    groups = np.unique(a.groups[rows[:, 0]], return_inverse=True)[1].astype(np.int64)
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    gains = right_b.astype(np.float64) - right_a

    def mean_gain(weights: Weights) -> float:
        return float(gains @ weights / weights.sum())

    difference, p = bootstrap(mean_gain, groups, seed=seed), mcnemar(only_a, only_b)
    shown = p < SIGNIFICANT and not difference.low <= 0 <= difference.high
    return Comparison(
        examples=len(rows),
        left_out=len({_key(predictions, i) for predictions in (a, b) for i in range(len(predictions))}) - len(rows) + _failed(a, b),
        a=proportion(float(right_a.sum()), len(rows), effective=effective_share(right_a, groups)),
        b=proportion(float(right_b.sum()), len(rows), effective=effective_share(right_b, groups)),
        only_a=only_a,
        only_b=only_b,
        p=p,
        difference=difference,
        visible=_visible(only_a + only_b, len(rows)),
        better=("B" if only_b > only_a else "A") if shown else None,
    )


def _key(predictions: Predictions, row: int) -> tuple[str, str]:
    example = predictions.examples[row]
    return example.name, example.image


def _paired(a: Predictions, b: Predictions) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """The rows of A and B that show the same example, int64 [M, 2]."""
    of_b = {_key(b, row): row for row in range(len(b))}
    pairs = [(row, of_b[key]) for row in range(len(a)) if (key := _key(a, row)) in of_b]
    if not pairs:
        raise Conflict("the two recognizers were not measured on the same photos")
    if any(a.examples[i].labels != b.examples[j].labels for i, j in pairs):
        raise Conflict("the two recognizers were measured against different labels of the same photos")
    return np.array(pairs, np.int64)


def _failed(a: Predictions, b: Predictions) -> int:
    """Photos that neither could read."""
    return len({failure.name for failure in a.failures} & {failure.name for failure in b.failures})


def _visible(disagreements: int, examples: int) -> float:
    """The least difference in accuracy that n paired photos show with power 0.8 at the 5 % level, for as much disagreement as was seen."""
    disagreements = max(disagreements, FEWEST_DISAGREEMENTS)
    return min(1.0, max((Z + POWER) * math.sqrt(disagreements), FEWEST_DISAGREEMENTS) / examples)
