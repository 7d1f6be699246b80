"""From photos of texts to a network that reads them: trained, sealed, proven, measured and published."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import JsonValue

from mingmu.core.errors import BadRequest
from mingmu.core.manifest import Manifest, Origin
from mingmu.core.pixels import PixelSpec
from mingmu.core.runtime import TEXT
from mingmu.core.sealing import seal_network
from mingmu.data import reading, splits
from mingmu.data.dataset import Dataset, Example
from mingmu.data.finding import Finding
from mingmu.evaluate.reading import ReadMeasures, read_measures
from mingmu.evaluate.reading_page import reading_page
from mingmu.registry.datasets import DatasetVersion
from mingmu.registry.library import Library
from mingmu.registry.store import Store, Version
from mingmu.registry.teachable import check_teachable
from mingmu.train.recipe import HARMLESS, Recipe
from mingmu.verbs.recognizing import Progress, silent
from mingmu.verbs.teaching import SHIPPED
from mingmu.verbs.training import AFTERWARDS, COMPARED, HELD_OUT_SHARE, TEST_SHARE, check_installed, fitted, identity_of

if TYPE_CHECKING:
    from mingmu.train.feed import Photos
    from mingmu.train.nets.classifier import Classifier
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


@dataclass(frozen=True)
class TextLesson:
    """Photos of texts and the parts that they play; the photos of one text are all in one part."""

    dataset: Dataset
    findings: tuple[Finding, ...]

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The characters of the texts that teach, sorted."""
        return tuple(sorted({character for example in self.part("train") for character in example.labels[0]}))

    def part(self, split: str) -> tuple[Example, ...]:
        return tuple(example for example in self.dataset if example.split == split)


def train_reader(
    store: Store,
    source: Path,
    *,
    name: str,
    recipe: Recipe,
    seconds: float | None = None,
    resume: bool = False,
    progress: Progress = silent,
) -> TrainedReader:
    """Train the reader `name` on photos of single lines of text, measure what was sealed, and publish it. The photos become the dataset
    `name`. With `seconds` the training is fitted to that time. Raises BadRequest, Conflict, NotFound, MissingExtra.
    """
    check_installed()
    from mingmu.train.nets import readers
    from mingmu.train.transcription import Transcription

    began = time.monotonic()
    check_teachable(store, name, SHIPPED)
    found = reading.read(source, store.blobs, progress, texts=True)
    lesson = lesson_of(found.dataset, found.findings, recipe.seed)
    pixels = PixelSpec(size=readers.FRAME, fit=recipe.net.fit, margin=recipe.net.margin, filter="bicubic")
    weights = None if recipe.net.weights in HARMLESS else Path(recipe.net.weights)
    net, origin = readers.build(recipe.net.name, len(lesson.alphabet), recipe.seed, weights), _origin(recipe)
    folder = store.data_dir / "runs" / name
    photos, held_out = (_photos(store, lesson, split, pixels, folder, progress) for split in ("train", "val"))
    left = seconds and max(1.0, seconds - (time.monotonic() - began) - AFTERWARDS)
    identity = identity_of(lesson.dataset.digest, recipe)
    curve = fitted(net, photos, held_out, recipe, folder, pixels, identity, left, resume, progress, Transcription(pixels.size))
    progress("sealing", 0.0)
    digest = _sealed(store, name, net, photos, lesson, recipe, pixels, origin, curve)
    progress("measuring", 0.0)
    measures = read_measures(Library(store).open(digest), lesson.part("test"), store.blobs)
    kept = store.datasets.add(name, lesson.dataset.digest, lesson.dataset.to_lines())
    store.records.add_lineage(digest, lesson.dataset.digest, {"recipe": recipe.model_dump(), "curve": [asdict(epoch) for epoch in curve]})
    store.records.add_report(digest, lesson.dataset.digest, reading_page(name, measures, store.blobs).encode())
    store.records.add_report(digest, lesson.dataset.digest, measures.to_json())
    progress("done", 1.0)
    return TrainedReader(store.publish(name, digest), kept, lesson.alphabet, measures, lesson.findings, curve, folder)


def lesson_of(dataset: Dataset, findings: Sequence[Finding], seed: int) -> TextLesson:
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
    return TextLesson(Dataset.of(parted), (*findings, *parts.findings))


def _photos(store: Store, lesson: TextLesson, split: str, pixels: PixelSpec, folder: Path, progress: Progress) -> Photos:
    """The photos of a part as the network reads them, and their texts in its classes; a character that it was not taught is none."""
    from mingmu.train.feed import PAD, Photos, decoded

    number = {character: at for at, character in enumerate(lesson.alphabet, start=1)}
    text = {example.image: example.labels[0] for example in lesson.part(split)}
    seen = decoded(folder / split, pixels, [*text], store.blobs, lambda share: progress("decoding", share))
    rows = np.full((len(seen.images), LONGEST // 2), PAD, np.int64)
    for row, image in zip(rows, seen.images, strict=True):
        row[: len(text[image])] = [number.get(character, 0) for character in text[image]]
    return Photos(seen.pixels, rows)


def _origin(recipe: Recipe) -> Origin:
    return Origin(
        source="trained from nothing" if recipe.net.weights in HARMLESS else f"fine-tuned from {Path(recipe.net.weights).name}",
        licence="that of the photos it learned from",
        provenance=f"network: {recipe.net.name}, Mingmu's own, Apache-2.0",
    )


def _sealed(
    store: Store,
    name: str,
    net: Classifier,
    photos: Photos,
    lesson: TextLesson,
    recipe: Recipe,
    pixels: PixelSpec,
    origin: Origin,
    curve: Sequence[Epoch],
) -> str:
    from mingmu.train.export import whole_model

    exported = whole_model(net, np.ascontiguousarray(photos.pixels[:COMPARED]), output=TEXT)
    made_by: dict[str, JsonValue] = {
        "how": "mingmu train",
        "dataset": lesson.dataset.digest,
        "photos": len(photos),
        "recipe": recipe.model_dump(mode="json"),
        "epochs": len(curve),
        "torch": installed("torch"),
        "torch_to_artifact": exported.difference,
    }
    manifest = Manifest(kind="model", name=name, task="read", pixels=pixels, labels=lesson.alphabet, origin=origin, made_by=made_by)
    return store.add(lambda folder: seal_network(folder, manifest, exported.graph)).digest
