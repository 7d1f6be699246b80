"""Which recipe to try next: those around a first one, drawn by Optuna from what the tries before it have shown."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mingmu.core.errors import Conflict
from mingmu.train.identity import check_same
from mingmu.train.recipe import AugmentTable, Recipe

if TYPE_CHECKING:
    from optuna import Study, Trial

    from mingmu.train.run import Epoch

JOURNAL = "tries.journal"
STUDY = "search"
OVER = "over"  # what a study says of itself when its best network was published
DRAWN_FIRST = 5  # tries that are drawn evenly, before what they showed decides
JUDGED_AFTER = 3  # tries that nothing is given up before
LEFT_ALONE = 0.25  # share of its epochs that nothing is given up in

RATE = 8.0  # times faster or slower than the first recipe learns
WEIGHT_DECAY = 1e-4, 0.3
LAYER_DECAY = 0.5, 1.0
STRENGTH = 2.0  # times as much as the first recipe changes photos, at most
LABEL_SMOOTHING = 0.2
MIXUP = 0.4


def opened(folder: Path, recipe: Recipe, identity: str, *, resume: bool) -> Study:
    """The tries that `folder` keeps; without `resume` they are forgotten. The first one is the recipe itself; what was cut short is tried
    again. Raises Conflict when there is something else to resume.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage
    from optuna.trial import TrialState

    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
        study_name=STUDY,
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=JUDGED_AFTER, n_warmup_steps=1 + round(LEFT_ALONE * recipe.schedule.epochs)),
    )
    check_same(study.user_attrs.get("identity", identity), identity, "search")
    study.set_user_attr("identity", identity)
    study.set_user_attr(OVER, False)
    if not study.trials:
        study.enqueue_trial(_settings(recipe))
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
    study.sampler = optuna.samplers.TPESampler(seed=recipe.seed + len(study.trials), n_startup_trials=DRAWN_FIRST)
    return study


def check_start(folder: Path, *, resume: bool, anew: bool) -> None:
    """Raise Conflict where a search was cut short in `folder` and nobody says what becomes of it, or where none is there to go on."""
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    there = (folder / JOURNAL).exists() and not anew
    if resume and not there:
        raise Conflict("there is no search that could go on; start one without --resume")
    if there and not resume:
        study = optuna.load_study(storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))), study_name=STUDY)
        if not study.user_attrs.get(OVER):
            raise Conflict(f"the last search was cut short after {len(study.trials)} tries; go on with --resume, or begin anew with --anew")


@contextmanager
def quiet() -> Iterator[None]:
    """Within it, Optuna logs warnings only."""
    from optuna import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _settings(recipe: Recipe) -> dict[str, float]:
    """Where in the space the first recipe lies."""
    return {
        "rate": recipe.optimiser.rate,
        "weight_decay": min(max(recipe.optimiser.weight_decay, WEIGHT_DECAY[0]), WEIGHT_DECAY[1]),
        "layer_decay": max(recipe.optimiser.layer_decay, LAYER_DECAY[0]),
        "strength": 1.0,
        "label_smoothing": min(recipe.label_smoothing, LABEL_SMOOTHING),
        "mixup": min(recipe.augment.mixup, MIXUP),
    }


def varied(recipe: Recipe, trial: Trial) -> Recipe:
    """The recipe with what this try changes of it."""
    optimiser = {
        "rate": trial.suggest_float("rate", recipe.optimiser.rate / RATE, recipe.optimiser.rate * RATE, log=True),
        "weight_decay": trial.suggest_float("weight_decay", *WEIGHT_DECAY, log=True),
        "layer_decay": trial.suggest_float("layer_decay", *LAYER_DECAY),
    }
    augment = stronger(recipe.augment, trial.suggest_float("strength", 0, STRENGTH))
    mixup = trial.suggest_float("mixup", 0, MIXUP)
    return recipe.model_copy(
        update={
            "optimiser": recipe.optimiser.model_copy(update=optimiser),
            "augment": augment.model_copy(update={"mixup": mixup}),
            "label_smoothing": trial.suggest_float("label_smoothing", 0, LABEL_SMOOTHING),
        }
    )


def stronger(table: AugmentTable, times: float) -> AugmentTable:
    """Photos changed so many times as much, in the ways in which the table changes them."""
    return table.model_copy(
        update={
            "crop": max(0.1, 1 - (1 - table.crop) * times),
            "stretch": min(3.0, 1 + (table.stretch - 1) * times),
            "rotation": min(180.0, table.rotation * times),
            "colour": min(1.0, table.colour * times),
            "magnitude": min(1.0, table.magnitude * times),
            "erasing": min(1.0, table.erasing * times),
        }
    )


def worth(epoch: Epoch, held_out: int) -> float:
    """More of the held-out photos right; if as many, surer of them: no difference in loss counts as much as one photo."""
    loss, accuracy = epoch.held_out_loss or 0.0, epoch.held_out_accuracy or 0.0
    return accuracy - loss / (1 + loss) / held_out


def toml(recipe: Recipe, header: str) -> str:
    """A recipe as a file, each line of the header as a comment."""
    tables = recipe.model_dump(exclude_none=True)
    plain = {key: value for key, value in tables.items() if not isinstance(value, dict)}
    parts = [_lines(plain)] + [f"[{name}]\n{_lines(table)}" for name, table in tables.items() if isinstance(table, dict) and table]
    return "\n".join([*(f"# {line}" for line in header.splitlines()), "", "\n".join(parts)])


def _lines(table: dict[str, object]) -> str:
    """TOML writes strings, numbers and truth as JSON does."""
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in table.items())
