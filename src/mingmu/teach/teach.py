"""From labelled images to a head: features, choices, weights, calibration, and a record of it all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from mingmu.core.doubt import likeness
from mingmu.core.errors import BadRequest, MingmuError
from mingmu.core.pixels import PixelSpec
from mingmu.data.dataset import Dataset, Example
from mingmu.teach import calibrate
from mingmu.teach.choose import Examples, HeadChoice, Trial, choose_head, choose_view, judge_head
from mingmu.teach.curve import growth
from mingmu.teach.features import Extractor
from mingmu.teach.folds import fold_of, stratified_sample
from mingmu.teach.heads import Floats, Ints, Kind, Lesson, Linear

Effort = Literal["quick", "normal", "thorough"]
Progress = Callable[[str, float], None]

PILOT_SHARE: dict[Effort, float] = {"quick": 0.0, "normal": 0.1, "thorough": 0.4}  # of the photos that every view is tried on
PILOT_LEAST = 100  # photos
USUAL = Kind(0.6)  # where nothing can be held out


@dataclass(frozen=True)
class Options:
    """How to teach."""

    effort: Effort = "normal"
    """quick: the backbone's own view; normal: views compared on a tenth of the photos; thorough: on four tenths."""
    view: PixelSpec | None = None
    """Look at the photos this way, and compare no others."""
    head: tuple[tuple[str, ...], Kind] | None = None
    """Outputs and kind of head to learn, and compare no others: a quick lesson when a few photos were added."""
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
    arrays: Mapping[str, NDArray[np.float32]]  # for head.npz beside weight and bias: conformal, middle, directions
    strangest: float  # a photo less like the known ones than this is unlike anything seen
    images: tuple[str, ...]  # SHA-256 of the photos it learned from
    classes: Ints  # of these photos, index into labels
    held_out: Floats | None  # their out-of-fold probabilities [N, C]; None if nothing could be held out
    growth: tuple[tuple[int, float], ...]  # photos learned from, and the accuracy that they gave on others
    refused: Mapping[str, MingmuError]  # photos that could not be read
    record: dict[str, JsonValue]  # what was tried, for the manifest


def teach(dataset: Dataset, extract: Extractor, *, options: Options | None = None, progress: Progress | None = None) -> Taught:
    """Learn a head from the labelled photos of a dataset that are not set aside as its test part, as `extract` sees them.

    Every photo shows one of at least two labels. Raises BadRequest if it does not fit; an exception from `progress` stops it.
    """
    import scipy.linalg  # noqa: F401 - loaded first: the limit below is set on the libraries that are there
    from threadpoolctl import threadpool_limits

    options = options or Options()
    tell = progress or (lambda _step, _share: None)
    examples = learnable(dataset)
    labels = tuple(sorted({example.labels[0] for example in examples}))
    own = extract.network.artifact.manifest.pixels
    with threadpool_limits(1, "blas"):  # folds run side by side; several threads on one small product only wait for each other
        view, view_trials = _view(examples, labels, own, extract, options, tell)
        found = extract(view, [example.image for example in examples], lambda share: tell("looking at the photos", share))
        examples = [example for example in examples if example.image not in found.refused]
        readable = ~np.isnan(next(iter(found.values.values()))).any(axis=1)
        values = {name: rows[readable] for name, rows in found.values.items()}
        labels = _labels(examples)
        tell("choosing a head", 0.0)
        compared = _examples(values, examples, labels, options)
        choice = _choice(compared, tuple(values), options)
        tell("learning", 0.0)
        fold = compared.fold if compared else None
        taught = _taught(values, examples, labels, choice, fold, options, view, found.refused, view_trials)
    tell("learning", 1.0)
    return taught


def learnable(dataset: Dataset) -> list[Example]:
    """The photos to learn from: labelled, not of the test part. Raises BadRequest for several labels on a photo."""
    examples = [example for example in dataset if example.labels and example.split != "test"]
    several = next((example for example in examples if len(example.labels) > 1), None)
    if several is not None:
        raise BadRequest(f"{several.name} has {len(several.labels)} labels; a head says which one label a photo shows, so give each one")
    _labels(examples)
    return examples


def _labels(examples: Sequence[Example]) -> tuple[str, ...]:
    labels = tuple(sorted({example.labels[0] for example in examples}))
    if len(labels) < 2:
        raise BadRequest(f"there are readable photos of {len(labels)} labels; teaching needs at least 2")
    return labels


def _classes(examples: Sequence[Example], labels: tuple[str, ...]) -> Ints:
    index = {label: number for number, label in enumerate(labels)}
    return np.array([index[example.labels[0]] for example in examples], np.int64)


def _examples(values: Mapping[str, Floats], examples: Sequence[Example], labels: tuple[str, ...], options: Options) -> Examples | None:
    """What heads are compared on; None if nothing can be held out. The same photo twice is one group."""
    classes = _classes(examples, labels)
    fold = fold_of(classes, [example.group or example.image for example in examples], options.seed)
    return None if fold is None else Examples(values, classes, len(labels), fold, options.balance)


def _view(
    examples: Sequence[Example], labels: tuple[str, ...], own: PixelSpec, extract: Extractor, options: Options, tell: Progress
) -> tuple[PixelSpec, tuple[Trial, ...]]:
    share = PILOT_SHARE[options.effort]
    if options.view is not None or share == 0 or own.fit != "crop":
        return options.view or own, ()
    size = max(PILOT_LEAST, round(share * len(examples)))
    images = [example.image for example in examples]
    sample = [examples[i] for i in stratified_sample(_classes(examples, labels), images, min(size, len(examples)))]

    def pilot(view: PixelSpec) -> Examples | None:  # None: nothing can be held out
        found = extract(view, [example.image for example in sample])
        kept = [example for example in sample if example.image not in found.refused]
        readable = ~np.isnan(next(iter(found.values.values()))).any(axis=1)
        return _examples({name: rows[readable] for name, rows in found.values.items()}, kept, _labels(kept), options)

    return choose_view(own, pilot, lambda done: tell("comparing views", done))


def _choice(examples: Examples | None, outputs: tuple[str, ...], options: Options) -> HeadChoice | None:
    if examples is None:
        return None
    if options.head is not None:
        return judge_head(examples, *options.head)
    return choose_head(examples, [outputs, outputs[:1]] if len(outputs) > 1 else [outputs])


def _taught(
    values: Mapping[str, Floats],
    examples: Sequence[Example],
    labels: tuple[str, ...],
    choice: HeadChoice | None,
    fold: Ints | None,
    options: Options,
    view: PixelSpec,
    refused: Mapping[str, MingmuError],
    view_trials: Sequence[Trial],
) -> Taught:
    classes = _classes(examples, labels)
    outputs = choice.outputs if choice else tuple(values)
    features = np.ascontiguousarray(np.concatenate([values[name] for name in outputs], axis=1))
    lesson = Lesson(features, classes, len(labels), options.balance)
    kind = choice.kind if choice else USUAL
    head = lesson.fit(kind)
    logits = choice.trial.logits if choice else head(features)
    temperature = calibrate.temperature_of(logits, classes)
    held_out = calibrate.probabilities_of(logits, temperature) if choice else None
    middle, toward = lesson.means.mean(axis=0), calibrate.directions(lesson.means)
    scores = calibrate.conformal_scores(held_out, classes) if held_out is not None else np.zeros(0, np.float32)
    return Taught(
        labels=labels,
        pixels=view,
        outputs=outputs,
        kind=kind,
        head=head,
        temperature=temperature,
        arrays={"conformal": scores, "middle": middle, "directions": toward},
        strangest=calibrate.strangest(_likeness(features, lesson, fold)),
        images=tuple(example.image for example in examples),
        classes=classes,
        held_out=held_out,
        growth=() if fold is None else tuple(growth(features, classes, fold, kind, options.balance, options.seed)),
        refused=refused,
        record=_record(options, kind, view, view_trials, choice),
    )


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
        "view": f"{view.size[0]}x{view.size[1]} pixels, margin {view.margin:g}",
        "effort": options.effort,
        "balance": options.balance,
        "seed": options.seed,
        "views_tried": [trial.record() for trial in views],
        "heads_tried": [trial.record() for trial in choice.tried] if choice else [],
    }
