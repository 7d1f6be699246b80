"""The loop: how a network learns from photos, from the first step to the last, in the order in which it happens.

All chance is drawn anew for each step from the seed, the epoch and the step. So a training that is cut short goes on from its
last checkpoint as if nothing had happened.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from numpy.random import SeedSequence
from torch import Generator, Tensor
from torch.nn import functional

from mingmu.core.errors import BadRequest, Conflict
from mingmu.train import checkpoint
from mingmu.train.augment import augment, mixed
from mingmu.train.events import EventFile
from mingmu.train.feed import Batch, Feed, Photos
from mingmu.train.nets.classifier import Classifier
from mingmu.train.objective import CrossEntropy, Objective
from mingmu.train.optimiser import optimiser_of, set_rates
from mingmu.train.precision import autocast, chosen
from mingmu.train.recipe import Recipe

SAVE_EVERY = 30.0  # seconds between checkpoints, about
TELL_EVERY = 0.5  # seconds
EVALUATED_AT_ONCE = 64  # photos
JUDGED_BY = 16  # photos


@dataclass(frozen=True)
class Epoch:
    """A line of the learning curve."""

    number: int
    loss: float  # mean over the photos that taught, as they were changed
    held_out_loss: float | None  # over photos that were held out; None: there are none
    held_out_accuracy: float | None
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
    precision: str
    epoch: int = 0
    step: int = 0  # within the epoch
    updates: int = 0
    seconds: float = 0.0
    losses: float = 0.0  # sum over the epoch's steps
    best: int = 0  # number of the best epoch; 0: none yet
    finished: bool = False
    curve: list[Epoch] = field(default_factory=list)


@dataclass
class Run:
    """A training under way."""

    net: Classifier
    average: Classifier | None
    objective: Objective
    optimiser: torch.optim.Optimizer
    feed: Feed
    held_out: Photos
    recipe: Recipe
    size: int
    budget: float | None  # seconds in all
    folder: Path
    state: State
    watch: Callable[[Now], None]
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
        if self.budget is None:
            return steps
        return min(1.0, max(steps, (self.seconds + self.evaluating) / self.budget))

    @property
    def seconds(self) -> float:
        """How long it took so far, with what was before an interruption."""
        return self.state.seconds + time.perf_counter() - self.began

    @property
    def device(self) -> torch.device:
        return self.net.mean.device


def fit(
    net: Classifier,
    feed: Feed,
    held_out: Photos,
    recipe: Recipe,
    folder: Path,
    *,
    size: int,
    objective: Objective | None = None,
    identity: str = "",
    budget: float | None = None,
    resume: bool = False,
    watch: Callable[[Now], None] = lambda now: None,
    save_every: float = SAVE_EVERY,
) -> tuple[Epoch, ...]:
    """Train a network in place, as a recipe says; it ends with the weights of its best epoch. Gives the learning curve.

    `held_out` decides which epoch is best; without any photos the last one is. What is made small is the `objective`, the
    cross-entropy unless told otherwise. With a budget in seconds the schedule is fitted to the time. Checkpoints go to `folder`;
    `resume` goes on from the last, if it is of the same `identity`. Raises BadRequest when the loss is no longer a number,
    Conflict when there is nothing to resume; an exception from `watch` stops it.
    """
    with _set_up(recipe):
        run = _run(net, feed, held_out, recipe, folder, size, objective or CrossEntropy(), identity, budget, watch, resume)
        events = EventFile(folder / "events")
        while not run.state.finished:
            _train_epoch(run, save_every)
            if run.state.step:
                epoch = _judged(run)
                events.add(epoch.number, {name: value for name, value in asdict(epoch).items() if name != "number" and value is not None})
            else:
                run.state.finished = True  # the time was up between two epochs
            _save(run)
        net.load_state_dict(run.best)
    return tuple(run.state.curve)


def _train_epoch(run: Run, save_every: float) -> None:
    """Every step from where the state stands to the epoch's end, or to the end of the budget."""
    recipe, state, feed = run.recipe, run.state, run.feed
    run.net.train()
    run.changing, feed.waited = 0.0, 0.0
    told = saved = time.perf_counter()
    began, first = told, state.step
    for batch in feed.batches(state.epoch, state.step):
        if run.done >= 1 and state.updates:
            break
        pixels, targets = _prepared(run, batch)
        set_rates(run.optimiser, recipe, run.done)
        with autocast(run.device, state.precision):
            loss = run.objective(run.net, pixels, targets)
        value = float(loss.detach())
        if not math.isfinite(value):
            place = f"step {state.step + 1} of epoch {state.epoch + 1}"
            raise BadRequest(f"the loss is no longer a number at {place}; lower optimiser.rate, which is {recipe.optimiser.rate:g}")
        (loss / recipe.optimiser.accumulate).backward()
        state.step += 1
        state.losses += value
        if state.step % recipe.optimiser.accumulate and state.step < feed.steps:
            continue
        _update(run)
        now = time.perf_counter()
        run.speed = (state.step - first) * feed.size / (now - began)
        run.waited = (feed.waited + run.changing) / (now - began)
        if now - told > TELL_EVERY:
            run.watch(_now(run, value))
            told = now
        if now - saved > save_every:
            _save(run)
            saved = time.perf_counter()


def _prepared(run: Run, batch: Batch) -> tuple[Tensor, Tensor]:
    """A batch as the network gets it: changed photos, and targets [N, C]. What is drawn is drawn for this step."""
    began = time.perf_counter()
    seed = int(SeedSequence((run.recipe.seed, run.state.epoch, run.state.step)).generate_state(1)[0])
    torch.manual_seed(seed)  # dropout draws from this
    chance = Generator().manual_seed(seed)
    classes = torch.from_numpy(batch.classes).to(run.device)
    targets = functional.one_hot(classes, run.net.head.out_features).float()
    targets = targets * (1 - run.recipe.label_smoothing) + run.recipe.label_smoothing / targets.shape[1]
    planes = augment(torch.from_numpy(batch.pixels).to(run.device), run.size, run.recipe.augment, chance)
    planes, targets = mixed(planes, targets, run.recipe.augment, chance)
    run.changing += time.perf_counter() - began
    return planes.contiguous(memory_format=torch.channels_last), targets


def _update(run: Run) -> None:
    """One step of the optimiser, and of the moving average."""
    run.optimiser.step()
    run.optimiser.zero_grad()
    run.state.updates += 1
    if run.average is None:
        return
    kept = min(run.recipe.schedule.ema, (1 + run.state.updates) / (10 + run.state.updates))  # the first steps are soon forgotten
    with torch.no_grad():
        for old, new in zip(run.average.state_dict().values(), run.net.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - kept)
            else:
                old.copy_(new)


def _judged(run: Run) -> Epoch:
    """The end of an epoch: how good it is, whether it is the best, whether it is the last."""
    state, schedule = run.state, run.recipe.schedule
    began = time.perf_counter()
    net = run.average or run.net
    logits = predict(net, run.held_out, state.precision)
    run.evaluating = time.perf_counter() - began
    loss = accuracy = None
    if len(run.held_out):
        classes = torch.from_numpy(run.held_out.classes)
        loss, accuracy = float(functional.cross_entropy(logits, classes)), float((logits.argmax(dim=1) == classes).float().mean())
    epoch = Epoch(
        number=state.epoch + 1,
        loss=state.losses / state.step,
        held_out_loss=loss,
        held_out_accuracy=accuracy,
        rate=max(group["lr"] for group in run.optimiser.param_groups),
        images_per_second=run.speed,
        waited=run.waited,
    )
    if state.best == 0 or _better(epoch, state.curve[state.best - 1]):
        state.best = epoch.number
        run.best = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
    state.curve.append(epoch)
    state.epoch, state.step, state.losses = state.epoch + 1, 0, 0.0
    tired = 0 < schedule.patience <= epoch.number - state.best
    state.finished = tired or state.epoch >= schedule.epochs or run.done >= 1
    run.watch(_now(run, epoch.loss))
    return epoch


def _better(epoch: Epoch, best: Epoch) -> bool:
    """More of the held-out photos right; if as many, surer of them. Without such photos the later one."""
    if epoch.held_out_accuracy is None or best.held_out_accuracy is None or epoch.held_out_loss is None or best.held_out_loss is None:
        return True
    return (epoch.held_out_accuracy, -epoch.held_out_loss) > (best.held_out_accuracy, -best.held_out_loss)


def predict(net: Classifier, photos: Photos, precision: str = "fp32") -> Tensor:
    """Logits float32 [N, C] of photos that have the network's size already."""
    net.eval()
    found = [torch.zeros(0, net.head.out_features)]
    with torch.inference_mode(), autocast(net.mean.device, precision):
        for start in range(0, len(photos), EVALUATED_AT_ONCE):
            pixels = torch.from_numpy(photos.pixels[start : start + EVALUATED_AT_ONCE].copy()).to(net.mean.device)
            found.append(net(pixels.permute(0, 3, 1, 2)).float().cpu())
    return torch.cat(found)


def seconds_to_predict(net: Classifier, photos: Photos, precision: str = "fp32") -> float:
    """How long a look at all photos will take, judged by a look at a few, the second one."""
    few = Photos(photos.pixels[:JUDGED_BY], photos.classes[:JUDGED_BY])
    predict(net, few, precision)
    began = time.perf_counter()
    predict(net, few, precision)
    return (time.perf_counter() - began) * len(photos) / max(1, len(few))


def _now(run: Run, loss: float) -> Now:
    state = run.state
    done = 1.0 if state.finished else run.done
    left = run.seconds / done * (1 - done) if done else math.inf
    last = state.curve[-1] if state.curve else None
    return Now(min(state.epoch + 1, run.recipe.schedule.epochs), run.recipe.schedule.epochs, done, loss, run.speed, left, last)


@contextmanager
def _set_up(recipe: Recipe) -> Iterator[None]:
    """Seeds and switches, for the time of a training; the process has its own back afterwards."""
    before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng():
        torch.use_deterministic_algorithms(recipe.deterministic)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)


def _run(
    net: Classifier,
    feed: Feed,
    held_out: Photos,
    recipe: Recipe,
    folder: Path,
    size: int,
    objective: Objective,
    identity: str,
    budget: float | None,
    watch: Callable[[Now], None],
    resume: bool,
) -> Run:
    """A training at its start, or where its checkpoint left it."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module: Any = net  # torch's types know no memory formats
    module.to(device=device, memory_format=torch.channels_last)
    state = State(identity, "fp32")
    average = copy.deepcopy(net).requires_grad_(False) if recipe.schedule.ema else None
    optimiser = optimiser_of(net, recipe, objective.to(device))
    run = Run(net, average, objective, optimiser, feed, held_out, recipe, size, budget, folder, state, watch)
    if resume:
        _restore(run)
    else:
        (folder / checkpoint.FILE).unlink(missing_ok=True)
        batch = Batch(feed.photos.pixels[: feed.size].copy(), feed.photos.classes[: feed.size])
        state.precision = chosen(recipe, net, *_prepared(run, batch))
    run.evaluating = seconds_to_predict(net, held_out, run.state.precision)
    return run


def _save(run: Run) -> None:
    state = run.state
    state.seconds, run.began = run.seconds, time.perf_counter()
    tensors = {f"net/{name}": tensor for name, tensor in run.net.state_dict().items()}
    tensors |= {f"objective/{name}": tensor for name, tensor in run.objective.state_dict().items()}
    tensors |= {f"best/{name}": tensor for name, tensor in run.best.items()}
    if run.average is not None:
        tensors |= {f"average/{name}": tensor for name, tensor in run.average.state_dict().items()}
    for number, values in run.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{number}/{name}": torch.as_tensor(value) for name, value in values.items() if value is not None}
    checkpoint.save(run.folder, tensors, asdict(state))


def _restore(run: Run) -> None:
    tensors, state = checkpoint.load(run.folder)
    if state["identity"] != run.state.identity:
        raise Conflict("the training that was cut short had another recipe or other photos; start anew, without --resume")
    run.state = State(**state | {"curve": [Epoch(**epoch) for epoch in state["curve"]]})
    run.net.load_state_dict(checkpoint.part_of(tensors, "net/"))
    run.objective.load_state_dict(checkpoint.part_of(tensors, "objective/"))
    run.best = {name: tensor.to(run.device) for name, tensor in checkpoint.part_of(tensors, "best/").items()}
    if run.average is not None:
        run.average.load_state_dict(checkpoint.part_of(tensors, "average/"))
    whole = run.optimiser.state_dict()
    whole["state"] = {}
    for name, tensor in checkpoint.part_of(tensors, "optimiser/").items():
        number, key = name.split("/")
        whole["state"].setdefault(int(number), {})[key] = tensor
    run.optimiser.load_state_dict(whole)
