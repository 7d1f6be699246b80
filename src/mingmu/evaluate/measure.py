"""How good predictions are: every figure with its interval, and the name of the method that gave it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mingmu.core.errors import Conflict
from mingmu.evaluate.calibration import Calibration, Coverage, Selective, calibration, coverage, selective
from mingmu.evaluate.intervals import Estimate, Weights, bootstrap, effective_share, f1, mean, proportion
from mingmu.evaluate.predictions import Failure, Predictions

THRESHOLD = 0.5  # with several labels: from which score on a label is said
WORST = 24
SMALLEST_SCORE = 1e-7  # a float32 score of 0 would cost an infinite log-loss
FEW = 30  # examples of a class under which its figures say little

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ClassMeasures:
    """One label: of those said, how many were right (precision); of those there, how many were found (recall)."""

    label: str
    support: int  # examples that carry it
    said: int  # examples it was said of
    precision: Estimate | None  # None: never said
    recall: Estimate | None  # None: no example carries it
    f1: Estimate | None  # None: neither
    average_precision: float | None = None  # with several labels


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong answer and how sure it was."""

    name: str
    image: str  # SHA-256
    truth: tuple[str, ...]
    said: str  # with several labels also "not X", where X was overlooked
    score: float  # of that label
    truth_score: float  # of the true label (with several: the lowest of theirs)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What could not be measured; nothing is dropped silently."""

    unreadable: tuple[Failure, ...]
    unknown: tuple[tuple[str, int], ...]  # labels that the recognizer does not know, with their examples
    unknown_examples: int  # that carry no other label
    unlabelled: int
    learned: int = 0  # taught it, or are copies of photos that did: they would flatter it

    @property
    def missed(self) -> int:
        """Labelled examples without a fair chance: unreadable, or of an unknown label."""
        return len(self.unreadable) + self.unknown_examples


@dataclass(frozen=True, slots=True)
class Measures:
    """Everything that was measured on N examples."""

    source: str  # what kind of examples
    examples: int
    groups: int  # fewer than examples where some belong together
    multi_label: bool
    left_out: LeftOut
    accuracy: Estimate  # with several labels: all of an example's labels are right
    accuracy_of_all: Estimate | None  # with those left out counted as wrong; None: none was
    balanced_accuracy: Estimate  # mean recall over the labels that occur
    macro_f1: Estimate  # mean F1 over the labels that occur
    log_loss: Estimate
    mean_average_precision: Estimate | None  # with several labels
    classes: tuple[ClassMeasures, ...]  # in the recognizer's order
    confusion: tuple[tuple[int, int, int], ...]  # (true label, said label, count), as places in `classes`; empty with several labels
    calibration: Calibration
    selective: tuple[Selective, ...]
    coverage: tuple[Coverage, ...]
    mistakes: tuple[Mistake, ...]  # the surest first
    lost: float = 0.0  # the share of the usual photo, 0 to 1, that lies outside of the view and is never looked at

    def confused(self, most: int) -> list[tuple[str, str, int, int]]:
        """The commonest confusions: true label, said label, how many examples, and of how many that carry the true one."""
        wrong = sorted((cell for cell in self.confusion if cell[0] != cell[1]), key=lambda cell: -cell[2])
        return [
            (self.classes[true].label, self.classes[said].label, count, self.classes[true].support) for true, said, count in wrong[:most]
        ]

    def occurring(self) -> list[ClassMeasures]:
        """The labels that an example carries or that were said, the lowest F1 first."""
        return sorted((found for found in self.classes if found.f1), key=lambda found: found.f1.value if found.f1 else 0.0)


def measure(predictions: Predictions, *, sets: Mapping[float, Bools] | None = None, lost: float = 0.0, seed: int = 0) -> Measures:
    """Measure predictions. `sets` are prediction sets, bool [N, C], by the coverage that each promises (0.8 .. 0.99).

    `lost` is the share of the usual photo that the view leaves out.
    Raises Conflict for scores that are no numbers, and for sets that do not fit.
    """
    _check(predictions, sets or {})
    groups, right = predictions.groups, predictions.right
    said = _said(predictions)
    effective = effective_share(right, groups)
    confidence, confident_right = _confidence(predictions)
    classes = _classes(predictions, said, effective)
    left_out = LeftOut(predictions.failures, predictions.unknown, predictions.left_out, predictions.unlabelled, predictions.learned)
    return Measures(
        source=predictions.source,
        examples=len(predictions),
        groups=int(groups.max()) + 1,
        multi_label=predictions.multi_label,
        left_out=left_out,
        accuracy=proportion(float(right.sum()), len(right), effective=effective),
        accuracy_of_all=proportion(float(right.sum()), len(right) + left_out.missed, effective=effective) if left_out.missed else None,
        balanced_accuracy=mean([found.recall for found in classes if found.recall]),
        macro_f1=_macro_f1(predictions, said, classes, seed),
        log_loss=_log_loss(predictions, seed),
        mean_average_precision=_mean_average_precision(predictions, seed) if predictions.multi_label else None,
        classes=classes,
        confusion=() if predictions.multi_label else _confusion(predictions),
        calibration=calibration(confidence, confident_right, effective=effective, seed=seed),
        selective=selective(confidence, confident_right, effective=effective),
        coverage=coverage(sets or {}, predictions.truth, effective=effective),
        mistakes=_mistakes(predictions),
        lost=lost,
    )


def _check(predictions: Predictions, sets: Mapping[float, Bools]) -> None:
    if not np.isfinite(predictions.scores).all():
        raise Conflict(
            f"{int((~np.isfinite(predictions.scores)).any(axis=1).sum())} of {len(predictions)} examples have scores that are no numbers"
        )
    for promised, members in sets.items():
        if members.shape != predictions.truth.shape or not 0 < promised < 1:
            raise Conflict(f"sets of shape {members.shape} that promise {promised} do not fit truth of shape {predictions.truth.shape}")


def _said(predictions: Predictions) -> Bools:
    """Which labels were said, bool [N, C]: the surest, or with several labels all from 0.5 on."""
    if predictions.multi_label:
        return np.asarray(predictions.scores >= THRESHOLD)
    said = np.zeros_like(predictions.truth)
    said[np.arange(len(said)), predictions.scores.argmax(axis=1)] = True
    return said


def _confidence(predictions: Predictions) -> tuple[NDArray[np.float64], Bools]:
    """How sure each answer was, and whether it was right; with several labels each label of each example is an answer."""
    if predictions.multi_label:
        return predictions.scores.ravel().astype(np.float64), predictions.truth.ravel()
    return predictions.scores.max(axis=1).astype(np.float64), predictions.right


def _classes(predictions: Predictions, said: Bools, effective: float) -> tuple[ClassMeasures, ...]:
    truth = predictions.truth
    hits, said_of, support = (truth & said).sum(axis=0), said.sum(axis=0), truth.sum(axis=0)
    ranked = average_precision(predictions.scores, truth) if predictions.multi_label else None
    return tuple(
        _class(label, int(hits[i]), int(said_of[i]), int(support[i]), None if ranked is None else float(ranked[i]), effective)
        for i, label in enumerate(predictions.labels)
    )


def _class(label: str, hits: int, said: int, support: int, ranked: float | None, effective: float) -> ClassMeasures:
    return ClassMeasures(
        label=label,
        support=support,
        said=said,
        precision=proportion(hits, said, effective=effective) if said else None,
        recall=proportion(hits, support, effective=effective) if support else None,
        f1=f1(hits, said - hits, support - hits, effective=effective) if said or support else None,
        average_precision=ranked if support else None,
    )


def _macro_f1(predictions: Predictions, said: Bools, classes: tuple[ClassMeasures, ...], seed: int) -> Estimate:
    """Mean F1 over the labels that occur. Without a single mistake the bootstrap sees no spread: then the classes' own intervals speak."""
    truth = predictions.truth
    if (said == truth).all():
        return mean([found.f1 for found in classes if found.f1 and found.support])
    place = [np.nonzero(cells.T) for cells in (truth & said, said, truth)]  # (label, example) of each hit, answer and truth

    def macro(weights: Weights) -> float:
        hits, said_of, support = (np.bincount(label, weights[example], len(classes)) for label, example in place)
        occurs = support > 0
        return float((2 * hits[occurs] / (said_of[occurs] + support[occurs])).mean())

    return bootstrap(macro, predictions.groups, seed=seed)


def _log_loss(predictions: Predictions, seed: int) -> Estimate:
    """Mean of -log(score of the truth); with several labels the mean over labels of the binary one."""
    scores = np.clip(predictions.scores.astype(np.float64), SMALLEST_SCORE, 1 - SMALLEST_SCORE)
    if predictions.multi_label:
        losses = -np.log(np.where(predictions.truth, scores, 1 - scores)).mean(axis=1)
    else:
        losses = -np.log(scores[predictions.truth])
    return bootstrap(_mean_of(losses), predictions.groups, seed=seed)


def _mean_of(values: NDArray[np.float64]) -> Callable[[Weights], float]:
    return lambda weights: float(values @ weights / weights.sum())


def average_precision(scores: NDArray[np.float32], truth: Bools, weights: Weights | None = None) -> NDArray[np.float64]:
    """Average precision of each label, float64 [C]: precision at each true example, averaged; NaN where no example carries it.

    Examples of equal score count together, so their order does not matter.
    """
    order = np.argsort(-scores, axis=0, kind="stable")
    return np.array(
        [_ranked_precision(scores[o, i], truth[o, i], np.ones(len(o)) if weights is None else weights[o]) for i, o in enumerate(order.T)]
    )


def _ranked_precision(scores: NDArray[np.float32], truth: Bools, weights: Weights) -> float:
    last = np.searchsorted(-scores, -scores, side="right") - 1  # of the examples that tie with each
    hits = np.cumsum(weights * truth)
    if hits[-1] == 0:
        return float("nan")
    seen = np.maximum(np.cumsum(weights), np.finfo(float).tiny)
    return float((weights * truth) @ (hits / seen)[last] / hits[-1])


def _mean_average_precision(predictions: Predictions, seed: int) -> Estimate:
    return bootstrap(
        lambda weights: float(np.nanmean(average_precision(predictions.scores, predictions.truth, weights))),
        predictions.groups,
        seed=seed,
        replicates=200,  # each sorts all scores
    )


def _confusion(predictions: Predictions) -> tuple[tuple[int, int, int], ...]:
    pairs, counts = np.unique(np.stack([predictions.truth.argmax(axis=1), predictions.scores.argmax(axis=1)]), axis=1, return_counts=True)
    return tuple((int(true), int(said), int(count)) for (true, said), count in zip(pairs.T, counts, strict=True))


def _mistakes(predictions: Predictions) -> tuple[Mistake, ...]:
    """The surest wrong answers. With several labels: the farthest score on the wrong side of 0.5 of each example."""
    wrongness = np.where(predictions.truth, 1 - predictions.scores, predictions.scores)
    if not predictions.multi_label:
        wrongness = np.where(predictions.truth, 0, predictions.scores)
    wrong = np.nonzero(~predictions.right)[0]
    order = wrong[np.argsort(-wrongness[wrong].max(axis=1), kind="stable")][:WORST]
    return tuple(_mistake(predictions, int(row), int(wrongness[row].argmax())) for row in order)


def _mistake(predictions: Predictions, row: int, column: int) -> Mistake:
    example, truth, scores = predictions.examples[row], predictions.truth[row], predictions.scores[row]
    return Mistake(
        name=example.name,
        image=example.image,
        truth=tuple(label for label, true in zip(predictions.labels, truth, strict=True) if true),
        said=f"not {predictions.labels[column]}" if truth[column] else predictions.labels[column],
        score=float(scores[column]),
        truth_score=float(scores[truth].min()),
    )
