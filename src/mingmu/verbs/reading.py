"""From photos of texts to a network that reads them: trained, sealed, proven, measured and published."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mingmu.core.errors import BadRequest
from mingmu.core.pixels import PixelSpec
from mingmu.data import reading, splits
from mingmu.data.dataset import Dataset
from mingmu.data.finding import Finding
from mingmu.evaluate.reading import ReadMeasures, read_measures
from mingmu.evaluate.reading_page import reading_page
from mingmu.registry.datasets import DatasetVersion
from mingmu.registry.library import Library
from mingmu.registry.store import Store, Version
from mingmu.registry.teachable import check_teachable
from mingmu.train.identity import identity_of
from mingmu.train.recipe import Recipe
from mingmu.verbs import runs
from mingmu.verbs.course import (
    HELD_OUT_SHARE,
    TEST_SHARE,
    Course,
    Lesson,
    as_learned,
    check_installed,
    network_of,
    time_to_learn,
    with_epochs,
)
from mingmu.verbs.recognizing import Progress, silent
from mingmu.verbs.teaching import SHIPPED

if TYPE_CHECKING:
    from mingmu.train.run import Epoch

LONGEST = 32  # characters: as many as a reader's frame has columns


@dataclass(frozen=True)
class TrainedReader:
    """A reader of one's own, what it learned from, and what was measured of it."""

    version: Version
    dataset: DatasetVersion
    alphabet: tuple[str, ...]
    measures: ReadMeasures
    findings: tuple[Finding, ...]
    curve: tuple[Epoch, ...]
    folder: Path

    def page(self, store: Store) -> str:
        """The report as a page to look at."""
        return reading_page(self.version.name, self.measures, store.blobs)


def train_reader(
    store: Store,
    source: Path,
    *,
    name: str,
    recipe: Recipe,
    epochs: int | None = None,
    seconds: float | None = None,
    resume: bool = False,
    anew: bool = False,
    progress: Progress = silent,
) -> TrainedReader:
    """Train the reader `name` on photos of single lines of text, measure what was sealed, and publish it. The photos become the dataset
    `name`. What is asked for is as for `train`. Raises BadRequest, Conflict, NotFound, MissingExtra.
    """
    check_installed()
    from mingmu.train.nets.readers import FRAME

    began, folder = time.monotonic(), runs.run_of(store, name)
    with runs.alone(store, name):
        check_teachable(store, name, SHIPPED)
        runs.check_start(folder, "training", resume=resume, anew=anew)
        recipe = with_epochs(recipe, epochs, seconds, folder if resume else None)
        found = reading.read(source, store.blobs, progress, texts=True)
        lesson = lesson_of(found.dataset, found.findings, recipe.seed)
        identity = identity_of(recipe, dataset=lesson.dataset.digest)
        if resume:
            runs.check_same(folder, identity, "training")
        pixels = PixelSpec(size=FRAME, fit=recipe.net.fit, margin=recipe.net.margin, filter="bicubic")
        net, origin = network_of(store, "read", len(lesson.labels), recipe, pixels)  # before the photos: it may be refused
        course = Course.prepared(store, name, lesson, recipe, pixels, folder, progress)
        spent = time.monotonic() - began
        left = None if seconds is None else time_to_learn(seconds, spent, net, course.side, len(lesson.part("test")))
        curve = course.learned_by(net, identity=identity, budget=left, resume=resume)
        course = replace(course, recipe=as_learned(recipe, curve))
        digest = course.sealed(net, origin, curve)
        progress("measuring", 0.0)
        measures = read_measures(Library(store).open(digest), lesson.part("test"), store.blobs)
        kept = store.datasets.add(name, lesson.dataset.digest, lesson.dataset.to_lines())
        store.records.add_lineage(digest, lesson.dataset.digest, course.lineage(curve))
        store.records.add_report(digest, lesson.dataset.digest, reading_page(name, measures, store.blobs).encode())
        store.records.add_report(digest, lesson.dataset.digest, measures.to_json())
        runs.keep_weights(store, digest, net.state_dict())
        runs.free_photos(folder)
        progress("done", 1.0)
        return TrainedReader(store.publish(name, digest), kept, lesson.labels, measures, lesson.findings, curve, folder)


def lesson_of(dataset: Dataset, findings: Sequence[Finding], seed: int) -> Lesson:
    """The photos in parts, those of one text together. Raises BadRequest where they cannot be trained on."""
    examples = tuple(example for example in dataset if example.labels)
    if long := [example.name for example in examples if len(example.labels[0]) > LONGEST // 2]:
        raise BadRequest(f"{long[0]} has more than {LONGEST // 2} characters: more than are read from one line")
    texts = [example.labels[0] for example in examples]
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    bare = Dataset(tuple(replace(example, labels=()) for example in examples))
    if len(numbers) < 3:
        raise BadRequest(f"there are photos of {len(numbers)} texts; some must be set aside to measure with")
    parts = splits.split(bare, np.array([numbers[text] for text in texts]), test=TEST_SHARE, calibration=HELD_OUT_SHARE, seed=seed)
    side = {int(at): "test" for at in parts.test} | {int(at): "val" for at in parts.calibration}
    parted = (replace(example, split=side.get(at, "train")) for at, example in enumerate(examples))  # type: ignore[arg-type]
    return Lesson(Dataset.of(parted), (*findings, *parts.findings), "read")
