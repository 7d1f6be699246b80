"""A training under way: what it is made of, where it stands, and how it is kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mingmu.core.errors import Conflict
from mingmu.train import checkpoint
from mingmu.train.feed import Feed, Photos
from mingmu.train.nets.learner import Learner
from mingmu.train.objective import Objective
from mingmu.train.recipe import Recipe
from mingmu.train.team import Team


@dataclass(frozen=True)
class Epoch:
    """A line of the learning curve."""

    number: int
    loss: float  # mean over the photos that taught, as they were changed
    held_out_loss: float | None  # over photos that were held out; None: there are none
    held_out_accuracy: float | None  # of a detector AP50
    rate: float  # learning rate at its end
    images_per_second: float
    waited: float  # share of the time in which the network waited for photos to be fetched and changed


@dataclass(frozen=True)
class Now:
    """Where a training stands."""

    epoch: int  # the one under way, from 1
    epochs: int
    done: float  # 0..1
    loss: float
    images_per_second: float
    seconds_left: float
    last: Epoch | None  # the last whole epoch


@dataclass
class State:
    """All that is neither weights nor settings; plain JSON."""

    identity: str
    budget: float | None = None  # seconds in all
    precision: str = "fp32"
    epoch: int = 0
    step: int = 0  # within the epoch
    updates: int = 0
    seconds: float = 0.0
    losses: float = 0.0  # sum over the epoch's steps
    best: int = 0  # number of the best epoch; 0: none yet
    finished: bool = False
    scaler: dict[str, Any] = field(default_factory=dict)  # of fp16
    curve: list[Epoch] = field(default_factory=list)


@dataclass
class Run:
    """A training under way."""

    net: Learner
    average: Learner | None
    objective: Objective
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    feed: Feed
    held_out: Photos
    recipe: Recipe
    size: int
    folder: Path
    state: State
    watch: Callable[[Now], None]
    team: Team
    best: dict[str, Tensor] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)
    changing: float = 0.0  # seconds that went into changing photos, in this epoch
    speed: float = 0.0  # photos a second, in this epoch
    waited: float = 0.0  # share of this epoch's time
    evaluating: float = 0.0  # seconds that the last look at the held-out photos took

    @property
    def done(self) -> float:
        """The share of the training that is behind: of its steps, or of its time if that runs out first."""
        steps = (self.state.epoch * self.feed.steps + self.state.step) / (self.recipe.schedule.epochs * self.feed.steps)
        if self.state.budget is None:
            return steps
        return min(1.0, max(steps, (self.seconds + self.evaluating) / self.state.budget))

    @property
    def seconds(self) -> float:
        """How long it took so far, with what was before an interruption."""
        return self.state.seconds + self.unsaved

    @property
    def unsaved(self) -> float:
        """Seconds since the last checkpoint, or since it began."""
        return time.perf_counter() - self.began

    @property
    def device(self) -> torch.device:
        return self.net.device

    def agreed(self) -> float:
        """The share that is done: steps are the same for all, time goes by the clock of the process that leads."""
        return self.done if self.state.budget is None else self.team.told(lambda: self.done)

    def tell(self, loss: float) -> None:
        """Say where it stands, from the process that leads."""
        if not self.team.leads:
            return
        state, epochs = self.state, self.recipe.schedule.epochs
        done = 1.0 if state.finished else self.done
        left = self.seconds / done * (1 - done) if done else math.inf
        last = state.curve[-1] if state.curve else None
        self.watch(Now(min(state.epoch + 1, epochs), epochs, done, loss, self.speed, left, last))

    def save(self) -> None:
        """Write a checkpoint, in the process that leads."""
        if not self.team.leads:
            return
        state = self.state
        state.seconds, self.began = self.seconds, time.perf_counter()
        state.scaler = self.scaler.state_dict()
        tensors = {f"net/{name}": tensor for name, tensor in self.net.state_dict().items()}
        tensors |= {f"objective/{name}": tensor for name, tensor in self.objective.state_dict().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        if self.average is not None:
            tensors |= {f"average/{name}": tensor for name, tensor in self.average.state_dict().items()}
        for number, values in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{number}/{name}": torch.as_tensor(value) for name, value in values.items() if value is not None}
        checkpoint.save(self.folder, tensors, asdict(state))

    def restore(self) -> None:
        """Take up the last checkpoint. Raises Conflict where there is none, or one of something else."""
        tensors, state = checkpoint.load(self.folder)
        if state["identity"] != self.state.identity:
            raise Conflict("the training that was cut short had another recipe or other photos; begin anew (--anew)")
        budget = self.state.budget or state["budget"]
        self.state = State(**state | {"budget": budget, "curve": [Epoch(**epoch) for epoch in state["curve"]]})
        self.net.load_state_dict(checkpoint.part_of(tensors, "net/"))
        self.objective.load_state_dict(checkpoint.part_of(tensors, "objective/"))
        self.best = {name: tensor.to(self.device) for name, tensor in checkpoint.part_of(tensors, "best/").items()}
        if self.average is not None:
            self.average.load_state_dict(checkpoint.part_of(tensors, "average/"))
        self._restore_optimiser(checkpoint.part_of(tensors, "optimiser/"))

    def _restore_optimiser(self, tensors: Mapping[str, Tensor]) -> None:
        """Its momenta lie in memory as the weights do: its kernels read both from front to back."""
        whole = self.optimiser.state_dict()
        parameters = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
        for name, tensor in tensors.items():
            number, key = name.split("/")
            alike = tensor if key == "step" else torch.empty_like(parameters[int(number)]).copy_(tensor)
            whole["state"].setdefault(int(number), {})[key] = alike
        self.optimiser.load_state_dict(whole)
