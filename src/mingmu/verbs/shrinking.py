"""Smaller and faster versions of a recognizer: its network pruned, or another one that learns from it; published if they are as good."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from mingmu.core.cpus import cpu_count
from mingmu.core.errors import BadRequest, Conflict
from mingmu.core.manifest import Origin
from mingmu.core.network import Network
from mingmu.core.recognizer import Recognizer
from mingmu.data import reading
from mingmu.data.dataset import Dataset
from mingmu.evaluate.pareto import pareto_page
from mingmu.registry.library import Library
from mingmu.registry.store import Store, Version
from mingmu.registry.tuning import Trial, Tunings
from mingmu.train import recipe as recipes
from mingmu.train.identity import identity_of
from mingmu.train.recipe import NetTable, Recipe
from mingmu.verbs import runs
from mingmu.verbs.backbones import net_under
from mingmu.verbs.course import (
    Course,
    as_learned,
    as_reported,
    check_installed,
    time_to_learn,
    with_epochs,
    with_teacher_pinned,
)
from mingmu.verbs.curriculum import Lesson, check_trainable, lesson_of
from mingmu.verbs.heat import Heat, heat_of
from mingmu.verbs.lessons import last_lesson, merged
from mingmu.verbs.measuring import keep as keep_report
from mingmu.verbs.measuring import report_of, unseen
from mingmu.verbs.recognizing import Progress, ensure, silent
from mingmu.verbs.tuning import head_on, opened, resealed
from mingmu.zoo import catalog

if TYPE_CHECKING:
    from mingmu.train.nets.classifier import Classifier
    from mingmu.train.run import Epoch

KEEP = 0.7
SHARE = 0.9  # of the loss that is held against what the parent thinks: who is to take its place must answer as it does
ROUNDING = 0.2  # of the time, or of the epochs, is for learning with INT8's errors, where that is needed


@dataclass(frozen=True)
class Shrunk:
    """A recognizer and what was made of it; `version` is None where the gate refused them all, and nothing was published."""

    version: Version | None
    parent: Version
    trials: tuple[Trial, ...]  # the parent's first
    data: str  # the photos they were judged on, in words
    curve: tuple[Epoch, ...]

    def page(self) -> str:
        """Accuracy, time and size beside each other, to look at."""
        return pareto_page(f"{self.parent.name}@{self.parent.version}", self.trials, self.data)


def shrink(
    store: Store,
    reference: str,
    source: Path | None = None,
    *,
    keep: float | None = None,
    net: str | None = None,
    recipe: Recipe | None = None,
    size: int | None = None,
    epochs: int | None = None,
    seconds: float | None = None,
    resume: bool = False,
    anew: bool = False,
    progress: Progress = silent,
) -> Shrunk:
    """Make a smaller version of a recognizer, which learns from it; published if it is as good, and faster.

    Its own network is pruned to the share `keep` of its multiplications; or, with `net`, another network learns from it. The photos are
    those it learned from, and those of `source`; it is judged on the part of them that neither has seen, also in INT8. Where only INT8
    is not as good, it learns on with INT8's errors. It looks at as many pixels as its parent, or at `size` a side. `epochs`, `seconds`,
    `resume` and `anew` are as for `train`. Raises BadRequest, Conflict, NotFound, MissingExtra, and whatever a proof raises.
    """
    began = time.monotonic()
    check_installed("torch_pruning")
    version = ensure(store, reference, progress)
    with runs.alone(store, version.name):
        folder = runs.smaller_of(store, version.name)
        runs.check_start(folder, "shrinking", resume=resume, anew=anew)
        recognizer, sealed = opened(store, version)
        parent = replace(recognizer, network=sealed)
        keep = keep or (KEEP if net is None else 1.0)
        plan = _plan(store, version, parent, keep, net, recipe, size)
        plan = with_epochs(plan, epochs, seconds, folder if resume else None)
        lesson, judged = _photos(store, version, parent, source, plan.seed, progress)
        student = _student(store, version, parent, plan, lesson, keep, folder, progress)
        left = None if seconds is None else student.budget(seconds, time.monotonic() - began, len(judged))
        student.learn(left, resume)
        done = _judged(store, student, parent, judged, left)
        shutil.rmtree(folder, ignore_errors=True)
        return done


def _judged(store: Store, student: Student, parent: Recognizer, judged: Dataset, left: float | None) -> Shrunk:
    """What it is worth, as it learned and in INT8."""
    version, lesson, progress = student.version, student.course.lesson, student.course.progress
    with heat_of(store, parent, f"{version.name}@{version.version}", judged, lesson, progress) as heat:
        exact = student.sealed()
        verdict = heat.enter(student.words, exact)
        in_int8 = heat.enter_int8(f"{student.words}, INT8", exact)
        if verdict.passed and in_int8 and not in_int8.passed:
            student.learn_rounded(left)
            heat.enter_int8(f"{student.words}, learned in INT8", student.sealed())
        heat.run()
        return _decided(heat, student, f"{len(judged)} photos that none of them learned from")


@dataclass
class Student:
    """A network that learns from a recognizer."""

    version: Version  # that it learns from, and is to follow
    course: Course
    keep: float
    net: Classifier
    origin: Origin
    curve: list[Epoch] = field(default_factory=list)
    weights: dict[str, dict[str, Any]] = field(default_factory=dict)  # that were sealed, by digest
    rounded: bool = False

    @property
    def words(self) -> str:
        parts = [self.course.recipe.net.name]
        if self.course.side != self.course.store.artifact(self.version.digest).manifest.pixels.size[0]:
            parts.append(f"{self.course.side} pixels")
        return ", ".join(parts if self.keep == 1 else (*parts, f"{self.keep:.0%} kept"))

    def budget(self, seconds: float, spent: float, judged: int) -> float:
        """What is left for learning, with what judging three networks will take set aside."""
        return time_to_learn(seconds, spent, self.net, self.course.pixels.size, 3 * judged)

    def learn(self, budget: float | None, resume: bool) -> None:
        recipe, share = self.course.recipe, None if budget is None else budget * (1 - ROUNDING)
        identity = identity_of(recipe, dataset=self.course.lesson.dataset.digest, parent=self.version.digest, keep=self.keep)
        if resume:
            runs.check_same(self.course.folder, identity, "shrinking")
        self._add(self.course.learned_by(self.net, identity=identity, budget=share, resume=resume))
        self.course = replace(self.course, recipe=as_learned(recipe, self.curve))

    def learn_rounded(self, budget: float | None) -> None:
        """Some more, a tenth as fast, with the errors that INT8 makes."""
        from mingmu.train.rounding import rounding

        recipe = self.course.recipe
        schedule = recipe.schedule.model_copy(update={"epochs": max(1, round(ROUNDING * recipe.schedule.epochs))})
        optimiser = recipe.optimiser.model_copy(update={"rate": recipe.optimiser.rate / 10})
        slower = recipe.model_copy(update={"schedule": schedule, "optimiser": optimiser, "precision": "fp32"})
        more = replace(self.course, recipe=slower, folder=self.course.folder / "rounded")
        self.rounded = True
        with rounding(self.net):
            self._add(more.learned_by(self.net, budget=None if budget is None else budget * ROUNDING))

    def _add(self, curve: Iterable[Epoch]) -> None:
        self.curve += [replace(epoch, number=len(self.curve) + at) for at, epoch in enumerate(curve, start=1)]

    def sealed(self) -> Recognizer:
        """As it is now, proven."""
        made: dict[str, JsonValue] = {"how": "mingmu shrink", "keep": self.keep, "rounded": self.rounded}
        digest = self.course.sealed(self.net, self.origin, self.curve, made, parent=self.version.digest)
        self.weights[digest] = {name: tensor.clone() for name, tensor in self.net.state_dict().items()}
        return Library(self.course.store, threads=cpu_count()).open(digest)

    def chosen(self, best: Recognizer, evidence: Mapping[str, JsonValue]) -> Recognizer:
        """The one that won, sealed with the evidence; with its network, where that is a variant of what learned."""
        store, network = self.course.store, best.network
        if network.artifact.digest != network.backbone:
            about = {**store.artifact(network.backbone).manifest.made_by, **evidence}
            network = Network.open(store.add(partial(resealed, network.artifact, {"made_by": about})))
        changes = {"parent": self.version.digest, "made_by": {**best.manifest.made_by, **evidence}}
        return Library(store).open(store.add(partial(head_on, network, best, changes)).digest)


def _plan(
    store: Store, version: Version, parent: Recognizer, keep: float, net: str | None, recipe: Recipe | None, size: int | None
) -> Recipe:
    """How the student learns: from its parent, and on the same view; another network, on no more pixels than it usually looks at.

    Unless told otherwise it learns as its parent did, or, where it begins from nothing, as that takes; and mostly what its parent thinks.
    """
    from mingmu.train.nets import net_named, net_of

    if parent.manifest.task != "classify" or parent.manifest.multi_label:
        raise BadRequest(f"{version.name} does not say one label of a photo; only what does can be shrunk")
    own, view = net_under(parent), parent.manifest.pixels
    other = net_named(net) if net and not (own and own.name == net) else None
    table = {"name": net} if net and other else _own_net(parent)
    if recipe is None:
        recipe = recipes.read("student") if other and not other.weights else _recipe_of(parent) or recipes.read("fast")
        distil = recipe.distil.model_copy(update={"teacher": None, "share": SHARE})
        # What was pruned has to find itself anew in its lower layers, too.
        optimiser = recipe.optimiser.model_copy(update={"layer_decay": 1.0, "unfreeze": 0.0} if keep < 1 else {})
        recipe = recipe.model_copy(update={"distil": distil, "optimiser": optimiser})
        table = {**NetTable().model_dump(), **table}
    side = size or min(view.size[0], other.size if other else view.size[0])
    seen = {"fit": view.fit, "margin": view.margin, "size": side, "freeze": False}
    changed = recipe.net.model_copy(update=table | seen)
    if net_of(changed).head != "linear":
        raise BadRequest(f"{changed.name} stays as it is below its head and can be no smaller; name another network (--net)")
    distil = recipe.distil.model_copy(update={"teacher": recipe.distil.teacher or f"{version.name}@{version.version}"})
    return with_teacher_pinned(store, recipe.model_copy(update={"net": changed, "distil": distil}))


def _own_net(parent: Recognizer) -> dict[str, Any]:
    """Which network a recognizer has, as a recipe says it. Raises Conflict where that cannot be had in a form that learns."""
    from mingmu.train.nets import NETS

    if table := net_under(parent):
        return table.model_dump()
    network = parent.network.artifact.manifest
    for name, known in NETS.items():
        if known.weights and network.origin.provenance == catalog.entry(known.weights).provenance and not network.made_by:
            return {"name": name, "weights": "published"}
    why = "it was pruned already" if "keep" in network.made_by else "it was not trained here"
    raise Conflict(f"the network of {parent.manifest.name} cannot be pruned: {why}; name one that learns from it (--net)")


def _recipe_of(parent: Recognizer) -> Recipe | None:
    """How a recognizer was trained, or taken from its parent; None if it was not."""
    made_by = parent.manifest.made_by
    return Recipe.model_validate(made_by["recipe"]) if "recipe" in made_by else None


def _photos(
    store: Store, version: Version, parent: Recognizer, source: Path | None, seed: int, progress: Progress
) -> tuple[Lesson, Dataset]:
    """What is learned, and the photos that say how well; none of them taught the parent. Raises BadRequest, Conflict."""
    before = last_lesson(store, f"{version.name}@{version.version}")
    if source is None and before is None:
        raise BadRequest(f"the photos that {version.name} learned from are not here; give labelled photos (--data)")
    found = reading.read(source, store.blobs, progress) if source else None
    dataset = merged(before or Dataset(()), found.dataset) if found else before or Dataset(())
    check_trainable(dataset, found.findings if found else ())
    lesson = lesson_of(store, dataset, found.findings if found else (), seed, progress)
    if {*lesson.labels} != {*parent.manifest.labels}:
        odd = sorted({*lesson.labels} ^ {*parent.manifest.labels})
        raise BadRequest(f"the photos must show the labels that {version.name} knows, no more and no fewer; not so: {', '.join(odd[:5])}")
    return lesson, unseen(store, Dataset.of(lesson.part("test")), parent, progress=progress)


def _student(
    store: Store, version: Version, parent: Recognizer, plan: Recipe, lesson: Lesson, keep: float, folder: Path, progress: Progress
) -> Student:
    """The network that is to learn: pruned from what its parent is made of, or another."""
    from mingmu.train.prune import prune

    course = Course.prepared(store, version.name, lesson, plan, plan.pixels(parent.manifest.pixels.size[0]), folder, progress)
    student, origin = course.network()
    own = net_under(parent)
    if own and parent.head and (own.name, own.norm) == (plan.net.name, plan.net.norm):
        columns = [parent.manifest.labels.index(label) for label in lesson.labels]
        student.take(runs.kept_weights(store, parent.network.backbone), parent.head.weight[:, columns], parent.head.bias[columns])
        origin = parent.network.artifact.manifest.origin
    if keep < 1:
        progress("pruning", 0.0)
        prune(student, course.photos, course.side, keep)
        origin = origin.model_copy(update={"source": f"pruned; {origin.source}"})
    return Student(version, course, keep, student, origin)


def _decided(heat: Heat, student: Student, data: str) -> Shrunk:
    """The best is sealed with what was measured, kept with its report, and published."""
    course, store = student.course, student.course.store
    version, trials, best, curve = student.version, heat.trials, heat.best, tuple(student.curve)
    if best is None:
        return Shrunk(None, version, trials, data, curve)
    evidence: dict[str, JsonValue] = {
        "judged": [trial.model_dump(mode="json") for trial in trials],
        "data": data,
        "machine": str(Tunings(store.data_dir).machine),
    }
    recognizer, dataset = student.chosen(best.recognizer, evidence), course.lesson.dataset
    report = report_of(recognizer, dataset, best.said, store)
    course.keep(recognizer, student.weights[best.recognizer.digest], curve, parent=version.digest)
    keep_report(store, replace(report, training=as_reported(curve)), recognizer, dataset)
    course.progress("done", 1.0)
    return Shrunk(store.publish(version.name, recognizer.digest), version, trials, data, curve)
