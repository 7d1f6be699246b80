"""From labelled photos to a network of their own: trained, sealed, proven, measured and published."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import JsonValue

from mingmu.core.errors import BadRequest, MissingExtra
from mingmu.core.manifest import Manifest, Origin
from mingmu.core.pixels import PixelSpec
from mingmu.core.sealing import seal_network
from mingmu.data import reading, splits
from mingmu.data.dataset import Dataset, Example
from mingmu.data.finding import Finding
from mingmu.evaluate.page import page
from mingmu.evaluate.report import Epoch as LearnedIn
from mingmu.evaluate.report import Report
from mingmu.evaluate.thumbnails import thumbnails
from mingmu.registry.datasets import DatasetVersion
from mingmu.registry.library import Library
from mingmu.registry.store import Store, Version
from mingmu.registry.teachable import check_teachable
from mingmu.train.recipe import Recipe
from mingmu.verbs import parting
from mingmu.verbs.measuring import keep, predictions_of, report_of
from mingmu.verbs.recognizing import Progress, silent
from mingmu.verbs.teaching import SHIPPED

if TYPE_CHECKING:
    from mingmu.train.feed import Photos
    from mingmu.train.fit import Epoch, Now
    from mingmu.train.nets.classifier import Classifier

NEEDED = ("torch", "torchvision", "timm", "safetensors", "onnxscript")
TEST_SHARE = 0.2
HELD_OUT_SHARE = 0.1  # of the photos, to choose the best epoch by
COMPARED = 8  # photos that network and graph are compared on
AFTERWARDS = 15.0  # seconds that sealing and a report take on two cores, whatever the network
SLOWER = 3  # times, that a photo takes on its way through what was sealed, from a file and in fp32


@dataclass(frozen=True)
class Trained:
    """A recognizer with a network of its own, what it learned from, and what was measured of it."""

    version: Version
    dataset: DatasetVersion
    report: Report
    findings: tuple[Finding, ...]
    curve: tuple[Epoch, ...]
    folder: Path  # of the run: checkpoint, and events for TensorBoard


@dataclass(frozen=True)
class Lesson:
    """Labelled photos and the parts that they play."""

    dataset: Dataset  # with `test`, `val` (held out, to choose the best epoch by) and `train`
    findings: tuple[Finding, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        return Dataset(self.part("train")).labels

    def part(self, split: str) -> tuple[Example, ...]:
        """The labelled examples of a part; none to learn from that is the same, or nearly the same, as one of the test part."""
        return tuple(example for example in self.dataset if example.split == split and example.labels)


def train(
    store: Store,
    source: Path,
    *,
    name: str,
    recipe: Recipe,
    seconds: float | None = None,
    resume: bool = False,
    progress: Progress = silent,
) -> Trained:
    """Train the recognizer `name` on labelled photos, measure what was sealed, and publish it. The photos become the dataset `name`.

    With `seconds` the training is fitted to that time, all told. Raises BadRequest, Conflict, NotFound, MissingExtra, and whatever
    a proof raises.
    """
    began = time.monotonic()
    check_installed()
    check_teachable(store, name, SHIPPED)
    lesson = _lesson(store, source, recipe.seed, progress)
    folder = store.data_dir / "runs" / name
    from mingmu.train.nets import build, net_named

    pixels = recipe.pixels(net_named(recipe.net.name).size)
    net, origin = build(recipe.net, pixels.size[0], len(lesson.labels))
    photos, held_out = _photos(store, lesson, pixels, folder, progress)
    left = None if seconds is None else _budget(seconds, time.monotonic() - began, net, photos, len(lesson.part("test")))
    curve = _fit(net, photos, held_out, recipe, folder, pixels, _identity(lesson, recipe), left, resume, progress)
    progress("sealing", 0.0)
    version = _sealed(store, name, net, held_out if len(held_out) else photos, held_out, lesson, recipe, pixels, origin, curve)
    recognizer = Library(store).open(version)
    tested = Dataset.of(lesson.part("test"))
    report = report_of(recognizer, lesson.dataset, predictions_of(store, recognizer, tested, progress), store)
    report = replace(report, training=tuple(LearnedIn(e.number, e.loss, e.held_out_loss, e.held_out_accuracy) for e in curve))
    kept = store.datasets.add(name, lesson.dataset.digest, lesson.dataset.to_lines())
    store.records.add_lineage(version, lesson.dataset.digest, {"recipe": recipe.model_dump(), "curve": [asdict(epoch) for epoch in curve]})
    keep(store, report, recognizer, lesson.dataset)
    progress("done", 1.0)
    return Trained(store.publish(name, version), kept, report, lesson.findings, curve, folder)


def check_installed() -> None:
    """Raise MissingExtra unless what training needs is there."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"training needs {', '.join(missing)}: pip install 'mingmu[train]'")


def _lesson(store: Store, source: Path, seed: int, progress: Progress) -> Lesson:
    """The photos, in parts that cannot leak. Raises BadRequest where they cannot be trained on."""
    found = reading.read(source, store.blobs, progress)
    if found.dataset.multi_label:
        raise BadRequest("some photos carry several labels; a network is trained on one each, so teach a head instead (mingmu teach)")
    groups = parting.groups_of(found.dataset, store, progress)
    parts = splits.split(found.dataset, groups, test=TEST_SHARE, calibration=HELD_OUT_SHARE, seed=seed)
    tested = {int(groups[at]) for at in parts.test}
    side: dict[int, str] = {int(at): "test" for at in parts.test} | {int(at): "val" for at in parts.calibration}
    examples = []
    for at, example in enumerate(found.dataset):
        leaks = at not in side and int(groups[at]) in tested
        examples.append(replace(example, split=None if leaks else side.get(at, "train")))  # type: ignore[arg-type]
    lesson = Lesson(Dataset.of(examples), (*found.findings, *parts.findings))
    _check(lesson)
    return lesson


def _check(lesson: Lesson) -> None:
    if len(lesson.labels) < 2:
        raise BadRequest(f"there are photos of {len(lesson.labels)} labels to learn from; training needs at least 2")
    if not lesson.part("test"):
        raise BadRequest("there are too few photos to set some aside to measure with; a head needs less (mingmu teach)")
    missing = sorted({*lesson.dataset.labels} - {*lesson.labels})
    if missing:
        raise BadRequest(f"all photos of {', '.join(missing[:5])} are set aside to measure with; give each label some to learn from")


def _photos(store: Store, lesson: Lesson, pixels: PixelSpec, folder: Path, progress: Progress) -> tuple[Photos, Photos]:
    """The photos to learn from, with room to be cropped, and those that are held out, as they will be served."""
    from mingmu.train.feed import Photos, decoded, roomy

    found = []
    for split, spec in (("train", roomy(pixels)), ("val", pixels)):
        label = {example.image: example.labels[0] for example in lesson.part(split)}
        seen = decoded(folder / split, spec, [*label], store.blobs, lambda share: progress("decoding", share))
        found.append(Photos(seen.pixels, np.array([lesson.labels.index(label[image]) for image in seen.images], np.int64)))
    if len(np.unique(found[0].classes)) < len(lesson.labels):
        raise BadRequest("no photo of some label can be read; mingmu audit says which")
    return found[0], found[1]


def _budget(seconds: float, spent: float, net: Classifier, photos: Photos, tested: int) -> float:
    """What is left for the training itself, with what sealing and measuring will take set aside. Raises BadRequest for too little."""
    from mingmu.train.fit import seconds_to_predict

    measuring = SLOWER * seconds_to_predict(net, photos) / len(photos) * tested
    left = seconds - spent - AFTERWARDS - measuring
    if left <= 0:
        raise BadRequest(f"{seconds:g} seconds are too few: reading, sealing and measuring alone take about {seconds - left:.0f}")
    return left


def _identity(lesson: Lesson, recipe: Recipe) -> str:
    """What a training must share with the one that it goes on from."""
    return hashlib.sha256(f"{lesson.dataset.digest}\n{recipe.model_dump_json()}".encode()).hexdigest()


def _fit(
    net: Classifier,
    photos: Photos,
    held_out: Photos,
    recipe: Recipe,
    folder: Path,
    pixels: PixelSpec,
    identity: str,
    budget: float | None,
    resume: bool,
    progress: Progress,
) -> tuple[Epoch, ...]:
    from mingmu.train.feed import Feed
    from mingmu.train.fit import fit

    feed = Feed(photos, min(recipe.batch, len(photos)), recipe.balance, recipe.seed)
    progress("training", 0.0)
    watch = _telling(progress)
    return fit(net, feed, held_out, recipe, folder, size=pixels.size[0], identity=identity, budget=budget, resume=resume, watch=watch)


def _telling(progress: Progress) -> Callable[[Now], None]:
    """Passes on how far it is. What is said changes with each epoch only, so that a log does not fill."""
    said = {0: "training"}

    def watch(now: Now) -> None:
        number = now.last.number if now.last else 0
        if now.last and number not in said:
            said[number] = _words(now.last, now)
        progress(said[number], now.done)

    return watch


def _words(last: Epoch, now: Now) -> str:
    right = "" if last.held_out_accuracy is None else f", {last.held_out_accuracy:.1%} of held-out photos right"
    speed = f"{last.images_per_second:.0f} images/s, {now.seconds_left:.0f} s left"
    return f"epoch {last.number} of {now.epochs}: loss {last.loss:.3f}{right}, {speed}"


def _sealed(
    store: Store,
    name: str,
    net: Classifier,
    shown: Photos,
    held_out: Photos,
    lesson: Lesson,
    recipe: Recipe,
    pixels: PixelSpec,
    origin: Origin,
    curve: Sequence[Epoch],
) -> str:
    """The digest of the sealed network."""
    from mingmu.train.export import whole_model

    side = pixels.size[0]
    exported = whole_model(net, np.ascontiguousarray(shown.pixels[:COMPARED, :side, :side]), held_out)
    made_by: dict[str, JsonValue] = {
        "how": "mingmu train",
        "dataset": lesson.dataset.digest,
        "photos": len(lesson.part("train")),
        "recipe": recipe.model_dump(mode="json"),
        "epochs": len(curve),
        "temperature": exported.temperature,
        "torch": installed("torch"),
        "torch_to_artifact": exported.difference,
    }
    manifest = Manifest(kind="model", name=name, task="classify", pixels=pixels, labels=lesson.labels, origin=origin, made_by=made_by)
    return store.add(lambda folder: seal_network(folder, manifest, exported.graph)).digest


def page_of(store: Store, report: Report) -> str:
    """The report as a page to look at."""
    return page(report, thumbnails(report.measures.mistakes, Library(store).open(report.subject.digest), store.blobs))


def curve_json(curve: Sequence[Epoch]) -> list[dict[str, Any]]:
    return [asdict(epoch) for epoch in curve]
