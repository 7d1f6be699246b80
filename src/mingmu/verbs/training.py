"""From labelled photos to a network of their own: trained, sealed, proven, measured and published."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from mingmu.core.errors import BadRequest
from mingmu.core.manifest import Origin
from mingmu.data import reading
from mingmu.data.dataset import Dataset
from mingmu.data.finding import Finding
from mingmu.evaluate.report import AnyReport
from mingmu.registry.datasets import DatasetVersion
from mingmu.registry.library import Library
from mingmu.registry.store import Store, Version
from mingmu.registry.teachable import check_teachable
from mingmu.train.identity import identity_of
from mingmu.train.recipe import Recipe
from mingmu.verbs import runs
from mingmu.verbs.course import (
    Course,
    as_learned,
    as_reported,
    check_installed,
    network_of,
    task_of,
    time_to_learn,
    with_epochs,
    with_teacher_pinned,
)
from mingmu.verbs.curriculum import TEST_SHARE, check_trainable, labels_of, lesson_of
from mingmu.verbs.measuring import keep, measured
from mingmu.verbs.recognizing import Progress, silent
from mingmu.verbs.teaching import SHIPPED

if TYPE_CHECKING:
    from mingmu.train.nets.classifier import Classifier
    from mingmu.train.nets.learner import Learner
    from mingmu.train.run import Epoch
    from mingmu.train.team import Team


@dataclass(frozen=True)
class Trained:
    """A recognizer with a network of its own, what it learned from, and what was measured of it."""

    version: Version
    dataset: DatasetVersion
    report: AnyReport
    findings: tuple[Finding, ...]
    curve: tuple[Epoch, ...]
    folder: Path  # of the run: checkpoint, and events for TensorBoard


def train(
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
) -> Trained:
    """Train the recognizer `name` on labelled photos, measure what was sealed, and publish it. The photos become the dataset `name`.
    What reads learns from photos of single lines, named after their texts.

    With `seconds` the training is fitted to that time, all told, and ends with it, or after so many `epochs`. One that was cut short
    goes on with `resume`, for as many epochs as it had, and is given up with `anew`. The processes of torchrun train together; what is
    not training, the first does for all. Raises BadRequest, Conflict, NotFound, MissingExtra, and whatever a proof raises.
    """
    check_installed()
    from mingmu.train import team

    with team.joined() as together, ExitStack() as held:
        together.told(lambda: held.enter_context(runs.alone(store, name)))
        progress = progress if together.leads else silent
        how = _How(recipe, epochs, seconds, resume, anew)
        return _train(store, name, lambda: _read(store, source, recipe, progress), how, progress, together)


def train_dataset(
    store: Store,
    dataset: str,
    *,
    name: str,
    recipe: Recipe,
    epochs: int | None = None,
    seconds: float | None = None,
    progress: Progress = silent,
) -> Trained:
    """`train` with a dataset that the store has, in one process, from the beginning."""
    check_installed()
    from mingmu.train.team import Team

    known = Dataset.from_lines(store.datasets.examples(store.datasets.resolve(dataset)))
    with runs.alone(store, name):
        how = _How(recipe, epochs, seconds, resume=False, anew=True)
        return _train(store, name, lambda: (known, ()), how, progress, Team())


@dataclass(frozen=True)
class _How:
    """What was asked for."""

    recipe: Recipe
    epochs: int | None
    seconds: float | None
    resume: bool
    anew: bool

    def settled(self, store: Store, folder: Path) -> Recipe:
        """The recipe that is followed, with its teacher pinned. Raises BadRequest, Conflict, NotFound."""
        from mingmu.train.nets import net_of

        if net_of(self.recipe.net).head == "svm" and self.resume:
            raise BadRequest(f"{self.recipe.net.name} is solved at once: there is nothing to resume")
        runs.check_start(folder, "training", resume=self.resume, anew=self.anew)
        recipe = with_teacher_pinned(store, self.recipe)
        return with_epochs(recipe, self.epochs, self.seconds, folder if self.resume else None)

    def left(self, began: float, net: Learner, size: tuple[int, int], tested: int) -> float | None:
        """Seconds for learning; None: as many as it takes. Raises BadRequest for too few."""
        return None if self.seconds is None else time_to_learn(self.seconds, time.monotonic() - began, net, size, tested)


def _train(
    store: Store, name: str, read: Callable[[], tuple[Dataset, Sequence[Finding]]], how: _How, progress: Progress, together: Team
) -> Trained:
    from mingmu.train.nets import net_of, unfetched

    began = time.monotonic()
    check_teachable(store, name, SHIPPED)
    folder = runs.run_of(store, name)
    recipe = together.told(lambda: how.settled(store, folder))
    known = net_of(recipe.net)
    pixels = recipe.pixels(known.size, known.task)
    dataset, findings = together.told(read)
    check_trainable(dataset, findings, known.task)
    labels = labels_of(dataset, known.task)
    if how.seconds is not None:  # which may be too few, before weights are fetched
        drawn, _ = network_of(store, known.task, labels, recipe.model_copy(update={"net": unfetched(recipe.net)}), pixels)
        together.told(lambda: how.left(began, drawn, pixels.size, round(TEST_SHARE * len(dataset))))
    net, origin = network_of(store, known.task, labels, recipe, pixels)  # before the photos are parted: it may be refused
    lesson = together.told(lambda: lesson_of(store, dataset, findings, recipe.seed, progress, known.task))
    identity = identity_of(recipe, dataset=lesson.dataset.digest)
    if how.resume:
        together.told(lambda: runs.check_same(folder, identity, "training"))
    course = together.after_the_first(lambda: Course.prepared(store, name, lesson, recipe, pixels, folder, progress))
    if known.head == "dbn" and not how.resume:
        _pretrain(net, course)
    left = together.told(lambda: how.left(began, net, pixels.size, len(lesson.part("test"))))
    if known.head == "svm":
        curve: tuple[Epoch, ...] = ()  # it is solved at once
        made = _solve(net, course, left)
    else:
        made = {}
        curve = course.learned_by(net, identity=identity, budget=left, resume=how.resume)
        course = replace(course, recipe=as_learned(recipe, curve))
    return together.told(lambda: _over(published(course, net, origin, curve, made)))


def _over(trained: Trained) -> Trained:
    runs.free_photos(trained.folder)
    runs.free_checkpoint(trained.folder)
    return trained


def _pretrain(net: Classifier, course: Course) -> None:
    from mingmu.train import dbn

    dbn.pretrain(net, course.photos, course.side, course.recipe.seed, lambda share: course.progress("training without labels", share))


def _solve(net: Classifier, course: Course, budget: float | None) -> dict[str, JsonValue]:
    """Gives the settings of the support vector machines that the network has afterwards."""
    from mingmu.train import svm

    found = svm.learn(
        net, course.photos, course.held_out, course.recipe, course.side, budget, lambda share: course.progress("training", share)
    )
    return {"cost": found.cost, "gamma": found.gamma}


def _read(store: Store, source: Path, recipe: Recipe, progress: Progress) -> tuple[Dataset, Sequence[Finding]]:
    found = reading.read(source, store.blobs, progress, texts=task_of(recipe) == "read")
    return found.dataset, found.findings


def published(course: Course, net: Learner, origin: Origin, curve: Sequence[Epoch], made: Mapping[str, JsonValue]) -> Trained:
    """A network that has learned: sealed, proven, measured, kept with what it came from, and published."""
    store, lesson, progress = course.store, course.lesson, course.progress
    digest = course.sealed(net, origin, curve, made)
    recognizer = Library(store).open(digest)
    report = measured(store, recognizer, lesson.dataset, Dataset.of(lesson.part("test")), progress)
    report = replace(report, training=as_reported(curve))
    kept = course.keep(recognizer, net.state_dict(), curve)
    keep(store, report, recognizer, lesson.dataset)
    progress("done", 1.0)
    return Trained(store.publish(course.name, digest), kept, report, lesson.findings, tuple(curve), course.folder)


def curve_json(curve: Sequence[Epoch]) -> list[dict[str, Any]]:
    return [asdict(epoch) for epoch in curve]
