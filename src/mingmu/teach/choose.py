"""Which view, which features, which head: chosen by cross-validation on the training data, and written down."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from mingmu.core.cpus import cpu_count
from mingmu.core.pixels import PixelSpec
from mingmu.teach.calibrate import log_losses, temperature_of
from mingmu.teach.heads import Floats, Ints, Kind, Lesson

SHRINKAGES = (0.1, 0.3, 0.6, 0.9)
PENALTIES = (3e-3, 1e-3, 3e-4)
MOST_WHITENING = 0.6  # shrinkage of the whitening: more leaves logistic regression little to stand on
SCOUTS = 2  # folds on which penalties are compared; the best is then run on all
PILOT_SHRINKAGES = (0.3, 0.6)
MARGINS = (1.0, 0.8, 0.65)  # from the whole photo inwards, as long as that clearly helps
LARGER = 9 / 7  # 288 for 224 pixels: 1.65 times the work


@dataclass(frozen=True)
class Trial:
    """One candidate, and what it said about held-out examples."""

    what: str
    logits: Floats  # [N, C]
    losses: NDArray[np.float64]  # log-loss of each example, at the best temperature
    correct: NDArray[np.bool_]

    @classmethod
    def of(cls, what: str, logits: Floats, classes: Ints) -> Trial:
        losses = log_losses(logits, classes, temperature_of(logits, classes))
        return cls(what, logits, losses, logits.argmax(axis=1) == classes)

    @property
    def loss(self) -> float:
        return float(self.losses.mean())

    def record(self) -> dict[str, JsonValue]:
        """As it goes into the manifest."""
        accuracy = round(float(self.correct.mean()), 4)
        return {"what": self.what, "log_loss": round(self.loss, 4), "accuracy": accuracy, "photos": len(self.losses)}

    def clearly_better(self, other: Trial) -> bool:
        """By more than one standard error of the paired differences."""
        gain = other.losses - self.losses
        return float(gain.mean()) > float(gain.std()) / math.sqrt(len(gain))


@dataclass(frozen=True)
class HeadChoice:
    """The winner, and all that was compared."""

    outputs: tuple[str, ...]
    kind: Kind
    trial: Trial
    tried: tuple[Trial, ...]


@dataclass(frozen=True)
class Examples:
    """What heads are compared on."""

    values: Mapping[str, Floats]  # features by output, [N, F]
    classes: Ints
    count: int  # classes
    fold: Ints
    balance: float

    def stacked(self, outputs: Sequence[str]) -> Floats:
        """The outputs side by side, in this order."""
        return np.ascontiguousarray(np.concatenate([self.values[name] for name in outputs], axis=1))

    def out_of_fold(self, features: Floats, kinds: Sequence[Kind], folds: Sequence[int]) -> list[Floats]:
        """Logits [N, C] of each kind for the examples of these folds; the rest stay zero. Both cores work."""
        logits = [np.zeros((len(features), self.count), np.float32) for _ in kinds]

        def run(number: int) -> None:
            held_out = self.fold == number
            for into, part in zip(logits, held_out_logits(self, features, held_out, kinds), strict=True):
                into[held_out] = part

        with ThreadPoolExecutor(cpu_count()) as pool:
            list(pool.map(run, folds))
        return logits


def held_out_logits(examples: Examples, features: Floats, held_out: NDArray[np.bool_], kinds: Sequence[Kind]) -> list[Floats]:
    """What heads that learned from the others say; a class that is not among the others gets the lowest logit."""
    learned, classes = np.unique(examples.classes[~held_out], return_inverse=True)
    lesson = Lesson(features[~held_out], classes, len(learned), examples.balance)
    found = []
    for head in lesson.fit_all(kinds):
        part = head(features[held_out])
        logits = np.repeat(part.min(axis=1, keepdims=True), examples.count, axis=1)
        logits[:, learned] = part
        found.append(logits)
    return found


def choose_head(examples: Examples, depths: Sequence[tuple[str, ...]]) -> HeadChoice:
    """Which shrinkage, then which features, then whether logistic regression does better than the discriminant.

    The first of `depths` is used unless another is better by more than a standard error: all features cost nothing to serve.
    """
    folds = range(int(examples.fold.max()) + 1)
    tried = _discriminants(examples, depths[0], SHRINKAGES, folds)
    best = min(tried, key=lambda choice: choice.trial.loss)
    for outputs in depths[1:]:
        other = _discriminants(examples, outputs, [best.kind.shrinkage], folds)[0]
        tried.append(other)
        best = other if other.trial.clearly_better(best.trial) else best
    logistic, scouted = _logistic(examples, best, folds)
    winner = min((best, logistic), key=lambda choice: choice.trial.loss)
    return replace(winner, tried=(*(choice.trial for choice in tried), *scouted, logistic.trial))


def judge_head(examples: Examples, outputs: tuple[str, ...], kind: Kind) -> HeadChoice:
    """A head whose kind is given, with what it says about held-out examples."""
    folds = range(int(examples.fold.max()) + 1)
    trial = _trial(outputs, kind, examples.out_of_fold(examples.stacked(outputs), [kind], folds)[0], examples.classes)
    return HeadChoice(outputs, kind, trial, (trial,))


def _discriminants(examples: Examples, outputs: tuple[str, ...], shrinkages: Sequence[float], folds: range) -> list[HeadChoice]:
    kinds = [Kind(shrinkage) for shrinkage in shrinkages]
    found = examples.out_of_fold(examples.stacked(outputs), kinds, folds)
    trials = [_trial(outputs, kind, logits, examples.classes) for kind, logits in zip(kinds, found, strict=True)]
    return [HeadChoice(outputs, kind, trial, ()) for kind, trial in zip(kinds, trials, strict=True)]


def _logistic(examples: Examples, start: HeadChoice, folds: range) -> tuple[HeadChoice, list[Trial]]:
    """Logistic regression, whitened as the best discriminant: penalties on a few folds, the best of them on all."""
    features = examples.stacked(start.outputs)
    scouts, rest = folds[:SCOUTS], folds[SCOUTS:]
    seen = np.isin(examples.fold, scouts)
    kinds = [Kind(min(start.kind.shrinkage, MOST_WHITENING), penalty) for penalty in PENALTIES]
    found = examples.out_of_fold(features, kinds, scouts)
    scouted = [_trial(start.outputs, kind, logits[seen], examples.classes[seen]) for kind, logits in zip(kinds, found, strict=True)]
    best = int(np.argmin([trial.loss for trial in scouted]))
    logits = found[best] + examples.out_of_fold(features, [kinds[best]], rest)[0]
    return HeadChoice(start.outputs, kinds[best], _trial(start.outputs, kinds[best], logits, examples.classes), ()), scouted


def _trial(outputs: Sequence[str], kind: Kind, logits: Floats, classes: Ints) -> Trial:
    return Trial.of(f"{kind} on {' + '.join(outputs)}", logits, classes)


def choose_view(
    own: PixelSpec, pilot: Callable[[PixelSpec], Examples | None], tell: Callable[[float], None]
) -> tuple[PixelSpec, tuple[Trial, ...]]:
    """The whole photo, then its middle, then more pixels: each only if it is better by more than a standard error.

    `pilot` looks at a sample; a view is looked at only if the one before it was worth it. Without evidence nothing is cut
    away, and nothing is made dearer: more pixels cost every later answer.
    """
    trials: list[Trial] = []

    def better(view: PixelSpec, than: Trial | None) -> Trial | None:
        examples = pilot(view)
        if examples is None:  # nothing can be held out
            return None
        trials.append(_pilot_trial(view, examples))
        tell(len(trials) / (len(MARGINS) + 1))
        return trials[-1] if than is None or trials[-1].clearly_better(than) else None

    best, evidence = own, None
    for margin in MARGINS:
        view = own.model_copy(update={"margin": margin})
        found = better(view, evidence)
        if found is None:
            break
        best, evidence = view, found
    if evidence is None:
        return own, ()
    larger = best.model_copy(update={"size": (_of_32(own.size[0] * LARGER), _of_32(own.size[1] * LARGER))})
    return (larger if better(larger, evidence) else best), tuple(trials)


def _pilot_trial(view: PixelSpec, examples: Examples) -> Trial:
    kinds = [Kind(shrinkage) for shrinkage in PILOT_SHRINKAGES]
    features = examples.stacked(tuple(examples.values))
    found = examples.out_of_fold(features, kinds, range(int(examples.fold.max()) + 1))
    what = f"{view.size[0]}x{view.size[1]} pixels, margin {view.margin:g}"
    return min((Trial.of(what, logits, examples.classes) for logits in found), key=lambda trial: trial.loss)


def _of_32(side: float) -> int:
    return max(32, round(side / 32) * 32)
