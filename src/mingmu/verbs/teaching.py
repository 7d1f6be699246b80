"""From labelled photos to a recognizer that is measured, sealed and published."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import JsonValue, TypeAdapter

from mingmu.core.doubt import Doubt
from mingmu.core.errors import BadRequest, Conflict
from mingmu.core.manifest import HeadSpec, Manifest, Origin, Tolerance
from mingmu.core.network import Network
from mingmu.core.recognizer import Recognizer
from mingmu.core.runtime import MAP
from mingmu.core.sealing import seal_head
from mingmu.core.teaching import TeachOptions
from mingmu.data import reading
from mingmu.data.dataset import Dataset, Example
from mingmu.data.finding import Finding
from mingmu.evaluate.predictions import CROSS_VALIDATION, TAUGHT, Failure, Predictions, truth_of
from mingmu.evaluate.report import Report
from mingmu.registry.datasets import DatasetVersion
from mingmu.registry.library import Library
from mingmu.registry.store import Store, Version, check_name
from mingmu.registry.teachable import check_backbone, check_teachable, taught_on
from mingmu.teach.choose import FORMS
from mingmu.teach.features import Extractor
from mingmu.teach.heads import Kind
from mingmu.teach.teach import Options, Taught, learnable
from mingmu.teach.teach import teach as learn
from mingmu.verbs.lessons import Lesson, check_learnable, combined, examples_of, kept, last_lesson, said_of
from mingmu.verbs.measuring import keep, new_to, predictions_of, report_of
from mingmu.verbs.parting import cache_of, grouped, groups_of, parted, without_leaks
from mingmu.verbs.recognizing import Progress, ensure, silent
from mingmu.zoo import catalog

SHIPPED = frozenset(entry.name for entry in catalog.CATALOG)
LEAST_CONFIDENCE = 0.5  # below it an answer is more likely wrong than right
MOST_GROWTH = 1.2  # of the photos since the kinds of head were compared; with more, they are compared anew


@dataclass(frozen=True)
class Teaching:
    """A recognizer that was taught, on what, and what was measured of it."""

    version: Version
    dataset: DatasetVersion
    report: Report
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Chosen:
    """The kind of head that was chosen, and how many photos there were then. It is kept in the manifest."""

    kind: Kind
    photos: int


@dataclass(frozen=True)
class Before:
    """The newest version of a recognizer that photos are added to."""

    manifest: Manifest
    dataset: Dataset | None  # that taught it, if it is still here


@dataclass(frozen=True)
class Learned:
    """What came out of a lesson, before anybody can ask for it."""

    lesson: Lesson
    dataset: Dataset  # with its test part
    taught: Taught
    recognizer: Recognizer
    report: Report
    findings: tuple[Finding, ...]


def options_of(asked: TeachOptions) -> Options:
    """How to learn, from what can be asked for at every door."""
    return Options(effort=asked.effort, forms=FORMS if asked.head == "auto" else (asked.head,), seed=asked.seed)


def read_dataset(store: Store, source: Path, *, name: str, progress: Progress = silent) -> reading.Reading:
    """Read labelled images into the store, as the newest version of the dataset `name`. Raises BadRequest, NotFound."""
    check_name(name)
    found = reading.read(source, store.blobs, progress)
    if not len(found.dataset):
        raise BadRequest(f"there is no picture in {source.name} that can be read: {said_of(found)}")
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
    if add:
        taught_on(store, name)  # or there is nothing to add to, and nothing needs to be read
    found = reading.read(source, store.blobs, progress)
    tested = reading.read(test, store.blobs, progress) if test else None
    read = (found, tested) if tested else (found,)

    def lesson(parent: DatasetVersion | None) -> Lesson:
        dataset = combined(store, parent, found.dataset, tested.dataset if tested else None)
        return Lesson(dataset, parent.name if parent else name, parent, read=read)

    return _teach(store, lesson, name, backbone, add, options or Options(), progress)


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
    taught = store.datasets.resolve(dataset)
    fresh = examples_of(store, taught)
    tested = examples_of(store, store.datasets.resolve(test)) if test else None

    def lesson(parent: DatasetVersion | None) -> Lesson:
        alone = parent is None and tested is None
        home = parent.name if parent else taught.name if alone else name
        return Lesson(combined(store, parent, fresh, tested), home, parent or taught, as_it_is=alone)

    return _teach(store, lesson, name, backbone, add, options or Options(), progress)


def teach_again(store: Store, name: str, *, options: Options | None = None, progress: Progress = silent) -> Teaching:
    """Teach a recognizer what it was taught before, with all that was added to its dataset since. Raises NotFound."""
    check_teachable(store, name, SHIPPED)

    def lesson(parent: DatasetVersion | None) -> Lesson:
        version = parent or taught_on(store, name)
        return Lesson(examples_of(store, version), version.name, version, as_it_is=True)

    return _teach(store, lesson, name, name, True, options or Options(), progress)


def _teach(
    store: Store,
    lesson: Callable[[DatasetVersion | None], Lesson],
    name: str,
    backbone: str,
    add: bool,
    options: Options,
    progress: Progress,
) -> Teaching:
    """Learn the lesson, made from what is to be added to, and keep it. What others added meanwhile is learned, too."""

    def parent() -> DatasetVersion | None:
        return taught_on(store, name) if add else None

    library = Library(store)
    network = network_of(library, backbone, progress)
    made_from = parent()
    before = _before(store, name) if add else None
    learned = _learned(library, lesson(made_from), name, network, before, options, progress)
    with store.lock("examples"):  # nobody adds to the dataset between the look and the entry
        if (now := parent()) != made_from:
            progress("learning what was added meanwhile", 0.0)
            learned = _learned(library, lesson(now), name, network, before, options, progress)
        return _published(store, learned, name, progress)


def _learned(
    library: Library, lesson: Lesson, name: str, network: Network, before: Before | None, options: Options, progress: Progress
) -> Learned:
    store = library.store
    check_learnable(lesson)
    groups = groups_of(lesson.dataset, store, progress, before.dataset if before else None)
    dataset, wrong = parted(lesson.dataset, groups, options.seed)
    learned, seen = _new_to(store, without_leaks(grouped(dataset, groups)), network, progress)
    options, chosen = _as_before(options, before.manifest if before else None, network, learnable(learned))
    taught = learn(learned, extractor_of(store, network), options=options, progress=progress)
    progress("sealing", 0.0)
    manifest = _manifest(name, dataset, network, taught, chosen or Chosen(taught.kind, len(taught.images)))
    doubt = Doubt(**taught.arrays) if taught.arrays else None
    head = store.add(lambda folder: seal_head(folder, manifest, taught.head.weight, taught.head.bias, network, doubt=doubt))
    recognizer = library.open(head.digest)
    report = report_of(recognizer, dataset, _measured(store, recognizer, learned, taught, progress), store, taught.growth)
    return Learned(lesson, dataset, taught, recognizer, report, (*lesson.findings, *wrong, *seen))


def _new_to(store: Store, dataset: Dataset, network: Network, progress: Progress) -> tuple[Dataset, tuple[Finding, ...]]:
    """What a network that was trained here did not learn from itself: its features make the rest look easier than other photos are.

    Raises Conflict where nothing new is left of a label.
    """
    new = new_to(store, dataset, network.backbone, progress=progress)
    if len(new) == len(dataset):
        return dataset, ()
    name, kept = network.artifact.manifest.name, {example.image for example in new}
    lost = {*_learnable_labels(dataset)} - {*_learnable_labels(new)}
    if lost:
        raise Conflict(
            f"the network of {name} learned from all photos of {', '.join(sorted(lost)[:3])} itself, so they say nothing of how good a "
            "head is; give others, teach on another network, or train anew with all photos (mingmu train)"
        )
    names = [example.name for example in dataset if example.image not in kept]
    return new, (Finding.of("seen-by-network", *names, detail=f"{len(names)} photos that the network of {name} learned from itself"),)


def _learnable_labels(dataset: Dataset) -> Iterator[str]:
    return (label for example in dataset if example.split != "test" for label in example.labels)


def _published(store: Store, learned: Learned, name: str, progress: Progress) -> Teaching:
    version = kept(store, learned.lesson, learned.dataset)
    digest = learned.recognizer.digest
    store.records.add_lineage(digest, learned.dataset.digest, learned.taught.record)
    keep(store, learned.report, learned.recognizer, learned.dataset)
    progress("done", 1.0)
    return Teaching(store.publish(name, digest), version, learned.report, learned.findings)


def _before(store: Store, name: str) -> Before:
    return Before(store.artifact(store.resolve(name).digest).manifest, last_lesson(store, name))


def _as_before(options: Options, before: Manifest | None, network: Network, examples: Sequence[Example]) -> tuple[Options, Chosen | None]:
    """The options; where photos are added, with the view that was chosen, whose features are known, and the kind of head, if it fits."""
    if before is None or before.head is None or before.head.backbone != network.backbone:
        return options, None
    options = replace(options, view=options.view or before.pixels)
    if "chosen" not in before.made_by or options.forms != FORMS:
        return options, None
    chosen = TypeAdapter(Chosen).validate_python(before.made_by["chosen"])
    several = any(len(example.labels) > 1 for example in examples)
    if several != before.multi_label or len(examples) > MOST_GROWTH * chosen.photos:
        return options, None
    return replace(options, head=(before.head.features, chosen.kind)), chosen


def network_of(library: Library, backbone: str, progress: Progress) -> Network:
    """The network under a recognizer; raises Conflict if it is a whole model, whose features are not to be had."""
    version = ensure(library.store, backbone, progress)
    check_backbone(library.store, backbone)
    return library.open(version.digest).network


def extractor_of(store: Store, network: Network) -> Extractor:
    outputs = tuple(name for name in network.runtime.outputs if name != MAP)
    return Extractor(network, store.blobs, outputs, cache_of(store))


def _manifest(name: str, dataset: Dataset, network: Network, taught: Taught, chosen: Chosen) -> Manifest:
    origin = network.artifact.manifest.origin
    variant = network.artifact.digest != network.backbone
    return Manifest(
        kind="head",
        name=name,
        task="classify",
        pixels=taught.pixels,
        labels=taught.labels,
        head=HeadSpec(
            backbone=network.backbone,
            taught_on=network.artifact.digest if variant else None,
            features=taught.outputs,
            activation="sigmoid" if taught.multi_label else "softmax",
            temperature=taught.temperature,
            least_confidence=LEAST_CONFIDENCE,
            least_likeness=taught.strangest,
        ),
        tolerance=network.artifact.manifest.tolerance if variant else Tolerance(),
        origin=Origin(source=f"taught on {network.artifact.manifest.name}", licence=origin.licence, provenance=origin.provenance),
        made_by={"how": "mingmu teach", "dataset": dataset.digest, "photos": len(taught.images), "chosen": _json(chosen), **taught.record},
    )


def _json(chosen: Chosen) -> JsonValue:
    return {"kind": asdict(chosen.kind), "photos": chosen.photos}


def _measured(store: Store, recognizer: Recognizer, dataset: Dataset, taught: Taught, progress: Progress) -> Predictions:
    """The sealed recognizer on the test part; without one, heads of cross-validation on what each did not learn from."""
    test = Dataset.of(example for example in dataset if example.split == "test" and example.labels)
    if not set(taught.labels).isdisjoint(test.labels):
        return _tested(store, recognizer, test, progress)
    if taught.held_out is None:
        return replace(predictions_of(store, recognizer, dataset, progress), source=TAUGHT)
    examples = [example for example in learnable(dataset) if example.image not in taught.refused]
    return Predictions.of(taught.labels, examples, taught.held_out, multi_label=taught.multi_label, source=CROSS_VALIDATION)


def _tested(store: Store, recognizer: Recognizer, test: Dataset, progress: Progress) -> Predictions:
    """What the sealed recognizer says of the test part. Its network looks at each photo once, for all heads that share this view."""
    labels = recognizer.manifest.labels
    known = [example for example in test if not set(labels).isdisjoint(example.labels)]
    extract = extractor_of(store, recognizer.network)
    found = extract(recognizer.manifest.pixels, [each.image for each in known], lambda share: progress("measuring", share))
    seen = [example for example in known if example.image not in found.refused]
    if not seen:
        raise Conflict("no photo of the test part can be read")
    readable = [example.image not in found.refused for example in known]
    refused = [(example.name, found.refused[example.image]) for example in known if example.image in found.refused]
    return Predictions(
        labels=labels,
        examples=tuple(seen),
        scores=recognizer.scores_from({name: rows[readable] for name, rows in found.values.items()}),
        truth=truth_of(labels, seen),
        multi_label=recognizer.manifest.multi_label or test.multi_label,
        failures=tuple(Failure(name, error.kind, str(error)) for name, error in refused),
        unknown=tuple(sorted((label, count) for label, count in test.counts().items() if label not in labels)),
        left_out=len(test) - len(known),
    )
