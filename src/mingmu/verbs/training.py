"""From labelled photos to a network of their own: trained, sealed, proven, measured and published."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
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
from mingmu.train.recipe import Recipe
from mingmu.verbs.course import (
    Course,
    Lesson,
    as_reported,
    check_installed,
    identity_of,
    lesson_of,
    network_of,
    task_of,
    with_teacher_pinned,
)
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
        store, lambda: lesson_of(store, known, (), recipe.seed, progress, task_of(recipe)), name, recipe, seconds, False, progress, Team()
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
    known = net_named(recipe.net.name)
    if known.task == "read":
        raise BadRequest(f"{recipe.net.name} reads text; readers are trained with `mingmu train --task read`, on photos of single lines")
    pixels, folder = recipe.pixels(known.size, known.task), store.data_dir / "runs" / name
    lesson = together.told(lesson_read)
    recipe = together.told(lambda: with_teacher_pinned(store, recipe))
    net, origin = network_of(store, lesson, recipe, pixels)  # before the photos: it may be refused
    course = together.after_the_first(lambda: Course.prepared(store, name, lesson, recipe, pixels, folder, progress))
    if known.head == "dbn" and not resume:
        _pretrain(net, course)
    left = seconds and together.told(lambda: course.budget(seconds, time.monotonic() - began, net))
    if known.head == "svm":
        curve: tuple[Epoch, ...] = ()  # it is solved at once
        made = _solve(net, course, left)
    else:
        made = {}
        curve = course.learned_by(net, identity=identity_of(lesson.dataset.digest, recipe), budget=left, resume=resume)
    return together.told(lambda: published(course, net, origin, curve, made))


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


def _read(store: Store, source: Path, recipe: Recipe, progress: Progress) -> Lesson:
    found = reading.read(source, store.blobs, progress)
    return lesson_of(store, found.dataset, found.findings, recipe.seed, progress, task_of(recipe))


def published(course: Course, net: Learner, origin: Origin, curve: Sequence[Epoch], made: Mapping[str, JsonValue]) -> Trained:
    """A network that has learned: sealed, proven, measured, kept with what it came from, and published."""
    store, lesson, progress = course.store, course.lesson, course.progress
    digest = course.sealed(net, origin, curve, made)
    recognizer = Library(store).open(digest)
    report = measured(store, recognizer, lesson.dataset, Dataset.of(lesson.part("test")), progress)
    report = replace(report, training=as_reported(curve))
    kept = store.datasets.add(course.name, lesson.dataset.digest, lesson.dataset.to_lines())
    store.records.add_lineage(digest, lesson.dataset.digest, course.lineage(curve))
    keep(store, report, recognizer, lesson.dataset)
    progress("done", 1.0)
    return Trained(store.publish(course.name, digest), kept, report, lesson.findings, tuple(curve), course.folder)


def curve_json(curve: Sequence[Epoch]) -> list[dict[str, Any]]:
    return [asdict(epoch) for epoch in curve]
