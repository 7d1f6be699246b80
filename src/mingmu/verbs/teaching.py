"""From labelled photos to a recognizer that is measured, sealed and published."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mingmu.core.doubt import Doubt
from mingmu.core.errors import BadRequest
from mingmu.core.manifest import HeadSpec, Manifest, Origin
from mingmu.core.network import Network
from mingmu.core.recognizer import Recognizer
from mingmu.core.runtime import MAP
from mingmu.core.sealing import seal_head
from mingmu.core.teaching import TeachOptions
from mingmu.data import duplicates, looks, reading, splits
from mingmu.data.dataset import Blobs, Dataset, Example
from mingmu.data.finding import Finding
from mingmu.evaluate import words
from mingmu.evaluate.predictions import CROSS_VALIDATION, TAUGHT, Predictions
from mingmu.evaluate.report import Report
from mingmu.registry.datasets import DatasetVersion
from mingmu.registry.library import Library
from mingmu.registry.store import Store, Version, check_name
from mingmu.registry.teachable import check_backbone, check_teachable, taught_on
from mingmu.teach.cache import FeatureCache
from mingmu.teach.choose import FORMS
from mingmu.teach.features import Extractor
from mingmu.teach.teach import Options, Taught, learnable
from mingmu.teach.teach import teach as learn
from mingmu.verbs.measuring import keep, predictions_of, report_of
from mingmu.verbs.recognizing import Progress, ensure, silent
from mingmu.zoo import catalog

SHIPPED = frozenset(entry.name for entry in catalog.CATALOG)
LEAST_CONFIDENCE = 0.5  # below it an answer is more likely wrong than right
TEST_SHARE = 0.2
ENOUGH_TO_TEST = 300  # photos; of fewer, all teach, and cross-validation measures


@dataclass(frozen=True)
class Teaching:
    """A recognizer that was taught, on what, and what was measured of it."""

    version: Version
    dataset: DatasetVersion
    report: Report
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Lesson:
    """Labelled photos to teach, and where they are kept."""

    dataset: Dataset
    home: str  # the name of the dataset that they are, or become, a version of
    made_from: DatasetVersion | None = None
    as_it_is: bool = False  # they are what they were made from, nothing else
    findings: tuple[Finding, ...] = ()


def options_of(asked: TeachOptions) -> Options:
    """How to learn, from what can be asked for at every door."""
    return Options(effort=asked.effort, forms=FORMS if asked.head == "auto" else (asked.head,), seed=asked.seed)


def read_dataset(store: Store, source: Path, *, name: str, progress: Progress = silent) -> reading.Reading:
    """Read labelled images into the store, as the newest version of the dataset `name`. Raises BadRequest, NotFound."""
    check_name(name)
    found = reading.read(source, store.blobs, progress)
    if not len(found.dataset):
        raise BadRequest(f"there is no picture in {source.name} that can be read")
    store.datasets.add(name, found.dataset.digest, found.dataset.to_lines())
    return found


def teach(
    store: Store,
    source: Path,
    *,
    name: str,
    backbone: str = "general",
    test: Path | None = None,
    add: bool = False,
    options: Options | None = None,
    progress: Progress = silent,
) -> Teaching:
    """Teach the recognizer `name` what labelled photos show, measure it, and publish it. The photos become the dataset `name`.

    `add` adds the photos to those that it was taught before; they then become part of that dataset. Raises BadRequest, Conflict,
    NotFound, and whatever a proof raises.
    """
    check_teachable(store, name, SHIPPED)
    parent = taught_on(store, name) if add else None
    found = reading.read(source, store.blobs, progress)
    tested = reading.read(test, store.blobs, progress) if test else None
    dataset = _combined(store, parent, found.dataset, tested.dataset if tested else None)
    findings = found.findings + (tested.findings if tested else ())
    lesson = Lesson(dataset, parent.name if parent else name, parent, findings=findings)
    return _teach(store, lesson, name, backbone, _options(store, name, options, add), progress)


def teach_dataset(
    store: Store,
    dataset: str,
    *,
    name: str,
    backbone: str = "general",
    test: str | None = None,
    add: bool = False,
    options: Options | None = None,
    progress: Progress = silent,
) -> Teaching:
    """`teach` with datasets that the store has. One that teaches alone keeps its name; those put together are kept as in `teach`."""
    check_teachable(store, name, SHIPPED)
    parent = taught_on(store, name) if add else None
    taught = store.datasets.resolve(dataset)
    tested = _examples(store, store.datasets.resolve(test)) if test else None
    combined = _combined(store, parent, _examples(store, taught), tested)
    alone = parent is None and tested is None
    home = parent.name if parent else taught.name if alone else name
    lesson = Lesson(combined, home, parent or taught, as_it_is=alone)
    return _teach(store, lesson, name, backbone, _options(store, name, options, add), progress)


def _options(store: Store, name: str, options: Options | None, add: bool) -> Options:
    """The options; where photos are added, the view that was chosen still fits, and its features are known."""
    options = options or Options()
    if not add or options.view is not None:
        return options
    return replace(options, view=store.artifact(store.resolve(name).digest).manifest.pixels)


def _teach(store: Store, lesson: Lesson, name: str, backbone: str, options: Options, progress: Progress) -> Teaching:
    network = network_of(store, backbone, progress)
    groups = groups_of(lesson.dataset, store.blobs, progress)
    dataset, leaks = _parted(lesson.dataset, groups, options.seed)
    learned = _without_leaks(grouped(dataset, groups))
    taught = learn(learned, extractor_of(store, network), options=options, progress=progress)
    progress("sealing", 0.0)
    manifest = _manifest(name, dataset, network, taught)
    doubt = Doubt(**taught.arrays) if taught.arrays else None
    head = store.add(lambda folder: seal_head(folder, manifest, taught.head.weight, taught.head.bias, network, doubt=doubt))
    recognizer = Library(store).open(head.digest)
    report = report_of(recognizer, dataset, _measured(store, recognizer, learned, taught, progress), store, taught.growth)
    kept = _kept(store, lesson, dataset)
    store.records.add_lineage(head.digest, dataset.digest, taught.record)
    keep(store, report, recognizer, dataset)
    progress("done", 1.0)
    return Teaching(store.publish(name, head.digest), kept, report, (*lesson.findings, *leaks))


def _kept(store: Store, lesson: Lesson, dataset: Dataset) -> DatasetVersion:
    """The version of its dataset that was taught; a new one, made from what was asked for, where that had no test part yet."""
    known = [version for version in store.datasets.with_digest(dataset.digest) if version.name == lesson.home]
    if lesson.as_it_is and known:
        return known[-1]
    before = store.datasets.resolve(lesson.home) if lesson.as_it_is else None
    made_from = lesson.made_from.digest if lesson.made_from else None
    kept = store.datasets.add(lesson.home, dataset.digest, dataset.to_lines(), made_from)
    if before and before.digest != made_from:  # an old version was asked for: the bare name goes on to mean what it meant
        store.datasets.add(before.name, before.digest, store.datasets.examples(before), before.digest)
    return kept


def _combined(store: Store, parent: DatasetVersion | None, fresh: Dataset, test: Dataset | None) -> Dataset:
    """What is new, with what was there before, and with a test part of its own."""
    dataset = merged(_examples(store, parent), fresh) if parent else fresh
    if test is None:
        return dataset
    return Dataset.of([*(replace(each, split=each.split or "train") for each in dataset), *_all_in(test, "test")])


def _examples(store: Store, version: DatasetVersion) -> Dataset:
    return Dataset.from_lines(store.datasets.examples(version))


def merged(before: Dataset, fresh: Dataset) -> Dataset:
    """What was there and what is new. A photo that comes again takes its new labels, and stays in the part it was in."""
    part = {example.image: example.split for example in before}
    new = [replace(example, split=part.get(example.image, example.split)) for example in fresh]
    again = {(example.name, example.image) for example in new}
    return Dataset.of([*(example for example in before if (example.name, example.image) not in again), *new])


def _all_in(dataset: Dataset, split: str) -> list[Example]:
    return [replace(example, split=split) for example in dataset]  # type: ignore[arg-type]


def groups_of(dataset: Dataset, blobs: Blobs, progress: Progress) -> NDArray[np.int64]:
    """A group number for each example: the same picture, nearly the same, or one group for the user."""
    return duplicates.groups_of(dataset, looks.look(dataset, blobs, progress).thumbs)


def grouped(dataset: Dataset, groups: NDArray[np.int64]) -> Dataset:
    """The dataset as cross-validation needs it: what is nearly the same is one group."""
    return Dataset.of(replace(example, group=str(group)) for example, group in zip(dataset, groups, strict=True))


def _without_leaks(dataset: Dataset) -> Dataset:
    """What may be learned: nothing that is the same, or nearly the same, as a photo of the test part."""
    tested = {example.group for example in dataset if example.split == "test"}
    return Dataset.of(example for example in dataset if example.split == "test" or example.group not in tested)


def _parted(dataset: Dataset, groups: NDArray[np.int64], seed: int) -> tuple[Dataset, tuple[Finding, ...]]:
    """The dataset with a test part, where it has enough photos for one; what is nearly the same stays on one side."""
    given = any(example.split in ("test", "val") for example in dataset)
    if not given and len(dataset) < ENOUGH_TO_TEST:
        return dataset, ()
    parts = splits.split(dataset, groups, test=TEST_SHARE, seed=seed)
    tested = {*parts.test.tolist(), *_tested_of_new(dataset, groups, seed)}
    examples = [replace(example, split="test" if i in tested else "train") for i, example in enumerate(dataset)]
    taught = {label for example in examples if example.split == "train" for label in example.labels}
    missing = sorted(set(dataset.labels) - taught)
    if missing:
        raise BadRequest(f"all photos of {words.listed(missing)} are in the test part; give each label some to learn from")
    return Dataset.of(examples), parts.findings


def _tested_of_new(dataset: Dataset, groups: NDArray[np.int64], seed: int) -> list[int]:
    """Where a dataset is parted already and photos came later: which of these join the test part, so that new labels are measured."""
    sides = {example.split for example in dataset}
    if not {"train", "test", None} <= sides:
        return []
    known = {int(group) for group, example in zip(groups, dataset, strict=True) if example.split}
    free = [at for at, example in enumerate(dataset) if example.split is None and int(groups[at]) not in known]
    if not free:
        return []
    part = splits.allocate([dataset.examples[at].labels for at in free], groups[free], (1 - TEST_SHARE, TEST_SHARE), seed)
    return [at for at, side in zip(free, part, strict=True) if side == 1]


def network_of(store: Store, backbone: str, progress: Progress) -> Network:
    """The network under a recognizer; raises Conflict if it is a whole model, whose features are not to be had."""
    version = ensure(store, backbone, progress)
    check_backbone(store, backbone)
    return Library(store).open(version.digest).network


def extractor_of(store: Store, network: Network) -> Extractor:
    outputs = tuple(name for name in network.runtime.outputs if name != MAP)
    return Extractor(network, store.blobs, outputs, FeatureCache(store.data_dir / "features"))


def _manifest(name: str, dataset: Dataset, network: Network, taught: Taught) -> Manifest:
    origin = network.artifact.manifest.origin
    backbone = network.artifact.digest
    return Manifest(
        kind="head",
        name=name,
        task="classify",
        pixels=taught.pixels,
        labels=taught.labels,
        head=HeadSpec(
            backbone=backbone,
            features=taught.outputs,
            activation="sigmoid" if taught.multi_label else "softmax",
            temperature=taught.temperature,
            least_confidence=LEAST_CONFIDENCE,
            least_likeness=taught.strangest,
        ),
        origin=Origin(source=f"taught on {network.artifact.manifest.name}", licence=origin.licence, provenance=origin.provenance),
        made_by={"how": "mingmu teach", "dataset": dataset.digest, "photos": len(taught.images), **taught.record},
    )


def _measured(store: Store, recognizer: Recognizer, dataset: Dataset, taught: Taught, progress: Progress) -> Predictions:
    """The sealed recognizer on the test part; without one, heads of cross-validation on what each did not learn from."""
    test = Dataset.of(example for example in dataset if example.split == "test" and example.labels)
    if len(test):
        return predictions_of(store, recognizer, test, progress)
    if taught.held_out is None:
        return replace(predictions_of(store, recognizer, dataset, progress), source=TAUGHT)
    examples = [example for example in learnable(dataset) if example.image not in taught.refused]
    return Predictions.of(taught.labels, examples, taught.held_out, multi_label=taught.multi_label, source=CROSS_VALIDATION)
