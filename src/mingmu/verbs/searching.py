"""The best recipe for some photos, by trying many; the network that it made is published."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mingmu.core.errors import BadRequest, MissingExtra
from mingmu.data import reading
from mingmu.evaluate.summary import headline
from mingmu.registry.store import Store
from mingmu.registry.teachable import check_teachable
from mingmu.train.identity import identity_of
from mingmu.train.recipe import Recipe
from mingmu.verbs import runs
from mingmu.verbs.course import (
    Course,
    check_installed,
    time_to_learn,
    with_teacher_pinned,
    words,
)
from mingmu.verbs.curriculum import TEST_SHARE, check_trainable, lesson_of
from mingmu.verbs.recognizing import Progress, Step, silent
from mingmu.verbs.teaching import SHIPPED
from mingmu.verbs.training import Trained, published

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

    from mingmu.train.run import Now

TRIALS = 20  # where neither their number nor a time is given


@dataclass(frozen=True)
class Searched:
    """What was found."""

    trained: Trained
    recipe: Recipe
    file: Path  # the recipe as TOML
    tried: int
    given_up: int  # of these, early, as hopeless
    first: float | None  # share of the held-out photos that the first recipe got right; None: it did not get to its end
    best: float  # the same of the best one


def search(
    store: Store,
    source: Path,
    *,
    name: str,
    recipe: Recipe,
    trials: int | None = None,
    seconds: float | None = None,
    resume: bool = False,
    anew: bool = False,
    progress: Progress = silent,
) -> Searched:
    """Try recipes around a first one, and publish what the best of them made as `name`. `trials` count with those before `resume`.

    A search that was cut short goes on with `resume`, and is given up with `anew`. Recipes are judged by the held-out photos alone: nobody
    looks at the test part before the best is chosen. What is worse than half of the others were after as many epochs is given up.
    Raises BadRequest, Conflict, NotFound, MissingExtra.
    """
    began = time.monotonic()
    check_installed()
    if find_spec("optuna") is None:
        raise MissingExtra("a search needs optuna: pip install 'mingmu[search]'")
    from mingmu.train import search as tries

    with runs.alone(store, name), tries.quiet():
        check_teachable(store, name, SHIPPED)
        tries.check_start(runs.search_of(store, name), resume=resume, anew=anew)
        course = _course(store, source, name, recipe, seconds, progress)
        deadline = math.inf if seconds is None else time.monotonic() + _left(course, seconds, began)
        identity = identity_of(course.recipe, dataset=course.lesson.dataset.digest)
        study = tries.opened(_folder(course), course.recipe, identity, resume=resume)
        count = trials or (TRIALS if seconds is None else None)
        while time.monotonic() < deadline and (count is None or len(_over(study)) < count):
            _try(course, study, count, deadline)
        if not _complete(study):
            raise BadRequest(f"none of {len(study.trials)} recipes got to its end; give the search more time, or lower optimiser.rate")
        found = _found(course, study)
        study.set_user_attr(tries.OVER, True)
        runs.free_photos(course.folder)
        return found


def _course(store: Store, source: Path, name: str, recipe: Recipe, seconds: float | None, progress: Progress) -> Course:
    """What all trials share, with the first recipe. Whatever would be refused of each is refused here."""
    from mingmu.train.nets import build, net_of

    began = time.monotonic()
    net = net_of(recipe.net)
    if net.task != "classify":
        raise BadRequest(f"{recipe.net.name} is no classifier; recipes are searched for classifiers alone, so far (mingmu train)")
    if net.head != "linear":
        raise BadRequest(f"{recipe.net.name} finds its settings itself; train it (mingmu train)")
    pinned, pixels = with_teacher_pinned(store, recipe), recipe.pixels(net.size)
    found = reading.read(source, store.blobs, progress)
    check_trainable(found.dataset, found.findings)
    first, _ = build(recipe.net, pixels.size[0], len(found.dataset.labels), recipe.seed)
    if seconds is not None:
        time_to_learn(seconds, time.monotonic() - began, first, pixels.size, round(TEST_SHARE * len(found.dataset)))
    lesson = lesson_of(store, found.dataset, found.findings, recipe.seed, progress)
    course = Course.prepared(store, name, lesson, pinned, pixels, runs.run_of(store, name), progress)
    if not len(course.held_out):
        raise BadRequest("there are too few photos to hold some out, which recipes could be judged by; train with one (mingmu train)")
    course.objective(first)
    return course


def _left(course: Course, seconds: float, began: float) -> float:
    """Seconds for all tries together."""
    return time_to_learn(seconds, time.monotonic() - began, course.network()[0], course.pixels.size, len(course.lesson.part("test")))


def _folder(course: Course) -> Path:
    """Of the search: its study, and the checkpoints of its trials."""
    return runs.search_of(course.store, course.name)


def _try(course: Course, study: Study, count: int | None, deadline: float) -> None:
    """One recipe, to its end or until it is given up. Of all checkpoints the best one's remains."""
    from optuna import TrialPruned
    from optuna.trial import TrialState

    from mingmu.train.fit import Diverged
    from mingmu.train.search import varied, worth

    trial = study.ask()
    folder = _folder(course) / str(trial.number)
    left = None if deadline == math.inf else max(1.0, deadline - time.monotonic())
    watch = _judging(course, study, trial, count)
    try:
        tried = replace(course, recipe=varied(course.recipe, trial), folder=folder)
        curve = tried.learned_by(tried.network()[0], budget=left, watch=watch)
    except (TrialPruned, Diverged) as error:
        trial.set_user_attr("given up", str(error))
        study.tell(trial, state=TrialState.PRUNED)
    else:
        best = max(curve, key=lambda epoch: worth(epoch, len(course.held_out)))
        trial.set_user_attr("accuracy", best.held_out_accuracy)
        study.tell(trial, worth(best, len(course.held_out)))
    kept = str(study.best_trial.number) if _complete(study) else None
    for other in _folder(course).iterdir():
        if other.is_dir() and other.name not in (kept, *runs.DECODED):
            shutil.rmtree(other)


def _judging(course: Course, study: Study, trial: Trial, count: int | None) -> Callable[[Now], None]:
    """Passes on how far it is, and raises TrialPruned after an epoch that leaves no hope."""
    from optuna import TrialPruned

    from mingmu.train.search import worth

    before, seen = len(_over(study)), [0]
    best = f", {study.best_trial.user_attrs['accuracy']:.1%} of held-out photos right so far" if _complete(study) else ""
    number = f"recipe {before + 1}{f' of {count}' if count else ''}"
    said = f"{number}{best}"

    def watch(now: Now) -> None:
        course.progress(Step(said, f"{number}, {words(now)}"), (before + now.done) / count if count else now.done)
        if now.last is None or now.last.number == seen[0] or now.done >= 1:
            return
        seen[0] = now.last.number
        trial.report(worth(now.last, len(course.held_out)), now.last.number)
        if trial.should_prune():
            raise TrialPruned(f"after epoch {now.last.number}")

    return watch


def _found(course: Course, study: Study) -> Searched:
    """The best trial's network, published, and its recipe, written down."""
    from optuna.trial import FixedTrial, TrialState

    from mingmu.train import checkpoint
    from mingmu.train.run import Epoch
    from mingmu.train.search import toml, varied

    best = study.best_trial
    won = replace(course, recipe=varied(course.recipe, FixedTrial(best.params)))  # type: ignore[arg-type]  # it answers as a trial does
    net, origin = won.network()
    tensors, state = checkpoint.load(_folder(course) / str(best.number))
    net.load_state_dict(checkpoint.part_of(tensors, "best/"))
    curve = tuple(Epoch(**epoch) for epoch in state["curve"])
    over = _over(study)
    given_up = sum(trial.state == TrialState.PRUNED for trial in over)
    trained = published(won, net, origin, curve, {"how": "mingmu search", "tried": len(over), "given_up": given_up})
    file = course.folder / "recipe.toml"
    accuracy = best.user_attrs["accuracy"]
    file.write_text(toml(won.recipe, _header(trained, course.name, len(over), accuracy, file)), encoding="utf-8")
    first = study.trials[0].user_attrs.get("accuracy")
    return Searched(trained, won.recipe, file, len(over), given_up, first, accuracy)


def _header(trained: Trained, name: str, tried: int, accuracy: float, file: Path) -> str:
    return (
        f"The best of {tried} recipes, found by mingmu search for the photos of {name}.\n"
        f"Expected: {accuracy:.1%} of its held-out photos right, by which it was chosen. {headline(trained.report.measures)}\n"
        f"mingmu train PHOTOS --name {name} --recipe {file.name}"
    )


def _over(study: Study) -> list[FrozenTrial]:
    """The trials that came to an end, one way or the other."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _complete(study: Study) -> bool:
    from optuna.trial import TrialState

    return bool(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
