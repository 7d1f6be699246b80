"""What a network learns: a lesson as it sees it, and the recipe; and the way from there to a recognizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from mingmu.core.cpus import cpu_count
from mingmu.core.errors import BadRequest, MissingExtra
from mingmu.core.manifest import DetectSpec, Manifest, Origin
from mingmu.core.pixels import PixelSpec
from mingmu.core.recognizer import Recognizer
from mingmu.core.runtime import TEXT
from mingmu.core.sealing import seal_network
from mingmu.data.dataset import Blobs
from mingmu.evaluate.report import Epoch as LearnedIn
from mingmu.registry.datasets import DatasetVersion
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.train.recipe import MOST_EPOCHS, Recipe, Task
from mingmu.verbs.backbones import seal_in_two
from mingmu.verbs.boxing import boxed_in_frames
from mingmu.verbs.curriculum import Lesson
from mingmu.verbs.recognizing import Progress, Step, ensure
from mingmu.verbs.runs import keep_weights
from mingmu.zoo.pull import pull

if TYPE_CHECKING:
    from mingmu.train.export import Exported
    from mingmu.train.feed import Photos
    from mingmu.train.nets.learner import Learner
    from mingmu.train.objective import Objective
    from mingmu.train.run import Epoch, Now

NEEDED = ("torch", "torchvision", "timm", "safetensors", "onnxscript", "sklearn")
COMPARED = 8  # photos that network and graph are compared on
TIMED = 16  # photos that a network is timed on, before
SEALING = 5.0  # seconds, on two cores, that sealing and a report take of any network
SEALING_A_LAYER = 0.035  # seconds more for each of its layers
SEALING_A_MEGABYTE = 0.1  # and for each megabyte of its weights
SLOWER = 3  # times, that a photo takes on its way through what was sealed, from a file and in fp32


def time_to_learn(seconds: float, spent: float, net: Learner, size: tuple[int, int], photos: int) -> float:
    """Of so many seconds all told, what is left for learning; what sealing, and measuring on so many photos of a size, will take is set
    aside.

    Raises BadRequest for too little.
    """
    from mingmu.train.feed import Photos
    from mingmu.train.prediction import seconds_to_predict

    few = Photos(np.zeros((TIMED, size[1], size[0], 3), np.uint8), np.zeros(TIMED, np.int64))
    layers, megabytes = sum(not [*layer.children()] for layer in net.modules()), sum(each.nbytes for each in net.parameters()) / 1e6
    sealing = SEALING + SEALING_A_LAYER * layers + SEALING_A_MEGABYTE * megabytes
    left = seconds - spent - sealing - SLOWER * seconds_to_predict(net, few) / TIMED * photos
    if left <= 0:
        raise BadRequest(f"{seconds:g} seconds are too few: reading, sealing and measuring alone take about {seconds - left:.0f}")
    return left


@dataclass(frozen=True)
class Course:
    """A lesson as a network sees it, with the recipe that it is learned by. What is trained, searched for or shrunk goes through one."""

    store: Store
    name: str  # of the recognizer
    lesson: Lesson
    recipe: Recipe
    pixels: PixelSpec
    photos: Photos  # to learn from, with room to be cropped
    held_out: Photos  # as they will be served
    folder: Path  # of the run: decoded photos, checkpoint, events
    progress: Progress

    @classmethod
    def prepared(
        cls, store: Store, name: str, lesson: Lesson, recipe: Recipe, pixels: PixelSpec, folder: Path, progress: Progress
    ) -> Course:
        """With the photos decoded, once for all trainings in `folder`. Raises BadRequest where a label has none that can be read."""
        from mingmu.train.feed import Photos, decoded, roomy, served

        found = []
        room = (roomy(pixels), served(pixels)) if lesson.task == "classify" else (pixels, 1.0)
        for split, (spec, shown) in (("train", room), ("val", (pixels, 1.0))):
            images = [*dict.fromkeys(example.image for example in lesson.part(split))]
            seen = decoded(folder / split, spec, images, store.blobs, lambda share: progress("decoding", share))
            found.append(Photos(seen.pixels, _truth(lesson, split, seen.images, pixels, store.blobs), shown))
        if lesson.task == "classify" and len(np.unique(found[0].truth)) < len(lesson.labels):
            raise BadRequest("no photo of some label can be read; mingmu audit says which")
        return cls(store, name, lesson, recipe, pixels, found[0], found[1], folder, progress)

    @property
    def side(self) -> int:
        """Pixels of a side that the network looks at."""
        return self.pixels.size[0]

    def network(self) -> tuple[Any, Origin]:
        """The recipe's network, before it has learned, and where its weights are from."""
        return network_of(self.store, self.lesson.task, self.lesson.labels, self.recipe, self.pixels)

    def learned_by(
        self,
        net: Learner,
        *,
        identity: str = "",
        budget: float | None = None,
        resume: bool = False,
        watch: Callable[[Now], None] | None = None,
    ) -> tuple[Epoch, ...]:
        """Train a network in place; gives its learning curve. Raises what `mingmu.train.fit.fit` does, and what its teacher does."""
        from mingmu.train.feed import Feed
        from mingmu.train.fit import fit

        feed = Feed(self.photos, min(self.recipe.batch, len(self.photos)), self.recipe.balance, self.recipe.seed)
        return fit(
            net,
            feed,
            self.held_out,
            self.recipe,
            self.folder,
            size=self.side,
            objective=self.objective(net),
            identity=identity,
            budget=budget,
            resume=resume,
            watch=watch or _telling(self.progress),
        )

    def objective(self, net: Learner) -> Objective | None:
        """What is made small; None: the cross-entropy. Raises BadRequest for a teacher that cannot teach this."""
        from mingmu.train.distil import Distilled, Teacher
        from mingmu.train.nets.classifier import Classifier
        from mingmu.train.objective import Detection
        from mingmu.train.transcription import Transcription

        table = self.recipe.distil
        if self.lesson.task == "detect":
            return Detection()
        if self.lesson.task == "read":
            return Transcription(self.pixels.size)
        if table.teacher is None:
            return None
        recognizer = Library(self.store, threads=cpu_count()).open(ensure(self.store, table.teacher).digest)
        teacher = Teacher.of(recognizer, self.lesson.labels, table)
        return Distilled(teacher, table, cast(Classifier, net).head.in_features, teacher.width)

    def sealed(
        self, net: Learner, origin: Origin, curve: Sequence[Epoch], made: Mapping[str, JsonValue] = {}, parent: str | None = None
    ) -> str:
        """The digest of the recognizer as it is now, sealed and proven; `made` is what else is to be said of how it was made.

        A classifier whose last layer is linear becomes a backbone and a head on it, any other network a whole model.
        """
        self.progress("sealing", 0.0)
        exported = self._exported(net)
        made_by: dict[str, JsonValue] = {
            "how": "mingmu train",
            "dataset": self.lesson.dataset.digest,
            "photos": len(self.lesson.part("train")),
            "recipe": self.recipe.model_dump(mode="json"),
            "epochs": len(curve),
            **({"temperature": exported.temperature} if self.lesson.task == "classify" else {}),
            "torch": installed("torch"),
            "torch_to_artifact": exported.difference,
            **made,
        }
        manifest = Manifest(
            kind="model",
            name=self.name,
            task=self.lesson.task,
            pixels=self.pixels,
            labels=self.lesson.labels,
            detect=DetectSpec() if self.lesson.task == "detect" else None,
            origin=origin,
            parent=parent,
            made_by=made_by,
        )
        if exported.last is None:
            return self.store.add(lambda folder: seal_network(folder, manifest, exported.graph)).digest
        return seal_in_two(self.store, manifest, exported, exported.last, self.recipe.net)

    def _exported(self, net: Learner) -> Exported:
        from mingmu.train import export
        from mingmu.train.nets import net_of
        from mingmu.train.nets.classifier import Classifier
        from mingmu.train.nets.learner import Detector

        shown = self.held_out if len(self.held_out) else self.photos
        frames = np.ascontiguousarray(shown.pixels[:COMPARED, : self.side, : self.side])
        if isinstance(net, Detector):
            return export.detector(net, frames)
        if self.lesson.task == "read":
            return export.whole_model(cast(Classifier, net), frames, output=TEXT)
        split = net_of(self.recipe.net).head == "linear"  # others read fixed features, and are nothing to teach heads on
        return (export.backbone if split else export.whole_model)(cast(Classifier, net), frames, self.held_out)

    def keep(self, recognizer: Recognizer, weights: Mapping[str, Any], curve: Sequence[Epoch], parent: str | None = None) -> DatasetVersion:
        """Keep what a recognizer came of: the photos, the recipe and the curve; and its weights, with which its network can learn on.

        Of a network that learned, it is written down, too, what it has seen: heads on it are not measured on that.
        """
        dataset, network = self.lesson.dataset, recognizer.network.backbone
        lineage: dict[str, JsonValue] = {"recipe": self.recipe.model_dump(mode="json"), "curve": [asdict(epoch) for epoch in curve]}
        for digest in {recognizer.digest} if self.recipe.net.freeze else {recognizer.digest, network}:
            self.store.records.add_lineage(digest, dataset.digest, lineage | ({"parent": parent} if parent else {}))
        keep_weights(self.store, network, weights)
        return self.store.datasets.add(self.name, dataset.digest, dataset.to_lines())


def _truth(lesson: Lesson, split: str, images: Sequence[str], pixels: PixelSpec, blobs: Blobs) -> NDArray[Any]:
    """What the images of a part show, as photos to learn from have it."""
    from mingmu.train.transcription import spelling

    part = lesson.part(split)
    if lesson.task == "detect":
        return boxed_in_frames(part, images, lesson.labels, pixels, blobs)
    label = {example.image: example.labels[0] for example in part}
    if lesson.task == "read":
        return spelling([label[image] for image in images], lesson.labels)
    return np.array([lesson.labels.index(label[image]) for image in images], np.int64)


def task_of(recipe: Recipe) -> Task:
    """What a recipe's network learns to do."""
    from mingmu.train.nets import net_of

    return net_of(recipe.net).task


def network_of(store: Store, task: Task, labels: Sequence[str], recipe: Recipe, pixels: PixelSpec) -> tuple[Any, Origin]:
    """The network of a recipe for labels, before it has learned, and where its weights are from."""
    from mingmu.train.nets import build
    from mingmu.train.nets.detectors import build_detector
    from mingmu.train.nets.readers import build_reader

    size = pixels.size[0]
    if task == "read":
        return build_reader(recipe.net, labels, recipe.seed)
    if task == "detect":
        return build_detector(recipe.net, size, len(labels), lambda entry: pull(entry, store.weights, store.mirror), recipe.seed)
    return build(recipe.net, size, len(labels), recipe.seed)


def as_reported(curve: Sequence[Epoch]) -> tuple[LearnedIn, ...]:
    """A learning curve as a report has it."""
    return tuple(LearnedIn(epoch.number, epoch.loss, epoch.held_out_loss, epoch.held_out_accuracy) for epoch in curve)


def check_installed(*more: str) -> None:
    """Raise MissingExtra unless what training needs is there, and `more`."""
    missing = [name for name in (*NEEDED, *more) if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"training needs {', '.join(missing)}: pip install 'mingmu[train]'")


def with_teacher_pinned(store: Store, recipe: Recipe) -> Recipe:
    """The recipe with the version of its teacher named, so that it always means the same. Raises NotFound."""
    if recipe.distil.teacher is None:
        return recipe
    version = ensure(store, recipe.distil.teacher)
    return recipe.model_copy(update={"distil": recipe.distil.model_copy(update={"teacher": f"{version.name}@{version.version}"})})


def with_epochs(recipe: Recipe, epochs: int | None, seconds: float | None, going_on: Path | None) -> Recipe:
    """The recipe with the epochs that are asked for; or with those of what was cut short in a folder; or with so many that the time that
    is given ends the training.
    """
    from mingmu.train import checkpoint
    from mingmu.train.identity import recipe_of

    state = checkpoint.state_of(going_on) if going_on else None
    before = recipe_of(state["identity"]).schedule.epochs if state else None
    return recipe.changed(epochs=epochs or before or (None if seconds is None else MOST_EPOCHS))


def as_learned(recipe: Recipe, curve: Sequence[Epoch]) -> Recipe:
    """The recipe as it was followed: where a time ended the training, with the epochs that it took."""
    return recipe.changed(epochs=len(curve)) if recipe.schedule.epochs == MOST_EPOCHS else recipe


def words(now: Now) -> str:
    """Where a training stands, for a line of a terminal."""
    right = ""
    if now.last and now.last.held_out_accuracy is not None:
        right = f", {now.last.held_out_accuracy:.1%} {'AP50' if _boxed(now.last) else 'right'}"
    return f"{_of(now.epoch, now)}: loss {now.loss:.3f}{right}, {now.images_per_second:.0f} images/s, {_left(now)}"


def _telling(progress: Progress) -> Callable[[Now], None]:
    """Passes on how far it is, for logs once an epoch."""
    said = {0: "training"}
    progress(said[0], 0.0)

    def watch(now: Now) -> None:
        number = now.last.number if now.last else 0
        if now.last and number not in said:
            said[number] = _over(now.last, now)
        progress(Step(said[number], words(now)), now.done)

    return watch


def _over(last: Epoch, now: Now) -> str:
    """What a log has of an epoch."""
    right = ""
    if last.held_out_accuracy is not None:
        right = f", {last.held_out_accuracy:.1%} {'AP50 on held-out photos' if _boxed(last) else 'of held-out photos right'}"
    return f"{_of(last.number, now)}: loss {last.loss:.3f}{right}, {last.images_per_second:.0f} images/s, {_left(now)}"


def _boxed(epoch: Epoch) -> bool:
    """Whether it is of a detector, of which no loss is looked at."""
    return epoch.held_out_loss is None


def _of(number: int, now: Now) -> str:
    return f"epoch {number}" if now.epochs == MOST_EPOCHS else f"epoch {number} of {now.epochs}"


def _left(now: Now) -> str:
    minutes = now.seconds_left / 60
    if minutes < 2:
        return f"{now.seconds_left:.0f} s left"
    return f"{minutes:.0f} min left" if minutes < 120 else f"{minutes / 60:.1f} h left"
