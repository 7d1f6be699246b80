"""Which view, which features, which head: chosen by cross-validation on the training data, and written down."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from mingmu.core.cpus import cpu_count
from mingmu.core.errors import BadRequest
from mingmu.core.pixels import PixelSpec
from mingmu.teach.calibrate import log_losses, temperature_of
from mingmu.teach.heads import Fitted, Kind, Lesson, judged
from mingmu.teach.truth import Bools, Floats, Ints, Truth, is_right, is_several

Form = Literal["prototype", "discriminant", "logistic", "svm"]
FORMS: tuple[Form, ...] = ("discriminant", "logistic")  # what is compared unless one is asked for

FEW = 5  # photos a class, up to which the nearest class mean is compared, too
SHRINKAGES = (0.1, 0.3, 0.6, 0.9)
PENALTIES = (3e-3, 1e-3, 3e-4)
MOST_WHITENING = 0.6  # shrinkage of the whitening: more leaves logistic regression little to stand on
SCOUTS = 2  # folds on which penalties are compared; the best is then run on all
USUAL = 0.6, 1e-3  # shrinkage and penalty where nothing can be held out
PILOT_SHRINKAGES = (0.3, 0.6)
MARGINS = (1.0, 0.8, 0.65)  # from the whole photo inwards, as long as that clearly helps
WHOLE = "squash", "letterbox"  # fits that show all of a photo
LOST = 1 / 6  # of the middle one of the photos; more than that, and cutting it away must prove its worth: an aspect of 1.2
LARGER = 9 / 7  # 288 for 224 pixels: 1.65 times the work


@dataclass(frozen=True)
class Trial:
    """One candidate, and what it said about held-out examples."""

    what: str
    logits: Floats  # [N, C]
    losses: NDArray[np.float64]  # log-loss of each example, at the best temperature
    correct: Bools

    @classmethod
    def of(cls, what: str, logits: Floats, classes: Truth) -> Trial:
        losses = log_losses(logits, classes, temperature_of(logits, classes))
        return cls(what, logits, losses, is_right(logits, classes))

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
    classes: Truth
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
            lesson = Lesson(features[~held_out], self.classes[~held_out], self.count, self.balance)
            for into, part in zip(logits, judged(lesson, kinds, features[held_out]), strict=True):
                into[held_out] = part

        with ThreadPoolExecutor(cpu_count()) as pool:
            list(pool.map(run, folds))
        return logits


def choose_head(examples: Examples, depths: Sequence[tuple[str, ...]], forms: Sequence[Form] = FORMS) -> HeadChoice:
    """Which shrinkage, then which features, then whether heads that are fitted by descent do better than the discriminant.

    The first of `depths` is used unless another is better by more than a standard error: all features cost nothing to serve.
    """
    folds = range(int(examples.fold.max()) + 1)
    tried = _judged(examples, depths[0], _starts(examples, forms), folds)
    best = min(tried, key=lambda choice: choice.trial.loss)
    for outputs in depths[1:]:
        other = _judged(examples, outputs, [best.kind], folds)[0]
        tried.append(other)
        best = other if other.trial.clearly_better(best.trial) else best
    trials = [choice.trial for choice in tried]
    fits = _fits(forms)
    rivals = [best] if len(fits) < len(forms) else []
    for fitted in fits:
        rival, scouted = _fitted(examples, best, fitted, folds)
        rivals.append(rival)
        trials += [*scouted, rival.trial]
    return replace(min(rivals, key=lambda choice: choice.trial.loss), tried=tuple(trials))


def usual(forms: Sequence[Form], *, several: bool) -> Kind:
    """The kind of head where nothing can be held out."""
    fits = _fits(forms)
    if several or len(fits) == len(forms):
        return Kind(*USUAL, fits[0]) if fits else _needs_fits()
    return Kind(USUAL[0] if tuple(forms) == ("discriminant",) else 1.0)


def _starts(examples: Examples, forms: Sequence[Form]) -> list[Kind]:
    """The kinds among which the shrinkage is chosen, for all that follows."""
    if is_several(examples.classes):
        fitted = next(iter(_fits(forms)), None) or _needs_fits()
        return [Kind(shrinkage, USUAL[1], fitted) for shrinkage in SHRINKAGES if shrinkage <= MOST_WHITENING]
    if tuple(forms) == ("prototype",):
        return [Kind(1.0)]
    few = len(examples.fold) <= FEW * examples.count
    return [Kind(shrinkage) for shrinkage in ((*SHRINKAGES, 1.0) if few or "prototype" in forms else SHRINKAGES)]


def _fits(forms: Sequence[Form]) -> list[Fitted]:
    """Those that are fitted by descent."""
    return [form for form in forms if form in ("logistic", "svm")]


def _needs_fits() -> NoReturn:
    raise BadRequest("some photos have several labels; only logistic regression and support vector machines can learn that")


def judge_head(examples: Examples, outputs: tuple[str, ...], kind: Kind) -> HeadChoice:
    """A head whose kind is given, with what it says about held-out examples."""
    folds = range(int(examples.fold.max()) + 1)
    trial = _trial(outputs, kind, examples.out_of_fold(examples.stacked(outputs), [kind], folds)[0], examples.classes)
    return HeadChoice(outputs, kind, trial, (trial,))


def _judged(examples: Examples, outputs: tuple[str, ...], kinds: Sequence[Kind], folds: range) -> list[HeadChoice]:
    found = examples.out_of_fold(examples.stacked(outputs), kinds, folds)
    trials = [_trial(outputs, kind, logits, examples.classes) for kind, logits in zip(kinds, found, strict=True)]
    return [HeadChoice(outputs, kind, trial, ()) for kind, trial in zip(kinds, trials, strict=True)]


def _fitted(examples: Examples, start: HeadChoice, fitted: Fitted, folds: range) -> tuple[HeadChoice, list[Trial]]:
    """A head fitted in the space that the best one whitens: penalties on a few folds, the best of them on all."""
    features = examples.stacked(start.outputs)
    scouts, rest = folds[:SCOUTS], folds[SCOUTS:]
    seen = np.isin(examples.fold, scouts)
    kinds = [Kind(min(start.kind.shrinkage, MOST_WHITENING), penalty, fitted) for penalty in PENALTIES]
    found = examples.out_of_fold(features, kinds, scouts)
    scouted = [_trial(start.outputs, kind, logits[seen], examples.classes[seen]) for kind, logits in zip(kinds, found, strict=True)]
    best = int(np.argmin([trial.loss for trial in scouted]))
    logits = found[best] + examples.out_of_fold(features, [kinds[best]], rest)[0]
    return HeadChoice(start.outputs, kinds[best], _trial(start.outputs, kinds[best], logits, examples.classes), ()), scouted


def _trial(outputs: Sequence[str], kind: Kind, logits: Floats, classes: Truth) -> Trial:
    return Trial.of(f"{kind} on {' + '.join(outputs)}", logits, classes)


def choose_view(
    own: PixelSpec, pilot: Callable[[PixelSpec], Examples | None], tell: Callable[[float], None], *, lost: float = 0.0, resizes: bool = True
) -> tuple[PixelSpec, tuple[Trial, ...]]:
    """The whole photo, then its middle, then more pixels: each only if it is better by more than a standard error.

    `pilot` looks at a sample; a view is looked at only if the one before it was worth it. Where the largest crop loses a good
    share of the usual photo, `lost`, all of it is looked at, too, stretched and padded. Without evidence nothing is cut
    away, and nothing is made dearer: more pixels cost every later answer. A network that takes one size alone is asked about no other.
    """
    trials: list[Trial] = []
    whole = WHOLE if lost > LOST else ()

    def looked(view: PixelSpec) -> Trial | None:
        examples = pilot(view)
        if examples is None:  # nothing can be held out
            return None
        trials.append(_pilot_trial(view, examples))
        tell(len(trials) / (len(MARGINS) + len(whole) + 1))
        return trials[-1]

    best = own.model_copy(update={"margin": MARGINS[0]})
    evidence = looked(best)
    if evidence is None:
        return own, ()
    views = [best.model_copy(update={"fit": fit}) for fit in whole]
    rivals = [(trial, view) for view in views if (trial := looked(view)) and trial.clearly_better(evidence)]
    if rivals:
        evidence, best = min(rivals, key=lambda rival: rival[0].loss)
    for margin in MARGINS[1:] if best.fit == "crop" else ():
        view = best.model_copy(update={"margin": margin})
        found = looked(view)
        if found is None or not found.clearly_better(evidence):
            break
        best, evidence = view, found
    if not resizes:
        return best, tuple(trials)
    larger = best.model_copy(update={"size": (_of_32(own.size[0] * LARGER), _of_32(own.size[1] * LARGER))})
    found = looked(larger)
    return (larger if found and found.clearly_better(evidence) else best), tuple(trials)


def _pilot_trial(view: PixelSpec, examples: Examples) -> Trial:
    several = is_several(examples.classes)
    kinds = [Kind(*USUAL)] if several else [Kind(shrinkage) for shrinkage in PILOT_SHRINKAGES]
    features = examples.stacked(tuple(examples.values))
    found = examples.out_of_fold(features, kinds, range(int(examples.fold.max()) + 1))
    return min((Trial.of(described(view), logits, examples.classes) for logits in found), key=lambda trial: trial.loss)


def described(view: PixelSpec) -> str:
    """A view in words."""
    fit = f"margin {view.margin:g}" if view.fit == "crop" else view.fit
    return f"{view.size[0]}x{view.size[1]} pixels, {fit}"


def _of_32(side: float) -> int:
    return max(32, round(side / 32) * 32)
