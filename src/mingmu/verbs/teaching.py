"""From labelled photos to a recognizer that is measured, sealed and published; and the questions that go with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mingmu.core.cpus import cpu_count
from mingmu.core.doubt import Doubt, prediction_sets
from mingmu.core.errors import BadRequest, Conflict, NotFound
from mingmu.core.manifest import HeadSpec, Manifest, Origin
from mingmu.core.recognizer import MAP, Network, Recognizer
from mingmu.core.sealing import seal_head
from mingmu.data import audit as auditing
from mingmu.data import duplicates, looks, reading, splits
from mingmu.data.dataset import Blobs, Dataset, Example
from mingmu.data.exports import to_folder
from mingmu.data.finding import Finding
from mingmu.evaluate import compare as comparing
from mingmu.evaluate.cost import cost
from mingmu.evaluate.learning import Point, learning_curve
from mingmu.evaluate.measure import measure
from mingmu.evaluate.page import page
from mingmu.evaluate.predictions import Predictions
from mingmu.evaluate.predictions import evaluate as predict
from mingmu.evaluate.report import Report
from mingmu.evaluate.thumbnails import thumbnails
from mingmu.registry.library import Library
from mingmu.registry.store import Store, Version, check_name
from mingmu.teach.cache import FeatureCache
from mingmu.teach.features import Extractor
from mingmu.teach.teach import Options, Taught
from mingmu.teach.teach import teach as learn
from mingmu.verbs.recognizing import Progress, ensure, silent

COVERAGES = (0.8, 0.9, 0.95, 0.99)
LEAST_CONFIDENCE = 0.5  # below it an answer is more likely wrong than right
TEST_SHARE = 0.2
ENOUGH_TO_TEST = 300  # photos; of fewer, all teach, and cross-validation measures
COST_PHOTOS = 8


@dataclass(frozen=True)
class Teaching:
    """A recognizer that was taught, and what was measured of it."""

    version: Version
    report: Report
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Audited:
    """A dataset and what is wrong with it."""

    dataset: Dataset
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Cleaned:
    """A dataset without what was in its way, and the accuracy on its photos of heads taught with and without that."""

    dataset: Dataset
    before: float | None  # None where there are too few photos to tell
    after: float | None

    @property
    def verdict(self) -> str:
        """What cleaning buys, in a sentence."""
        kept = f"{len(self.dataset)} photos kept"
        if self.before is None or self.after is None:
            return f"{kept}; too few to say what that buys"
        return f"{kept}; accuracy on them {100 * self.before:.1f} % before, {100 * self.after:.1f} % after (cross-validation)"


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
    check_name(name)
    parent = _taught_on(store, name) if add else None
    if add and (options is None or options.view is None):  # the view that was chosen still fits, and its features are known
        options = replace(options or Options(), view=store.artifact(store.resolve(name).digest).manifest.pixels)
    found = reading.read(source, store.blobs, progress)
    dataset, findings = found.dataset, found.findings
    if parent:
        dataset = Dataset.of({(example.name, example.image): example for example in (*parent, *dataset)}.values())
    if test:
        tested = reading.read(test, store.blobs, progress)
        dataset = Dataset.of([*_all_in(dataset, "train"), *_all_in(tested.dataset, "test")])
        findings += tested.findings
    taught = _teach(store, dataset, name, backbone, options, progress, parent.digest if parent else None)
    return replace(taught, findings=(*findings, *taught.findings))


def teach_dataset(
    store: Store, dataset: str, *, name: str, backbone: str = "general", options: Options | None = None, progress: Progress = silent
) -> Teaching:
    """Teach the recognizer `name` a dataset that the store has."""
    version = store.datasets.resolve(dataset)
    return _teach(store, Dataset.from_lines(store.datasets.examples(version)), name, backbone, options, progress, version.digest)


def evaluate(store: Store, reference: str, source: Path, progress: Progress = silent) -> Report:
    """Measure a recognizer on labelled photos, by the road that requests take; the report is kept."""
    recognizer = Library(store).open(ensure(store, reference, progress).digest)
    dataset = reading.read(source, store.blobs, progress).dataset
    report = _report(recognizer, dataset, _predictions(store, recognizer, dataset, progress), store)
    _keep(store, report, recognizer, dataset)
    return report


def compare(store: Store, one: str, other: str, source: Path, progress: Progress = silent) -> comparing.Comparison:
    """Say whether one of two recognizers is better on the same photos, as far as these can show it."""
    dataset = reading.read(source, store.blobs, progress).dataset
    library = Library(store)
    seen = [_predictions(store, library.open(ensure(store, each, progress).digest), dataset, progress) for each in (one, other)]
    return comparing.compare(*seen)


def audit(store: Store, source: Path, *, backbone: str = "general", progress: Progress = silent) -> Audited:
    """Find what is wrong with labelled photos: duplicates, leaks, probable label errors, outliers and the like."""
    found = reading.read(source, store.blobs, progress)
    network = _network(store, backbone, progress)
    extract = _extractor(store, network)
    images = [example.image for example in found.dataset]
    features = extract(network.artifact.manifest.pixels, images, lambda share: progress("looking at the photos", share)).values
    probabilities = _out_of_fold(found.dataset, extract, progress)
    findings = auditing.audit(found.dataset, store.blobs, features["features"], probabilities, progress)
    return Audited(found.dataset, tuple(dict.fromkeys((*found.findings, *findings))))


def clean(store: Store, audited: Audited, folder: Path, *, backbone: str = "general", progress: Progress = silent) -> Cleaned:
    """Write the dataset without what is in its way into a new folder, and say what that buys: accuracy before and after.

    Both are measured alike, by cross-validation on the cleaned photos: heads that learned from all photos, and heads
    that learned from the cleaned ones, judge those that neither learned from.
    """
    dataset = auditing.fix(audited.dataset, audited.findings)
    to_folder(dataset, store.blobs, folder)
    extract = _extractor(store, _network(store, backbone, progress))
    before, after = (_out_of_fold(each, extract, progress) for each in (audited.dataset, dataset))
    kept = {example.name for example in dataset}
    rows = [i for i, example in enumerate(audited.dataset) if example.name in kept]
    return Cleaned(dataset, _accuracy(audited.dataset, before, rows), _accuracy(dataset, after, range(len(dataset))))


def _accuracy(dataset: Dataset, scores: NDArray[np.float32] | None, rows: Sequence[int]) -> float | None:
    if scores is None or not rows:
        return None
    said = [dataset.labels[at] for at in scores[list(rows)].argmax(axis=1)]
    return float(np.mean([label in dataset.examples[row].labels for row, label in zip(rows, said, strict=True)]))


def _out_of_fold(dataset: Dataset, extract: Extractor, progress: Progress) -> NDArray[np.float32] | None:
    """What heads say about photos that they did not learn from, [N, C]; None where nothing can be held out."""
    everything = Dataset.of(replace(example, split=None, labels=example.labels[:1]) for example in dataset)
    everything = _grouped(everything, _groups(everything, extract.blobs, progress))
    try:
        taught = learn(everything, extract, options=Options(effort="quick"), progress=progress)
    except BadRequest:  # one class, or none: there is nothing to mix up
        return None
    if taught.held_out is None:
        return None
    row = {image: taught.held_out[i] for i, image in enumerate(taught.images)}
    column = [taught.labels.index(label) if label in taught.labels else None for label in dataset.labels]
    unknown = np.full(len(taught.labels), 1 / len(taught.labels), np.float32)
    scores = np.stack([row.get(example.image, unknown) for example in dataset])
    return np.stack([scores[:, at] if at is not None else np.zeros(len(scores), np.float32) for at in column], axis=1)


def _teach(
    store: Store, dataset: Dataset, name: str, backbone: str, options: Options | None, progress: Progress, parent: str | None
) -> Teaching:
    network = _network(store, backbone, progress)
    groups = _groups(dataset, store.blobs, progress)
    dataset, leaks = _parted(dataset, groups)
    taught = learn(_grouped(dataset, groups), _extractor(store, network), options=options, progress=progress)
    progress("sealing", 0.0)
    manifest = _manifest(name, dataset, network, taught)
    doubt = Doubt(**taught.arrays) if taught.arrays else None
    head = store.add(lambda folder: seal_head(folder, manifest, taught.head.weight, taught.head.bias, network, doubt=doubt))
    recognizer = Library(store).open(head.digest)
    report = _report(recognizer, dataset, _measured(store, recognizer, dataset, taught, progress), store, taught.growth)
    known = {version.digest for version in store.datasets.versions(name)} if name in store.datasets.names() else set()
    store.datasets.add(name, dataset.digest, dataset.to_lines(), parent if parent in known else None)
    store.records.add_lineage(head.digest, dataset.digest, taught.record)
    _keep(store, report, recognizer, dataset)
    progress("done", 1.0)
    return Teaching(store.publish(name, head.digest), report, leaks)


def _keep(store: Store, report: Report, recognizer: Recognizer, dataset: Dataset) -> None:
    """Keep a report, and its page beside it."""
    shown = page(report, thumbnails(report.measures.mistakes, recognizer, store.blobs))
    store.records.add_report(recognizer.digest, dataset.digest, shown.encode())
    store.records.add_report(recognizer.digest, dataset.digest, report.to_json())


def _taught_on(store: Store, name: str) -> Dataset:
    """The dataset that the newest version of a name was taught on."""
    digest = store.records.lineage(store.resolve(name).digest).dataset
    versions = store.datasets.with_digest(digest) if digest else []
    if not versions:
        raise NotFound(f"the photos that {name} was taught on are no longer here; teach it anew, with all photos")
    return Dataset.from_lines(store.datasets.examples(versions[-1]))


def _all_in(dataset: Dataset, split: str) -> list[Example]:
    return [replace(example, split=split) for example in dataset]  # type: ignore[arg-type]


def _groups(dataset: Dataset, blobs: Blobs, progress: Progress) -> NDArray[np.int64]:
    """A group number for each example: the same picture, nearly the same, or one group for the user."""
    return duplicates.groups_of(dataset, looks.look(dataset, blobs, progress).thumbs)


def _grouped(dataset: Dataset, groups: NDArray[np.int64]) -> Dataset:
    """The dataset as cross-validation needs it: what is nearly the same is one group."""
    return Dataset.of(replace(example, group=str(group)) for example, group in zip(dataset, groups, strict=True))


def _parted(dataset: Dataset, groups: NDArray[np.int64]) -> tuple[Dataset, tuple[Finding, ...]]:
    """The dataset with a test part, where it has enough photos for one; what is nearly the same stays on one side."""
    given = any(example.split == "test" for example in dataset)
    if not given and len(dataset) < ENOUGH_TO_TEST:
        return dataset, ()
    parts = splits.split(dataset, groups, test=TEST_SHARE)
    tested = set(parts.test.tolist())
    examples = [replace(example, split="test" if i in tested else "train") for i, example in enumerate(dataset)]
    taught = {label for example in examples if example.split == "train" for label in example.labels}
    if taught < set(dataset.labels):
        raise BadRequest("a label has photos in the test part only; give it some to learn from")
    return Dataset.of(examples), parts.findings


def _network(store: Store, backbone: str, progress: Progress) -> Network:
    """The network under a recognizer; raises Conflict if it is a whole model, whose features are not to be had."""
    recognizer = Library(store).open(ensure(store, backbone, progress).digest)
    if recognizer.head is None:
        raise Conflict(f"{backbone} is a whole model without features; teach on a backbone such as general")
    return recognizer.network


def _extractor(store: Store, network: Network) -> Extractor:
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
    if len(test) or taught.held_out is None:
        return _predictions(store, recognizer, test if len(test) else dataset, progress)
    by_image = {example.image: example for example in dataset}
    examples = [by_image[image] for image in taught.images]
    source = "cross-validation on the training data"
    return Predictions.of(taught.labels, examples, taught.held_out, multi_label=taught.multi_label, source=source)


def _predictions(store: Store, recognizer: Recognizer, dataset: Dataset, progress: Progress) -> Predictions:
    tell: Callable[[float], None] = lambda share: progress("measuring", share)  # noqa: E731
    return predict(recognizer, dataset, store.blobs, threads=cpu_count(), progress=tell)


def _report(
    recognizer: Recognizer, dataset: Dataset, predictions: Predictions, store: Store, growth: Sequence[tuple[int, float]] = ()
) -> Report:
    doubt = recognizer.head.doubt if recognizer.head and recognizer.covers else None
    sets = {share: prediction_sets(predictions.scores, doubt.conformal, share) for share in COVERAGES} if doubt else None
    photos = [store.blobs.get(example.image) for example in predictions.examples[:COST_PHOTOS]]
    curve = learning_curve([Point(*point) for point in growth]) if growth else None
    return Report.of(recognizer, dataset, measure(predictions, sets=sets), learning=curve, cost=cost(recognizer, photos))
