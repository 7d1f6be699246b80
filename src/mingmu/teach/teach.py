"""From labelled images to a head: features, choices, weights, calibration, and a record of it all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from mingmu.core.cpus import plain_products
from mingmu.core.cropping import usual_loss
from mingmu.core.doubt import likeness
from mingmu.core.errors import BadRequest, MingmuError
from mingmu.core.pixels import PixelSpec
from mingmu.data.dataset import Dataset, Example
from mingmu.teach import calibrate
from mingmu.teach.choose import FORMS, Examples, Form, HeadChoice, Trial, choose_head, choose_view, described, judge_head, usual
from mingmu.teach.curve import Growth, growth
from mingmu.teach.features import Extractor
from mingmu.teach.folds import fold_of, stratified_sample
from mingmu.teach.heads import Kind, Lesson, Linear
from mingmu.teach.truth import Floats, Ints, Truth, is_several, rarest

Effort = Literal["quick", "normal", "thorough"]
Progress = Callable[[str, float], None]

PILOT_SHARE: dict[Effort, float] = {"quick": 0.0, "normal": 0.05, "thorough": 0.4}  # of the photos that every view is tried on
PILOT_LEAST = 100  # photos
PILOT_PER_CLASS = 5  # photos: with many labels, fewer leave every difference in the noise


@dataclass(frozen=True)
class Options:
    """How to teach."""

    effort: Effort = "normal"
    """quick: the backbone's own view; normal: views compared on some photos of each label; thorough: on four tenths of all."""
    view: PixelSpec | None = None
    """Look at the photos this way, and compare no others."""
    head: tuple[tuple[str, ...], Kind] | None = None
    """Outputs and kind of head to learn, and compare no others: a quick lesson when a few photos were added."""
    forms: tuple[Form, ...] = FORMS
    """The kinds of head that are compared."""
    balance: float = 0.5
    """How classes of different sizes count: 0 every photo alike, 1 every class alike."""
    seed: int = 0


@dataclass(frozen=True)
class Taught:
    """All that a sealed head is made of."""

    labels: tuple[str, ...]
    pixels: PixelSpec
    outputs: tuple[str, ...]  # of the backbone, side by side
    kind: Kind
    head: Linear
    temperature: float
    arrays: Mapping[str, NDArray[np.float32]]  # for head.npz beside weight and bias: conformal, middle, directions; several labels: none
    strangest: float | None  # a photo less like the known ones than this is unlike anything seen; None: several labels
    images: tuple[str, ...]  # SHA-256 of the photos it learned from
    classes: Truth  # of these photos: index into labels, or which of them
    held_out: Floats | None  # their out-of-fold probabilities [N, C]; None if nothing could be held out
    growth: Growth | None  # what fewer photos would have given; None if nothing could be held out, or the head was given
    refused: Mapping[str, MingmuError]  # photos that could not be read
    record: dict[str, JsonValue]  # what was tried, for the manifest

    @property
    def multi_label(self) -> bool:
        """Whether a photo may show several labels."""
        return is_several(self.classes)


def teach(dataset: Dataset, extract: Extractor, *, options: Options | None = None, progress: Progress | None = None) -> Taught:
    """Learn a head from the labelled photos of a dataset that are not set aside as its test part, as `extract` sees them.

    Every photo shows one of at least two labels; where one shows several, each label is learned as a question of its own.
    Raises BadRequest if it does not fit; an exception from `progress` stops it.
    """
    import scipy.linalg  # noqa: F401 - loaded first: the limit below is set on the libraries that are there

    options = options or Options()
    tell = progress or (lambda _step, _share: None)
    examples = learnable(dataset)
    several = any(len(example.labels) > 1 for example in examples)
    own = extract.network.artifact.manifest.pixels
    with plain_products():  # folds run side by side
        view, view_trials = _view(examples, several, own, extract, options, tell)
        found = extract(view, [example.image for example in examples], lambda share: tell("looking at the photos", share))
        examples = [example for example in examples if example.image not in found.refused]
        readable = ~np.isnan(next(iter(found.values.values()))).any(axis=1)
        values = {name: rows[readable] for name, rows in found.values.items()}
        labels = _labels(examples)
        classes = _classes(examples, labels, several)
        tell("choosing a head", 0.0)
        compared = _examples(values, examples, classes, len(labels), options)
        choice = _choice(compared, tuple(values), options)
        tell("learning", 0.0)
        fold = compared.fold if compared else None
        taught = _taught(values, examples, classes, labels, choice, fold, options, view, found.refused, view_trials)
    tell("learning", 1.0)
    return taught


def learnable(dataset: Dataset) -> list[Example]:
    """The photos to learn from: labelled, not of the test part. Raises BadRequest for fewer than two labels."""
    examples = [example for example in dataset if example.labels and example.split != "test"]
    _labels(examples)
    return examples


def _labels(examples: Sequence[Example]) -> tuple[str, ...]:
    labels = Dataset(tuple(examples)).labels
    if len(labels) < 2:
        raise BadRequest(f"there are readable photos of {len(labels)} labels; teaching needs at least 2")
    return labels


def _classes(examples: Sequence[Example], labels: tuple[str, ...], several: bool) -> Truth:
    if several:
        return np.array([[label in example.labels for label in labels] for example in examples], np.bool_)
    index = {label: number for number, label in enumerate(labels)}
    return np.array([index[example.labels[0]] for example in examples], np.int64)


def _groups(examples: Sequence[Example]) -> list[str]:
    return [example.group or example.image for example in examples]


def _examples(values: Mapping[str, Floats], examples: Sequence[Example], classes: Truth, count: int, options: Options) -> Examples | None:
    """What heads are compared on; None if nothing can be held out. The same photo twice is one group."""
    fold = fold_of(classes, _groups(examples), options.seed)
    return None if fold is None else Examples(values, classes, count, fold, options.balance)


def _view(
    examples: Sequence[Example], several: bool, own: PixelSpec, extract: Extractor, options: Options, tell: Progress
) -> tuple[PixelSpec, tuple[Trial, ...]]:
    share = PILOT_SHARE[options.effort]
    if options.view is not None or share == 0 or own.fit != "crop":
        return options.view or own, ()
    labels = _labels(examples)
    size = max(PILOT_LEAST, PILOT_PER_CLASS * len(labels), round(share * len(examples)))
    images = [example.image for example in examples]
    classes = rarest(_classes(examples, labels, several))
    sample = [examples[i] for i in stratified_sample(classes, images, min(size, len(examples)))]

    def pilot(view: PixelSpec) -> Examples | None:  # None: nothing can be held out
        found = extract(view, [example.image for example in sample])
        kept = [example for example in sample if example.image not in found.refused]
        readable = ~np.isnan(next(iter(found.values.values()))).any(axis=1)
        labels = _labels(kept)
        values = {name: rows[readable] for name, rows in found.values.items()}
        return _examples(values, kept, _classes(kept, labels, several), len(labels), options)

    lost = usual_loss(own.model_copy(update={"margin": 1.0}), (example.image for example in sample), extract.blobs.get)
    resizes = extract.network.takes_any_size
    return choose_view(own, pilot, lambda done: tell("comparing views", done), lost=lost, resizes=resizes)


def _choice(examples: Examples | None, outputs: tuple[str, ...], options: Options) -> HeadChoice | None:
    if examples is None:
        return None
    if options.head is not None:
        return judge_head(examples, *options.head)
    return choose_head(examples, [outputs, outputs[:1]] if len(outputs) > 1 else [outputs], options.forms)


def _taught(
    values: Mapping[str, Floats],
    examples: Sequence[Example],
    classes: Truth,
    labels: tuple[str, ...],
    choice: HeadChoice | None,
    fold: Ints | None,
    options: Options,
    view: PixelSpec,
    refused: Mapping[str, MingmuError],
    view_trials: Sequence[Trial],
) -> Taught:
    outputs = choice.outputs if choice else tuple(values)
    features = np.ascontiguousarray(np.concatenate([values[name] for name in outputs], axis=1))
    lesson = Lesson(features, classes, len(labels), options.balance)
    kind = choice.kind if choice else usual(options.forms, several=is_several(classes))
    head = lesson.fit(kind)
    held_out = None if choice is None or fold is None else calibrate.held_out_scores(choice.trial.logits, classes, fold)
    if choice and fold is not None and _is_alike(fold, len(labels)):
        proven = held_out
        temperature = _temperature(lesson, choice, fold, fold_of(classes, _groups(examples), options.seed, 2))
    else:
        proven = None
        temperature = calibrate.temperature_of(head(features), classes, wrong=calibrate.UNPROVEN)
    return Taught(
        labels=labels,
        pixels=view,
        outputs=outputs,
        kind=kind,
        head=head,
        temperature=temperature,
        arrays={} if is_several(classes) else _doubt(lesson, classes, proven),
        strangest=None if is_several(classes) else calibrate.strangest(_likeness(features, lesson, fold)),
        images=tuple(example.image for example in examples),
        classes=classes,
        held_out=held_out,
        growth=None if choice is None or fold is None or options.head else _growth(lesson, choice, fold, examples, options),
        refused=refused,
        record=_record(options, kind, view, view_trials, choice),
    )


def _growth(lesson: Lesson, choice: HeadChoice, fold: Ints, examples: Sequence[Example], options: Options) -> Growth:
    return growth(lesson, choice.trial.correct, fold, _groups(examples), choice.kind, options.seed)


def _temperature(lesson: Lesson, choice: HeadChoice, fold: Ints, half: Ints | None) -> float:
    """What the head that learned from all photos needs, seen from heads that learned from most of them and from half."""
    found = calibrate.careful_temperature(choice.trial.logits, lesson.classes)
    if half is None or not _is_alike(half, lesson.count):
        return found
    halves = Examples({}, lesson.classes, lesson.count, half, lesson.balance)
    logits = halves.out_of_fold(lesson.features, [choice.kind], range(2))[0]
    return calibrate.foreseen_temperature(found, fold, calibrate.careful_temperature(logits, lesson.classes), half)


def _is_alike(fold: Ints, count: int) -> bool:
    """Whether what heads of cross-validation said about the photos held out holds for the head that learned from all.

    Not if they learned from one photo a class: they know nothing of how photos of a class differ, and speak on another scale.
    """
    return len(fold) - int(np.bincount(fold).max()) > count


def _doubt(lesson: Lesson, classes: Truth, held_out: Floats | None) -> dict[str, Floats]:
    """What the head knows of its own limits, as arrays of head.npz."""
    scores = np.zeros(0, np.float32) if held_out is None else calibrate.conformal_scores(held_out, classes)
    return {"conformal": scores, "middle": lesson.means.mean(axis=0), "directions": calibrate.directions(lesson.means)}


def _likeness(features: Floats, lesson: Lesson, fold: Ints | None) -> Floats:
    """How much each photo is like the others: against class means that it had no part in, where that can be had."""
    if fold is None:
        return likeness(features, lesson.means.mean(axis=0), calibrate.directions(lesson.means))
    found = np.zeros(len(features), np.float32)
    for number in np.unique(fold):
        held_out = fold == number
        known, classes = np.unique(lesson.classes[~held_out], return_inverse=True)
        means = Lesson(features[~held_out], classes, len(known)).means
        found[held_out] = likeness(features[held_out], means.mean(axis=0), calibrate.directions(means))
    return found


def _record(options: Options, kind: Kind, view: PixelSpec, views: Sequence[Trial], choice: HeadChoice | None) -> dict[str, JsonValue]:
    return {
        "head": str(kind),
        "view": described(view),
        "effort": options.effort,
        "balance": options.balance,
        "seed": options.seed,
        "views_tried": [trial.record() for trial in views],
        "heads_tried": [trial.record() for trial in choice.tried] if choice else [],
    }
