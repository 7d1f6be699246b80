"""The best recipe for some photos, by trying many; the network that it made is published."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mingmu.core.errors import BadRequest, MissingExtra
from mingmu.core.pixels import PixelSpec
from mingmu.data import reading
from mingmu.evaluate.summary import headline
from mingmu.registry.store import Store
from mingmu.registry.teachable import check_teachable
from mingmu.train.recipe import Recipe
from mingmu.verbs import training
from mingmu.verbs.recognizing import Progress, silent
from mingmu.verbs.teaching import SHIPPED
from mingmu.verbs.training import Lesson, Trained

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

    from mingmu.train.feed import Photos
    from mingmu.train.run import Epoch, Now

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


@dataclass(frozen=True)
class Space:
    """What all trials share."""

    store: Store
    lesson: Lesson
    recipe: Recipe  # the first
    pixels: PixelSpec
    photos: Photos
    held_out: Photos
    folder: Path  # of the search


def search(
    store: Store,
    source: Path,
    *,
    name: str,
    recipe: Recipe,
    trials: int | None = None,
    seconds: float | None = None,
    resume: bool = False,
    progress: Progress = silent,
) -> Searched:
    """Try recipes around a first one, and publish what the best of them made as `name`. `trials` count with those before `resume`.

    They are judged by the held-out photos alone: nobody looks at the test part before the best is chosen. What is worse than half
    of the others were after as many epochs is given up. Raises BadRequest, Conflict, NotFound, MissingExtra.
    """
    began = time.monotonic()
    training.check_installed()
    if find_spec("optuna") is None:
        raise MissingExtra("a search needs optuna: pip install 'mingmu[search]'")
    check_teachable(store, name, SHIPPED)
    space = _space(store, source, name, recipe, progress)
    deadline = math.inf if seconds is None else time.monotonic() + _left(space, seconds, time.monotonic() - began)
    from mingmu.train import search as tries

    with tries.quiet():
        identity = training.identity_of(space.lesson.dataset.digest, space.recipe)
        study = tries.opened(space.folder, space.recipe, identity, resume=resume)
        count = trials or (TRIALS if seconds is None else None)
        while time.monotonic() < deadline and (count is None or len(_over(study)) < count):
            _try(space, study, count, deadline, progress)
    if not _complete(study):
        raise BadRequest(f"none of {len(study.trials)} recipes got to its end; give the search more time, or lower optimiser.rate")
    return _found(space, study, name, progress)


def _space(store: Store, source: Path, name: str, recipe: Recipe, progress: Progress) -> Space:
    from mingmu.train.nets import net_named

    net = net_named(recipe.net.name)
    if net.task != "classify":
        raise BadRequest(f"{recipe.net.name} finds boxes; recipes are searched for classifiers alone, so far (mingmu train)")
    if net.head != "linear":
        raise BadRequest(f"{recipe.net.name} finds its settings itself; train it (mingmu train)")
    found = reading.read(source, store.blobs, progress)
    lesson = training.lesson_of(store, found.dataset, found.findings, recipe.seed, progress)
    pixels, folder = recipe.pixels(net.size), store.data_dir / "runs" / name
    photos, held_out = training.photos_of(store, lesson, pixels, folder, progress)
    if not len(held_out):
        raise BadRequest("there are too few photos to hold some out, which recipes could be judged by; train with one (mingmu train)")
    return Space(store, lesson, training.with_teacher_pinned(store, recipe), pixels, photos, held_out, folder / "search")


def _left(space: Space, seconds: float, spent: float) -> float:
    from mingmu.train.nets import build

    net, _ = build(space.recipe.net, space.pixels.size[0], len(space.lesson.labels), space.recipe.seed)
    return training.budget(seconds, spent, net, space.photos, len(space.lesson.part("test")), space.pixels.size[0])


def _try(space: Space, study: Study, count: int | None, deadline: float, progress: Progress) -> None:
    """One recipe, to its end or until it is given up. Of all checkpoints the best one's remains."""
    from optuna import TrialPruned
    from optuna.trial import TrialState

    from mingmu.train.search import varied, worth

    trial = study.ask()
    folder = space.folder / str(trial.number)
    left = None if deadline == math.inf else max(1.0, deadline - time.monotonic())
    watch = _judging(space, study, trial, count, progress)
    try:
        curve = _trained(space, varied(space.recipe, trial), folder, left, watch)
    except (TrialPruned, BadRequest) as error:  # BadRequest: its loss was no longer a number
        trial.set_user_attr("given up", str(error))
        study.tell(trial, state=TrialState.PRUNED)
    else:
        best = max(curve, key=lambda epoch: worth(epoch, len(space.held_out)))
        trial.set_user_attr("accuracy", best.held_out_accuracy)
        study.tell(trial, worth(best, len(space.held_out)))
    kept = str(study.best_trial.number) if _complete(study) else None
    for other in space.folder.iterdir():
        if other.is_dir() and other.name != kept:
            shutil.rmtree(other)


def _judging(space: Space, study: Study, trial: Trial, count: int | None, progress: Progress) -> Callable[[Now], None]:
    """Passes on how far it is, and raises TrialPruned after an epoch that leaves no hope."""
    from optuna import TrialPruned

    from mingmu.train.search import worth

    before, seen = len(_over(study)), [0]
    best = f", {study.best_trial.user_attrs['accuracy']:.1%} of held-out photos right so far" if _complete(study) else ""
    said = f"recipe {before + 1}{f' of {count}' if count else ''}{best}"

    def watch(now: Now) -> None:
        progress(said, (before + now.done) / count if count else now.done)
        if now.last is None or now.last.number == seen[0] or now.done >= 1:
            return
        seen[0] = now.last.number
        trial.report(worth(now.last, len(space.held_out)), now.last.number)
        if trial.should_prune():
            raise TrialPruned(f"after epoch {now.last.number}")

    return watch


def _trained(space: Space, recipe: Recipe, folder: Path, budget: float | None, watch: Callable[[Now], None]) -> tuple[Epoch, ...]:
    from mingmu.train.feed import Feed
    from mingmu.train.fit import fit
    from mingmu.train.nets import build

    side, labels = space.pixels.size[0], space.lesson.labels
    net, _ = build(recipe.net, side, len(labels), recipe.seed)
    objective = training.objective_of(space.store, recipe, labels, net)
    feed = Feed(space.photos, min(recipe.batch, len(space.photos)), recipe.balance, recipe.seed)
    return fit(net, feed, space.held_out, recipe, folder, size=side, objective=objective, budget=budget, watch=watch)


def _found(space: Space, study: Study, name: str, progress: Progress) -> Searched:
    """The best trial's network, published, and its recipe, written down."""
    from optuna.trial import FixedTrial, TrialState

    from mingmu.train import checkpoint
    from mingmu.train.nets import build
    from mingmu.train.run import Epoch
    from mingmu.train.search import toml, varied

    best = study.best_trial
    recipe = varied(space.recipe, FixedTrial(best.params))  # type: ignore[arg-type]  # it answers as a trial does
    net, origin = build(recipe.net, space.pixels.size[0], len(space.lesson.labels), recipe.seed)
    tensors, state = checkpoint.load(space.folder / str(best.number))
    net.load_state_dict(checkpoint.part_of(tensors, "best/"))
    curve = tuple(Epoch(**epoch) for epoch in state["curve"])
    over = _over(study)
    given_up = sum(trial.state == TrialState.PRUNED for trial in over)
    trained = training.published(
        space.store,
        name,
        net,
        space.photos,
        space.held_out,
        space.lesson,
        recipe,
        space.pixels,
        origin,
        curve,
        {"how": "mingmu search", "tried": len(over), "given_up": given_up},
        space.folder.parent,
        progress,
    )
    file = space.folder.parent / "recipe.toml"
    accuracy = best.user_attrs["accuracy"]
    file.write_text(toml(recipe, _header(trained, name, len(over), accuracy, file)), encoding="utf-8")
    first = study.trials[0].user_attrs.get("accuracy")
    return Searched(trained, recipe, file, len(over), given_up, first, accuracy)


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
