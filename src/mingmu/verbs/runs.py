"""What trainings leave in the data folder: one at a time of a name, what can go on, and what is kept when all is over."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mingmu.core.errors import BadRequest, Conflict
from mingmu.registry.naming import check_name
from mingmu.registry.store import Store

DECODED = ("train", "val")  # folders of photos


def run_of(store: Store, name: str) -> Path:
    """The folder of the trainings of a name."""
    return store.runs / name


def search_of(store: Store, name: str) -> Path:
    """Of its search: the study, and the checkpoints of its tries."""
    return run_of(store, name) / "search"


def smaller_of(store: Store, name: str) -> Path:
    """Of what is to be made smaller of it."""
    return run_of(store, name) / "smaller"


def leads() -> bool:
    """Whether this process speaks for all that torchrun started; one alone does."""
    return "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("RANK") == "0"


@contextmanager
def alone(store: Store, name: str) -> Iterator[None]:
    """Nobody else trains something of this name for as long as it lasts. Raises Conflict where somebody does, BadRequest for no name."""
    check_name(name)
    with store.lock(f"train-{name}", busy=f"{name} is being trained already; wait for that, or give this one another name"):
        yield


def check_start(folder: Path, what: str, *, resume: bool, anew: bool) -> None:
    """Raise Conflict where something was cut short in a folder and nobody says what becomes of it, or where nothing was to go on with."""
    from mingmu.train import checkpoint

    if resume and anew:
        raise BadRequest(f"a {what} goes on (--resume) or begins anew (--anew), not both")
    state = None if anew else checkpoint.state_of(folder)
    if resume and state is None:
        raise Conflict(f"no {what} was cut short here; begin one without --resume")
    if state and not resume:
        raise Conflict(f"the last {what} was cut short after {len(state['curve'])} epochs; go on with --resume, or begin anew with --anew")


def check_same(folder: Path, identity: str, what: str) -> None:
    """Raise Conflict where what was cut short in a folder differs from what is to go on, with the first thing that does."""
    from mingmu.train import checkpoint
    from mingmu.train import identity as identities

    if state := checkpoint.state_of(folder):
        identities.check_same(state["identity"], identity, what)


def can_go_on(folder: Path) -> bool:
    """Whether what was stopped left something to go on from."""
    from mingmu.train import checkpoint, search

    return (folder / checkpoint.FILE).exists() or (folder / search.JOURNAL).exists()


def free_photos(folder: Path) -> None:
    """Remove photos as they were decoded: they are large, and can be decoded again."""
    for name in DECODED:
        shutil.rmtree(folder / name, ignore_errors=True)


def free_checkpoint(folder: Path) -> None:
    """Remove what a training that is over would go on from."""
    from mingmu.train import checkpoint

    (folder / checkpoint.FILE).unlink(missing_ok=True)


def keep_weights(store: Store, digest: str, weights: Mapping[str, Any]) -> None:
    """Keep a network that was sealed in the form in which it can be made smaller and learn on."""
    from mingmu.train import checkpoint

    checkpoint.save(store.trained / digest, weights, {})


def kept_weights(store: Store, digest: str) -> Mapping[str, Any]:
    """The same again. Raises Conflict where it is not here."""
    from mingmu.train import checkpoint

    if not (store.trained / digest / checkpoint.FILE).exists():
        raise Conflict(
            f"the weights of {digest[:12]}… are not here ({store.trained}); train it anew, or let another network learn from it (--net)"
        )
    return checkpoint.load(store.trained / digest)[0]
