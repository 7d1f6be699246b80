"""Which of two recognizers is better, told from the same photos.

The size of a difference that would have been seen: Connor, "Sample size for testing differences in proportions for the
paired-sample design", Biometrics 43 (1987), 207-211.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mingmu.core.errors import Conflict
from mingmu.evaluate import words
from mingmu.evaluate.intervals import NORMAL, Estimate, Groups, Weights, Z, bootstrap, effective_share, mcnemar, proportion
from mingmu.evaluate.predictions import UNKNOWN, Predictions, groups_of

SIGNIFICANT = 0.05
POWER = NORMAL.inv_cdf(0.8)  # a difference that would be seen four times in five
FEWEST_DISAGREEMENTS = 6  # all one way: the fewest that McNemar's exact test can call significant


Rows = np.ndarray[tuple[int, int], np.dtype[np.int64]]
Unknown = tuple[tuple[str, int], ...]  # labels that a recognizer does not know, with their photos


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
    unreadable: int = 0  # of those left out
    unknown_a: Unknown = ()
    unknown_b: Unknown = ()
    learned: int = 0  # photos that were not compared on, as one of them learned from them or from copies of them
    untold: tuple[str, ...] = ()  # which of A and B may have been taught on these photos, for all that is known here
    counted: Comparison | None = None  # the same with a label that only one of them knows counted as a mistake of the other

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

    @property
    def remarks(self) -> list[str]:
        """What the verdict does not rest on, and what comes out if it did, in sentences."""
        found = []
        for name, unknown in (("A", self.unknown_a), ("B", self.unknown_b)):
            if unknown:
                count = sum(count for _, count in unknown)
                found.append(f"{name} does not know {words.listed([label for label, _ in unknown])} ({words.photos(count)}).")
        if self.left_out:
            unread = f", {self.unreadable} of them unreadable" if self.unreadable else ""
            found.insert(0, f"Left out: {words.photos(self.left_out)}{unread}.")
        if self.counted:
            found.append(f"With a label that only one of them knows counted as a mistake of the other: {self.counted.verdict}.")
        if self.learned:
            found.append(f"Not compared on {words.photos(self.learned)}: A or B learned from just these, or from copies of them.")
        if self.untold:
            found.append(f"Whether {' and '.join(self.untold)} learned from these photos is not known here; if so, that flatters.")
        return found


def compare(a: Predictions, b: Predictions, *, seed: int = 0) -> Comparison:
    """Pair the predictions of A and B by example. Raises Conflict if they share none, or differ about the truth.

    One is called better only where McNemar's exact test and the paired bootstrap interval (over groups, where there are any) both say so.
    Photos with a label that only one of them knows are left out, and beside that stands what comes out if they count.
    """
    rows = _paired(a, b)
    only_known_to_a, only_known_to_b = _alone(a, b), _alone(b, a)
    right_a, right_b, examples = a.right[rows[:, 0]], b.right[rows[:, 1]], [a.examples[row] for row in rows[:, 0]]
    counted = None
    if only_known_to_a or only_known_to_b:
        more = [*(a.examples[row] for row in only_known_to_a), *(b.examples[row] for row in only_known_to_b)]
        more_a = np.concatenate((right_a, a.right[only_known_to_a], np.zeros(len(only_known_to_b), bool)))
        more_b = np.concatenate((right_b, np.zeros(len(only_known_to_a), bool), b.right[only_known_to_b]))
        counted = _compared(more_a, more_b, groups_of([*examples, *more]), seed)
    known_to_neither = max(0, a.left_out - len(only_known_to_b))
    unreadable = _unreadable(a, b)
    return replace(
        _compared(right_a, right_b, groups_of(examples), seed),
        left_out=len(only_known_to_a) + len(only_known_to_b) + known_to_neither + unreadable,
        unreadable=unreadable,
        unknown_a=a.unknown,
        unknown_b=b.unknown,
        learned=max(a.learned, b.learned),
        untold=tuple(name for name, each in (("A", a), ("B", b)) if each.source == UNKNOWN),
        counted=counted,
    )


def _compared(right_a: NDArray[np.bool_], right_b: NDArray[np.bool_], groups: Groups, seed: int) -> Comparison:
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    gains = right_b.astype(np.float64) - right_a

    def mean_gain(weights: Weights) -> float:
        return float(gains @ weights / weights.sum())

    difference, p = bootstrap(mean_gain, groups, seed=seed), mcnemar(only_a, only_b)
    shown = p < SIGNIFICANT and not difference.low <= 0 <= difference.high
    return Comparison(
        examples=len(gains),
        left_out=0,
        a=proportion(float(right_a.sum()), len(gains), effective=effective_share(right_a, groups)),
        b=proportion(float(right_b.sum()), len(gains), effective=effective_share(right_b, groups)),
        only_a=only_a,
        only_b=only_b,
        p=p,
        difference=difference,
        visible=_visible(only_a + only_b, len(gains)),
        better=("B" if only_b > only_a else "A") if shown else None,
    )


def _key(predictions: Predictions, row: int) -> tuple[str, str]:
    example = predictions.examples[row]
    return example.name, example.image


def _paired(a: Predictions, b: Predictions) -> Rows:
    """The rows of A and B that show the same example, int64 [M, 2]."""
    of_b = {_key(b, row): row for row in range(len(b))}
    pairs = [(row, of_b[key]) for row in range(len(a)) if (key := _key(a, row)) in of_b]
    if not pairs:
        raise Conflict("the two recognizers were not measured on the same photos")
    if any(a.examples[i].labels != b.examples[j].labels for i, j in pairs):
        raise Conflict("the two recognizers were measured against different labels of the same photos")
    return np.array(pairs, np.int64)


def _alone(a: Predictions, b: Predictions) -> list[int]:
    """The rows of A that B could not be measured on: it does not know their label."""
    of_b = {_key(b, row) for row in range(len(b))}
    return [row for row in range(len(a)) if _key(a, row) not in of_b]


def _unreadable(a: Predictions, b: Predictions) -> int:
    """Photos that could not be read; a recognizer does not try those of which it knows no label."""
    return len({failure.name for each in (a, b) for failure in each.failures})


def _visible(disagreements: int, examples: int) -> float:
    """The least difference in accuracy that n paired photos show with power 0.8 at the 5 % level, for as much disagreement as was seen."""
    disagreements = max(disagreements, FEWEST_DISAGREEMENTS)
    return min(1.0, max((Z + POWER) * math.sqrt(disagreements), FEWEST_DISAGREEMENTS) / examples)
