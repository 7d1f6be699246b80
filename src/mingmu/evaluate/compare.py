"""Which of two recognizers is better, told from the same photos.

The size of a difference that would have been seen: Connor, "Sample size for testing differences in proportions for the
paired-sample design", Biometrics 43 (1987), 207-211.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mingmu.core.errors import Conflict
from mingmu.data.dataset import Example
from mingmu.evaluate import words
from mingmu.evaluate.box_measures import AP50, REPLICATES
from mingmu.evaluate.box_words import boxes
from mingmu.evaluate.intervals import NORMAL, Estimate, Groups, Weights, Z, bootstrap, effective_share, mcnemar, proportion
from mingmu.evaluate.predictions import UNKNOWN, Predictions, groups_of
from mingmu.evaluate.sightings import Sightings
from mingmu.tasks.matching import Ranking, mean_average_precision, rankings

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
    a: Estimate  # accuracy; of detectors AP50
    b: Estimate
    only_a: int  # photos that only A got right; of detectors those on which it made fewer mistakes
    only_b: int
    p: float  # McNemar, exact
    difference: Estimate  # what B has, minus what A has
    visible: float  # a difference that would have shown itself four times in five
    better: Literal["A", "B"] | None
    unreadable: int = 0  # of those left out
    unknown_a: Unknown = ()
    unknown_b: Unknown = ()
    learned: int = 0  # photos that were not compared on, as one of them learned from them or from copies of them
    untold: tuple[str, ...] = ()  # which of A and B may have been taught on these photos, for all that is known here
    counted: Comparison | None = None  # the same with a label that only one of them knows counted as a mistake of the other
    boxes: int | None = None  # of detectors: those that are there, of labels that both know

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        points, low, high = (100 * part for part in (self.difference.value, self.difference.low, self.difference.high))
        what = "points" if self.boxes is None else "points of AP50"
        if self.better is None:
            return (
                f"no difference can be shown with {self.examples} photos "
                f"(a difference under about {100 * self.visible:.1f} {what} would not be visible)"
            )
        if self.better == "A":
            points, low, high = -points, -high, -low
        return f"{self.better} is better, by {points:.1f} {what} (95 % interval {low:.1f} to {high:.1f}; McNemar's exact p = {self.p:.2g})"

    @property
    def remarks(self) -> list[str]:
        """What the verdict does not rest on, and what comes out if it did, in sentences."""
        found, counted = [], words.photos if self.boxes is None else boxes
        for name, unknown in (("A", self.unknown_a), ("B", self.unknown_b)):
            if unknown:
                count = sum(count for _, count in unknown)
                found.append(f"{name} does not know {words.listed([label for label, _ in unknown])} ({counted(count)}).")
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
    rows = _paired(a.examples, b.examples)
    if any(a.examples[i].labels != b.examples[j].labels for i, j in rows):
        raise Conflict("the two recognizers were measured against different labels of the same photos")
    only_known_to_a, only_known_to_b = _alone(a, b), _alone(b, a)
    right_a, right_b, examples = a.right[rows[:, 0]], b.right[rows[:, 1]], [a.examples[row] for row in rows[:, 0]]
    counted = None
    if only_known_to_a or only_known_to_b:
        more = [*(a.examples[row] for row in only_known_to_a), *(b.examples[row] for row in only_known_to_b)]
        more_a = np.concatenate((right_a, a.right[only_known_to_a], np.zeros(len(only_known_to_b), bool)))
        more_b = np.concatenate((right_b, np.zeros(len(only_known_to_a), bool), b.right[only_known_to_b]))
        counted = _compared(more_a, more_b, groups_of([*examples, *more]), seed)
    known_to_neither = max(0, a.left_out - len(only_known_to_b))
    found = replace(_compared(right_a, right_b, groups_of(examples), seed), counted=counted)
    return _with_asides(found, a, b, len(only_known_to_a) + len(only_known_to_b) + known_to_neither)


def compare_boxes(a: Sightings, b: Sightings, *, seed: int = 0) -> Comparison:
    """The same of two detectors, by the labels that both know. Raises Conflict if no such box is there.

    The difference is that of AP50. McNemar's test counts the photos on which one of them makes fewer mistakes, each at its usual
    threshold: boxes that it misses, and boxes of nothing. What belongs together counts as one photo.
    """
    labels, rows = [label for label in a.labels if label in b.labels], _paired(a.examples, b.examples)
    one, other = _ranked(a, rows[:, 0], labels), _ranked(b, rows[:, 1], labels)
    if not (there := sum(int(ranking.there.sum()) for ranking in one)):
        raise Conflict("no box has a label that both recognizers know")
    groups = groups_of([a.examples[row] for row in rows[:, 0]])
    groups = groups if groups.max() else np.arange(len(rows))  # of one group alone no spread could be seen
    fewer = np.bincount(groups, _mistakes(one, a.spec.threshold) - _mistakes(other, b.spec.threshold))
    only_a, only_b = int((fewer < 0).sum()), int((fewer > 0).sum())
    p = mcnemar(only_a, only_b)
    difference = bootstrap(lambda drawn: _ap50(other, drawn) - _ap50(one, drawn), groups, seed=seed, replicates=REPLICATES)
    found = Comparison(
        examples=len(rows),
        left_out=0,
        a=bootstrap(partial(_ap50, one), groups, seed=seed, replicates=REPLICATES),
        b=bootstrap(partial(_ap50, other), groups, seed=seed, replicates=REPLICATES),
        only_a=only_a,
        only_b=only_b,
        p=p,
        difference=difference,
        visible=min(1.0, (Z + POWER) * (difference.high - difference.low) / (2 * Z)),
        better=_better(only_a, only_b, difference, p),
        boxes=there,
    )
    return _with_asides(found, a, b, a.unboxed)


def _with_asides(found: Comparison, a: Predictions | Sightings, b: Predictions | Sightings, left_out: int) -> Comparison:
    """The same, with what was left aside, and of whom it is not known what taught them."""
    unreadable = len({failure.name for each in (a, b) for failure in each.failures})  # one does not try those of which it knows no label
    return replace(
        found,
        left_out=left_out + unreadable,
        unreadable=unreadable,
        unknown_a=a.unknown,
        unknown_b=b.unknown,
        learned=max(a.learned, b.learned),
        untold=tuple(name for name, each in (("A", a), ("B", b)) if each.source == UNKNOWN),
    )


def _compared(right_a: NDArray[np.bool_], right_b: NDArray[np.bool_], groups: Groups, seed: int) -> Comparison:
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    gains = right_b.astype(np.float64) - right_a

    def mean_gain(weights: Weights) -> float:
        return float(gains @ weights / weights.sum())

    difference, p = bootstrap(mean_gain, groups, seed=seed), mcnemar(only_a, only_b)
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
        better=_better(only_a, only_b, difference, p),
    )


def _better(only_a: int, only_b: int, difference: Estimate, p: float) -> Literal["A", "B"] | None:
    """Which is better, where the test, the interval and the figures say the same."""
    shown = p < SIGNIFICANT and not difference.low <= 0 <= difference.high
    if not shown or (only_b > only_a) != (difference.value > 0):
        return None
    return "B" if only_b > only_a else "A"


def _ranked(said: Sightings, rows: NDArray[np.int64], labels: Sequence[str]) -> list[Ranking]:
    """What was said of some of the photos, by these labels."""
    place = np.array([labels.index(label) if label in labels else len(labels) for label in said.labels])
    found = [replace(each, classes=place[each.classes]) for each in (said.said[row] for row in rows)]
    there = [replace(each, classes=place[each.classes]) for each in (said.there[row] for row in rows)]
    return rankings(found, there, len(labels))


def _mistakes(ranked: Sequence[Ranking], threshold: float) -> NDArray[np.float64]:
    """On each of N photos, how many boxes were missed, and how many of those said are of nothing: [N]."""
    made = np.zeros(len(ranked[0].there))
    for ranking in ranked:
        said = ranking.scores >= threshold
        signs = np.where(ranking.right[AP50][said], -1.0, 1.0)
        made += ranking.there + np.bincount(ranking.pictures[said], signs, len(made))
    return made


def _ap50(ranked: Sequence[Ranking], weights: Weights) -> float:
    return float(np.nan_to_num(mean_average_precision(ranked, (AP50,), weights)))


def _key(example: Example) -> tuple[str, str]:
    return example.name, example.image


def _paired(a: Sequence[Example], b: Sequence[Example]) -> Rows:
    """The rows of A and B that show the same example, int64 [M, 2]."""
    of_b = {_key(example): row for row, example in enumerate(b)}
    pairs = [(row, of_b[_key(example)]) for row, example in enumerate(a) if _key(example) in of_b]
    if not pairs:
        raise Conflict("the two recognizers were not measured on the same photos")
    return np.array(pairs, np.int64)


def _alone(a: Predictions, b: Predictions) -> list[int]:
    """The rows of A that B could not be measured on: it does not know their label."""
    of_b = {_key(example) for example in b.examples}
    return [row for row, example in enumerate(a.examples) if _key(example) not in of_b]


def _visible(disagreements: int, examples: int) -> float:
    """The least difference in accuracy that n paired photos show with power 0.8 at the 5 % level, for as much disagreement as was seen."""
    disagreements = max(disagreements, FEWEST_DISAGREEMENTS)
    return min(1.0, max((Z + POWER) * math.sqrt(disagreements), FEWEST_DISAGREEMENTS) / examples)
