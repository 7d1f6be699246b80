"""From labelled photos to a recognizer that is measured, sealed and published."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mingmu.core.doubt import Doubt
from mingmu.core.errors import BadRequest, Conflict, NotFound
from mingmu.core.manifest import HeadSpec, Manifest, Origin
from mingmu.core.network import Network
from mingmu.core.recognizer import Recognizer
from mingmu.core.runtime import MAP
from mingmu.core.sealing import seal_head
from mingmu.data import duplicates, looks, reading, splits
from mingmu.data.dataset import Blobs, Dataset, Example
from mingmu.data.finding import Finding
from mingmu.evaluate.predictions import CROSS_VALIDATION, TAUGHT, Predictions
from mingmu.evaluate.report import Report
from mingmu.registry.library import Library
from mingmu.registry.store import Store, Version, check_name
from mingmu.teach.cache import FeatureCache
from mingmu.teach.features import Extractor
from mingmu.teach.teach import Options, Taught, learnable
from mingmu.teach.teach import teach as learn
from mingmu.verbs.measuring import keep, predictions_of, report_of, taught_digest
from mingmu.verbs.recognizing import Progress, ensure, silent
from mingmu.zoo import catalog

LEAST_CONFIDENCE = 0.5  # below it an answer is more likely wrong than right
TEST_SHARE = 0.2
ENOUGH_TO_TEST = 300  # photos; of fewer, all teach, and cross-validation measures


@dataclass(frozen=True)
class Teaching:
    """A recognizer that was taught, and what was measured of it."""

    version: Version
    report: Report
    findings: tuple[Finding, ...]


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
    """Teach the recognizer `name` what labelled photos show, measure it, and publish it.

    `add` adds the photos to those that it was taught before. Raises BadRequest, NotFound, and whatever a proof raises.
    """
    _check_teachable(store, name)
    parent = _taught_on(store, name) if add else None
    if add and (options is None or options.view is None):  # the view that was chosen still fits, and its features are known
        options = replace(options or Options(), view=store.artifact(store.resolve(name).digest).manifest.pixels)
    found = reading.read(source, store.blobs, progress)
    dataset, findings = found.dataset, found.findings
    if parent:
        dataset = merged(parent, dataset)
    if test:
        tested = reading.read(test, store.blobs, progress)
        dataset = Dataset.of([*(replace(each, split=each.split or "train") for each in dataset), *_all_in(tested.dataset, "test")])
        findings += tested.findings
    taught = _teach(store, dataset, name, backbone, options, progress, parent.digest if parent else None)
    return replace(taught, findings=(*findings, *taught.findings))


def teach_dataset(
    store: Store, dataset: str, *, name: str, backbone: str = "general", options: Options | None = None, progress: Progress = silent
) -> Teaching:
    """Teach the recognizer `name` a dataset that the store has."""
    _check_teachable(store, name)
    version = store.datasets.resolve(dataset)
    return _teach(store, Dataset.from_lines(store.datasets.examples(version)), name, backbone, options, progress, version.digest)


def _teach(
    store: Store, dataset: Dataset, name: str, backbone: str, options: Options | None, progress: Progress, parent: str | None
) -> Teaching:
    network = network_of(store, backbone, progress)
    groups = groups_of(dataset, store.blobs, progress)
    dataset, leaks = _parted(dataset, groups)
    lesson = _without_leaks(grouped(dataset, groups))
    taught = learn(lesson, extractor_of(store, network), options=options, progress=progress)
    progress("sealing", 0.0)
    manifest = _manifest(name, dataset, network, taught)
    doubt = Doubt(**taught.arrays) if taught.arrays else None
    head = store.add(lambda folder: seal_head(folder, manifest, taught.head.weight, taught.head.bias, network, doubt=doubt))
    recognizer = Library(store).open(head.digest)
    report = report_of(recognizer, dataset, _measured(store, recognizer, lesson, taught, progress), store, taught.growth)
    known = {version.digest for version in store.datasets.versions(name)} if name in store.datasets.names() else set()
    store.datasets.add(name, dataset.digest, dataset.to_lines(), parent if parent in known else None)
    store.records.add_lineage(head.digest, dataset.digest, taught.record)
    keep(store, report, recognizer, dataset)
    progress("done", 1.0)
    return Teaching(store.publish(name, head.digest), report, leaks)


def _check_teachable(store: Store, name: str) -> None:
    """Raise Conflict for names that mean something else: what ships with Mingmu, or what was imported."""
    check_name(name)
    if any(entry.name == name for entry in catalog.CATALOG):
        raise Conflict(f"{name} ships with Mingmu; give what you teach a name of its own")
    if name in store.names() and taught_digest(store, store.resolve(name).digest) is None:
        raise Conflict(f"{name} is there already, and was not taught; give what you teach another name")


def _taught_on(store: Store, name: str) -> Dataset:
    """The dataset that the newest version of a name was taught on, with what was added to it since."""
    digest = store.records.lineage(store.resolve(name).digest).dataset
    versions = store.datasets.with_digest(digest) if digest else []
    if not versions:
        raise NotFound(f"the photos that {name} was taught on are no longer here; teach it anew, with all photos")
    return Dataset.from_lines(store.datasets.examples(store.datasets.resolve(versions[-1].name)))


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


def _parted(dataset: Dataset, groups: NDArray[np.int64]) -> tuple[Dataset, tuple[Finding, ...]]:
    """The dataset with a test part, where it has enough photos for one; what is nearly the same stays on one side."""
    given = any(example.split in ("test", "val") for example in dataset)
    if not given and len(dataset) < ENOUGH_TO_TEST:
        return dataset, ()
    parts = splits.split(dataset, groups, test=TEST_SHARE)
    tested = {*parts.test.tolist(), *_tested_of_new(dataset, groups)}
    examples = [replace(example, split="test" if i in tested else "train") for i, example in enumerate(dataset)]
    taught = {label for example in examples if example.split == "train" for label in example.labels}
    if taught < set(dataset.labels):
        raise BadRequest("a label has photos in the test part only; give it some to learn from")
    return Dataset.of(examples), parts.findings


def _tested_of_new(dataset: Dataset, groups: NDArray[np.int64]) -> list[int]:
    """Where a dataset is parted already and photos came later: which of these join the test part, so that new labels are measured."""
    sides = {example.split for example in dataset}
    if not {"train", "test", None} <= sides:
        return []
    known = {int(group) for group, example in zip(groups, dataset, strict=True) if example.split}
    free = [at for at, example in enumerate(dataset) if example.split is None and int(groups[at]) not in known]
    if not free:
        return []
    part = splits.allocate([dataset.examples[at].labels for at in free], groups[free], (1 - TEST_SHARE, TEST_SHARE))
    return [at for at, side in zip(free, part, strict=True) if side == 1]


def network_of(store: Store, backbone: str, progress: Progress) -> Network:
    """The network under a recognizer; raises Conflict if it is a whole model, whose features are not to be had."""
    recognizer = Library(store).open(ensure(store, backbone, progress).digest)
    if recognizer.head is None:
        raise Conflict(f"{backbone} is a whole model without features; teach on a backbone such as general")
    return recognizer.network


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
