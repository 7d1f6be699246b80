"""From labelled photos to a network of their own: trained, sealed, proven, measured and published."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from pydantic import JsonValue

from mingmu.core.cpus import cpu_count
from mingmu.core.errors import BadRequest, MissingExtra
from mingmu.core.manifest import DetectSpec, Manifest, Origin
from mingmu.core.pixels import PixelSpec
from mingmu.core.sealing import seal_network
from mingmu.data import reading, splits
from mingmu.data.dataset import Dataset, Example
from mingmu.data.finding import Finding
from mingmu.evaluate.report import AnyReport
from mingmu.evaluate.report import Epoch as LearnedIn
from mingmu.registry.datasets import DatasetVersion
from mingmu.registry.library import Library
from mingmu.registry.store import Store, Version
from mingmu.registry.teachable import check_teachable
from mingmu.train.recipe import Recipe
from mingmu.verbs import parting
from mingmu.verbs.boxing import boxed_in_frames
from mingmu.verbs.measuring import UNREAD, keep, measured
from mingmu.verbs.recognizing import Progress, ensure, silent
from mingmu.verbs.teaching import SHIPPED
from mingmu.zoo.pull import pull

if TYPE_CHECKING:
    from mingmu.train.feed import Photos
    from mingmu.train.nets.classifier import Classifier
    from mingmu.train.nets.learner import Learner
    from mingmu.train.objective import Objective
    from mingmu.train.run import Epoch, Now
    from mingmu.train.team import Team

NEEDED = ("torch", "torchvision", "timm", "safetensors", "onnxscript", "sklearn")
TEST_SHARE = 0.2
HELD_OUT_SHARE = 0.1  # of the photos, to choose the best epoch by
COMPARED = 8  # photos that network and graph are compared on
TIMED = 16  # photos that a network is timed on, before
AFTERWARDS = 15.0  # seconds that sealing and a report take on two cores, whatever the network
SLOWER = 3  # times, that a photo takes on its way through what was sealed, from a file and in fp32


@dataclass(frozen=True)
class Trained:
    """A recognizer with a network of its own, what it learned from, and what was measured of it."""

    version: Version
    dataset: DatasetVersion
    report: AnyReport
    findings: tuple[Finding, ...]
    curve: tuple[Epoch, ...]
    folder: Path  # of the run: checkpoint, and events for TensorBoard


@dataclass(frozen=True)
class Lesson:
    """Labelled photos and the parts that they play."""

    dataset: Dataset  # with `test`, `val` (held out, to choose the best epoch by) and `train`
    findings: tuple[Finding, ...]
    task: Literal["classify", "detect"] = "classify"

    @property
    def labels(self) -> tuple[str, ...]:
        taught = Dataset(self.part("train"))
        return taught.labels if self.task == "classify" else taught.boxed_labels

    def part(self, split: str) -> tuple[Example, ...]:
        """The examples of a part that say what they show; none to learn from that is nearly the same as one of the test part.

        To a detector, a photo without a label says that there is nothing.
        """
        said = Dataset.of(example for example in self.dataset if example.split == split)
        return tuple(example for example in said if example.labels) if self.task == "classify" else said.with_boxes().examples


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

    With `seconds` the training is fitted to that time, all told. The processes of torchrun train together; what is not training,
    the first does for all. Raises BadRequest, Conflict, NotFound, MissingExtra, and whatever a proof raises.
    """
    check_installed()
    from mingmu.train import team

    with team.joined() as together:
        tell = progress if together.leads else silent
        return _train(store, lambda: _read(store, source, recipe, tell), name, recipe, seconds, resume, tell, together)


def train_dataset(
    store: Store, dataset: str, *, name: str, recipe: Recipe, seconds: float | None = None, progress: Progress = silent
) -> Trained:
    """`train` with a dataset that the store has, in one process, from the beginning."""
    check_installed()
    from mingmu.train.team import Team

    known = Dataset.from_lines(store.datasets.examples(store.datasets.resolve(dataset)))
    return _train(
        store, lambda: lesson_of(store, known, (), recipe.seed, progress, _task(recipe)), name, recipe, seconds, False, progress, Team()
    )


def _train(
    store: Store,
    lesson_read: Callable[[], Lesson],
    name: str,
    recipe: Recipe,
    seconds: float | None,
    resume: bool,
    progress: Progress,
    together: Team,
) -> Trained:
    from mingmu.train.nets import net_named

    began = time.monotonic()
    check_teachable(store, name, SHIPPED)
    pixels = recipe.pixels(net_named(recipe.net.name).size, _task(recipe))
    lesson = together.told(lesson_read)
    recipe = together.told(lambda: with_teacher_pinned(store, recipe))
    folder = store.data_dir / "runs" / name
    net, origin, objective = _network(store, lesson, recipe, pixels)
    photos, held_out = together.after_the_first(lambda: photos_of(store, lesson, pixels, folder, progress))
    if net_named(recipe.net.name).head == "dbn" and not resume:
        _pretrained(net, photos, recipe, pixels, progress)
    tested = len(lesson.part("test"))
    left = seconds and together.told(lambda: budget(seconds, time.monotonic() - began, net, photos, tested, pixels.size[0]))
    if net_named(recipe.net.name).head == "svm":
        curve: tuple[Epoch, ...] = ()  # it is solved at once
        made = _solved(net, photos, held_out, recipe, pixels, left, progress)
    else:
        identity, made = identity_of(lesson.dataset.digest, recipe), {}
        curve = fitted(net, photos, held_out, recipe, folder, pixels, identity, left, resume, progress, objective)
    return together.told(
        lambda: published(store, name, net, photos, held_out, lesson, recipe, pixels, origin, curve, made, folder, progress)
    )


def _task(recipe: Recipe) -> Literal["classify", "detect"]:
    from mingmu.train.nets import net_named

    return net_named(recipe.net.name).task


def _network(store: Store, lesson: Lesson, recipe: Recipe, pixels: PixelSpec) -> tuple[Any, Origin, Objective | None]:
    """The network of a recipe, where its weights come from, and what is made small; None: the cross-entropy."""
    from mingmu.train.nets import build
    from mingmu.train.nets.detectors import build_detector
    from mingmu.train.objective import Detection

    size, count = pixels.size[0], len(lesson.labels)
    if lesson.task == "detect":
        detector, origin = build_detector(recipe.net, size, count, lambda entry: pull(entry, store.weights, store.mirror), recipe.seed)
        return detector, origin, Detection()
    net, origin = build(recipe.net, size, count, recipe.seed)
    return net, origin, objective_of(store, recipe, lesson.labels, net)


def _pretrained(net: Classifier, photos: Photos, recipe: Recipe, pixels: PixelSpec, progress: Progress) -> None:
    from mingmu.train import dbn

    dbn.pretrain(net, photos, pixels.size[0], recipe.seed, lambda share: progress("training without labels", share))


def _solved(
    net: Classifier, photos: Photos, held_out: Photos, recipe: Recipe, pixels: PixelSpec, budget: float | None, progress: Progress
) -> dict[str, JsonValue]:
    """Gives the settings of the support vector machines that the network has afterwards."""
    from mingmu.train import svm

    found = svm.learn(net, photos, held_out, recipe, pixels.size[0], budget, lambda share: progress("training", share))
    return {"cost": found.cost, "gamma": found.gamma}


def _read(store: Store, source: Path, recipe: Recipe, progress: Progress) -> Lesson:
    found = reading.read(source, store.blobs, progress)
    return lesson_of(store, found.dataset, found.findings, recipe.seed, progress, _task(recipe))


def published(
    store: Store,
    name: str,
    net: Learner,
    photos: Photos,
    held_out: Photos,
    lesson: Lesson,
    recipe: Recipe,
    pixels: PixelSpec,
    origin: Origin,
    curve: Sequence[Epoch],
    made: Mapping[str, JsonValue],
    folder: Path,
    progress: Progress,
) -> Trained:
    """A network that has learned: sealed, proven, measured, kept with what it came from, and published."""
    progress("sealing", 0.0)
    version = sealed(store, name, net, held_out if len(held_out) else photos, held_out, lesson, recipe, pixels, origin, curve, made=made)
    recognizer = Library(store).open(version)
    tested = Dataset.of(lesson.part("test"))
    report = measured(store, recognizer, lesson.dataset, tested, progress)
    report = replace(report, training=tuple(LearnedIn(e.number, e.loss, e.held_out_loss, e.held_out_accuracy) for e in curve))
    kept = store.datasets.add(name, lesson.dataset.digest, lesson.dataset.to_lines())
    store.records.add_lineage(version, lesson.dataset.digest, {"recipe": recipe.model_dump(), "curve": [asdict(epoch) for epoch in curve]})
    keep(store, report, recognizer, lesson.dataset)
    progress("done", 1.0)
    return Trained(store.publish(name, version), kept, report, lesson.findings, tuple(curve), folder)


def check_installed(*more: str) -> None:
    """Raise MissingExtra unless what training needs is there, and `more`."""
    missing = [name for name in (*NEEDED, *more) if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"training needs {', '.join(missing)}: pip install 'mingmu[train]'")


def lesson_of(
    store: Store,
    dataset: Dataset,
    findings: Sequence[Finding],
    seed: int,
    progress: Progress,
    task: Literal["classify", "detect"] = "classify",
) -> Lesson:
    """The photos, in parts that cannot leak. Raises BadRequest where they cannot be trained on."""
    if dataset.multi_label and task == "classify":
        raise BadRequest("some photos carry several labels; a network is trained on one each, so teach a head instead (mingmu teach)")
    groups = parting.groups_of(dataset, store, progress)
    parts = splits.split(dataset, groups, test=TEST_SHARE, calibration=HELD_OUT_SHARE, seed=seed)
    tested = {int(groups[at]) for at in parts.test}
    side: dict[int, str] = {int(at): "test" for at in parts.test} | {int(at): "val" for at in parts.calibration}
    examples = []
    for at, example in enumerate(dataset):
        leaks = at not in side and int(groups[at]) in tested
        examples.append(replace(example, split=None if leaks else side.get(at, "train")))  # type: ignore[arg-type]
    lesson = Lesson(Dataset.of(examples), (*findings, *parts.findings), task)
    _check(lesson)
    return lesson


def _check(lesson: Lesson) -> None:
    if lesson.task == "detect" and not lesson.labels:
        raise BadRequest("no readable photo has a box to learn from; boxes come from COCO, Pascal VOC and YOLO files")
    if lesson.task == "classify" and len(lesson.labels) < 2:
        unread = sum(len(each.where) for each in lesson.findings if each.kind in UNREAD)
        hint = f" ({unread} files cannot be read: mingmu audit)" if unread else ""
        raise BadRequest(f"there are readable photos of {len(lesson.labels)} labels to learn from; training needs at least 2{hint}")
    if not lesson.part("test"):
        raise BadRequest("there are too few photos to set some aside to measure with; a head needs less (mingmu teach)")
    known = lesson.dataset.labels if lesson.task == "classify" else lesson.dataset.boxed_labels
    missing = sorted({*known} - {*lesson.labels})
    if missing:
        raise BadRequest(f"all photos of {', '.join(missing[:5])} are set aside to measure with; give each label some to learn from")


def photos_of(store: Store, lesson: Lesson, pixels: PixelSpec, folder: Path, progress: Progress) -> tuple[Photos, Photos]:
    """The photos to learn from, with room to be cropped, and those that are held out, as they will be served."""
    from mingmu.train.feed import Photos, decoded, roomy

    found = []
    for split, spec in (("train", pixels if lesson.task == "detect" else roomy(pixels)), ("val", pixels)):
        part = lesson.part(split)
        images = [*dict.fromkeys(example.image for example in part)]
        seen = decoded(folder / split, spec, images, store.blobs, lambda share: progress("decoding", share))
        if lesson.task == "detect":
            found.append(Photos(seen.pixels, boxed_in_frames(part, seen.images, lesson.labels, pixels, store.blobs)))
            continue
        label = {example.image: example.labels[0] for example in part}
        found.append(Photos(seen.pixels, np.array([lesson.labels.index(label[image]) for image in seen.images], np.int64)))
    if lesson.task == "classify" and len(np.unique(found[0].truth)) < len(lesson.labels):
        raise BadRequest("no photo of some label can be read; mingmu audit says which")
    return found[0], found[1]


def budget(seconds: float, spent: float, net: Learner, photos: Photos, tested: int, side: int) -> float:
    """What is left for the training itself, with what sealing and measuring will take set aside. Raises BadRequest for too little."""
    from mingmu.train.prediction import seconds_to_predict

    few = replace(photos[:TIMED], pixels=photos.pixels[:TIMED, :side, :side])
    measuring = SLOWER * seconds_to_predict(net, few) / len(few) * tested
    left = seconds - spent - AFTERWARDS - measuring
    if left <= 0:
        raise BadRequest(f"{seconds:g} seconds are too few: reading, sealing and measuring alone take about {seconds - left:.0f}")
    return left


def identity_of(dataset: str, recipe: Recipe) -> str:
    """What a training must share with the one that it goes on from, with the digest of what it learned from."""
    return hashlib.sha256(f"{dataset}\n{recipe.model_dump_json()}".encode()).hexdigest()


def with_teacher_pinned(store: Store, recipe: Recipe) -> Recipe:
    """The recipe with the version of its teacher named, so that it always means the same. Raises NotFound."""
    if recipe.distil.teacher is None:
        return recipe
    version = ensure(store, recipe.distil.teacher)
    return recipe.model_copy(update={"distil": recipe.distil.model_copy(update={"teacher": f"{version.name}@{version.version}"})})


def objective_of(store: Store, recipe: Recipe, labels: Sequence[str], net: Classifier) -> Objective | None:
    """What is learned from a recipe's teacher; None where it has none. Raises BadRequest for one that cannot teach this."""
    from mingmu.train.distil import Distilled, Teacher

    if recipe.distil.teacher is None:
        return None
    recognizer = Library(store, threads=cpu_count()).open(ensure(store, recipe.distil.teacher).digest)
    teacher = Teacher.of(recognizer, labels, recipe.distil)
    return Distilled(teacher, recipe.distil, net.head.in_features, teacher.width)


def fitted(
    net: Learner,
    photos: Photos,
    held_out: Photos,
    recipe: Recipe,
    folder: Path,
    pixels: PixelSpec,
    identity: str,
    budget: float | None,
    resume: bool,
    progress: Progress,
    objective: Objective | None,
) -> tuple[Epoch, ...]:
    from mingmu.train.feed import Feed
    from mingmu.train.fit import fit

    feed = Feed(photos, min(recipe.batch, len(photos)), recipe.balance, recipe.seed)
    progress("training", 0.0)
    watch = _telling(progress)
    size = pixels.size[0]
    return fit(
        net, feed, held_out, recipe, folder, size=size, objective=objective, identity=identity, budget=budget, resume=resume, watch=watch
    )


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
    right = ""
    if last.held_out_accuracy is not None:  # of detectors no loss is looked at
        what = "AP50 on held-out photos" if last.held_out_loss is None else "of held-out photos right"
        right = f", {last.held_out_accuracy:.1%} {what}"
    speed = f"{last.images_per_second:.0f} images/s, {now.seconds_left:.0f} s left"
    return f"epoch {last.number} of {now.epochs}: loss {last.loss:.3f}{right}, {speed}"


def sealed(
    store: Store,
    name: str,
    net: Learner,
    shown: Photos,
    held_out: Photos,
    lesson: Lesson,
    recipe: Recipe,
    pixels: PixelSpec,
    origin: Origin,
    curve: Sequence[Epoch],
    parent: str | None = None,
    made: Mapping[str, JsonValue] = {},
) -> str:
    """The digest of the sealed network; `made` is what else is to be said of how it was made."""
    from mingmu.train import export
    from mingmu.train.nets.classifier import Classifier
    from mingmu.train.nets.learner import Detector

    side = pixels.size[0]
    frames = np.ascontiguousarray(shown.pixels[:COMPARED, :side, :side])
    exported = export.detector(net, frames) if isinstance(net, Detector) else export.whole_model(cast(Classifier, net), frames, held_out)
    made_by: dict[str, JsonValue] = {
        "how": "mingmu train",
        "dataset": lesson.dataset.digest,
        "photos": len(lesson.part("train")),
        "recipe": recipe.model_dump(mode="json"),
        "epochs": len(curve),
        **({"temperature": exported.temperature} if lesson.task == "classify" else {}),
        "torch": installed("torch"),
        "torch_to_artifact": exported.difference,
        **made,
    }
    manifest = Manifest(
        kind="model",
        name=name,
        task=lesson.task,
        pixels=pixels,
        labels=lesson.labels,
        detect=DetectSpec() if lesson.task == "detect" else None,
        origin=origin,
        parent=parent,
        made_by=made_by,
    )
    return store.add(lambda folder: seal_network(folder, manifest, exported.graph)).digest


def curve_json(curve: Sequence[Epoch]) -> list[dict[str, Any]]:
    return [asdict(epoch) for epoch in curve]
