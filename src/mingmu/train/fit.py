"""The loop: how a network learns from photos, from the first step to the last, in the order in which it happens.

All chance is drawn anew for each step from the seed, the epoch and the step. So a training that is cut short goes on from its
last checkpoint as if nothing had happened. And several processes, each of which calls this with the same, do together what one
would do alone: of each batch every process takes its share, which is changed as it would be among the others, and the mean of their
gradients is what all learn by.
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from numpy.random import SeedSequence
from torch import Generator, Tensor

from mingmu.core.cpus import cpu_count
from mingmu.core.errors import BadRequest
from mingmu.train import team
from mingmu.train.events import EventFile
from mingmu.train.feed import Batch, Feed, Photos
from mingmu.train.nets.learner import Learner
from mingmu.train.objective import CrossEntropy, Objective, Portion
from mingmu.train.optimiser import optimiser_of, set_rates
from mingmu.train.precision import autocast, chosen, scaler_of, spared
from mingmu.train.prediction import seconds_to_predict
from mingmu.train.recipe import Recipe
from mingmu.train.run import Epoch, Now, Run, State

SAVE_EVERY = 30.0  # seconds between checkpoints, about
TELL_EVERY = 0.5  # seconds


class Diverged(BadRequest):
    """What a network says is no longer numbers: it was asked to learn too fast."""


def fit(
    net: Learner,
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
    cross-entropy unless told otherwise. With a budget in seconds the schedule is fitted to the time. Checkpoints go to `folder`: what
    is there from another training stays until the first; `resume` goes on from the last, if it is of the same `identity`, and in
    the time that was given to it at first, if no other is. Where torch.distributed is set up, its processes train
    together; the first writes, watches the clock and is the one that is watched. Raises Diverged when the loss or the weights are no
    longer numbers, Conflict when there is nothing to resume; an exception from `watch` stops it.
    """
    with _set_up(recipe):
        run = _run(net, feed, held_out, recipe, folder, size, objective or CrossEntropy(), identity, budget, watch, resume)
        events = EventFile(folder / "events", after=run.state.epoch) if run.team.leads else None
        with spared(net, run.state.precision):
            while not run.state.finished:
                _train_epoch(run, save_every)
                if run.state.step:
                    epoch = _judged(run)
                    if events:
                        events.add(
                            epoch.number, {key: value for key, value in asdict(epoch).items() if key != "number" and value is not None}
                        )
                else:
                    run.state.finished = True  # the time was up between two epochs
                if run.state.finished or run.unsaved > save_every:
                    run.save()
        net.load_state_dict(run.best)
        net.learned = True
    return tuple(run.state.curve)


def _train_epoch(run: Run, save_every: float) -> None:
    """Every step from where the state stands to the epoch's end, or to the end of the budget."""
    recipe, state, feed = run.recipe, run.state, run.feed
    run.net.train()
    if recipe.net.freeze:
        run.net.hold()
    run.changing, feed.waited = 0.0, 0.0
    began = told = time.perf_counter()
    shown = 0
    for batch in feed.batches(state.epoch, state.step, pinned=run.device.type == "cuda"):
        done = run.agreed()
        if done >= 1 and state.updates:
            break
        pixels, targets = _prepared(run, batch, done)
        set_rates(run.optimiser, recipe, done)
        with autocast(run.device, state.precision):
            loss = run.objective(run.net, pixels, targets)
            loss = loss * run.team.weight(len(batch.truth))
        value = float(run.team.mean(loss.detach()))
        if not math.isfinite(value):
            raise _diverged(run, f"the loss is no longer a number at step {state.step + 1} of epoch {state.epoch + 1}")
        run.scaler.scale(loss / recipe.optimiser.accumulate).backward()
        state.step += 1
        state.losses += value
        shown += len(batch.truth)
        if state.step % recipe.optimiser.accumulate and state.step < feed.steps:
            continue
        _update(run)
        now = time.perf_counter()
        run.speed = shown / (now - began)
        run.waited = (feed.waited + run.changing) / (now - began)
        if now - told > TELL_EVERY:
            run.tell(value)
            told = now
        if run.unsaved > save_every:
            run.save()


def _diverged(run: Run, fact: str) -> Diverged:
    return Diverged(f"{fact}; lower optimiser.rate, which is {run.recipe.optimiser.rate:g}")


def _prepared(run: Run, batch: Batch, done: float) -> tuple[Tensor, Tensor]:
    """This process's share of a batch as the network gets it: changed photos, and targets.

    What is drawn is drawn for this step, and for the whole batch. What is mixed into the share is changed here, too.
    """
    began = time.perf_counter()
    seed = int(SeedSequence((run.recipe.seed, run.state.epoch, run.state.step)).generate_state(1)[0])
    torch.manual_seed(seed + run.team.rank)  # dropout draws from this
    count = len(batch.truth)
    portion = Portion(
        batch=batch.to(run.device),
        rows=torch.arange(count)[run.team.share(count)],
        served=run.feed.photos.served,
        size=run.size,
        recipe=run.recipe,
        done=done,
        chance=Generator().manual_seed(seed),
    )
    planes, targets = run.objective.prepared(run.net, portion)
    run.changing += time.perf_counter() - began
    return planes.contiguous(memory_format=torch.channels_last), targets


def _update(run: Run) -> None:
    """One step of the optimiser, and of the moving average."""
    run.team.average_gradients(parameter for group in run.optimiser.param_groups for parameter in group["params"])
    run.scaler.step(run.optimiser)
    run.scaler.update()
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
    """The end of an epoch: how good it is, whether it is the best, whether it is the last. Raises Diverged."""
    state, schedule = run.state, run.recipe.schedule
    began = time.perf_counter()
    net = run.average or run.net
    if not all(tensor.isfinite().all() for tensor in net.state_dict().values()):  # no loss was seen of the last update
        raise _diverged(run, f"the weights are no longer numbers after epoch {state.epoch + 1}")
    loss, accuracy = run.objective.judged(net, run.held_out, state.precision) if len(run.held_out) else (None, None)
    if loss is not None and not math.isfinite(loss):
        raise _diverged(run, f"the loss of held-out photos is no longer a number after epoch {state.epoch + 1}")
    run.evaluating = time.perf_counter() - began
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
    state.finished = tired or state.epoch >= schedule.epochs or run.agreed() >= 1
    run.tell(epoch.loss)
    return epoch


def _better(epoch: Epoch, best: Epoch) -> bool:
    """Better on the held-out photos; if as good, with a lower loss. Without such photos the later one."""
    if epoch.held_out_accuracy is None or best.held_out_accuracy is None:
        return True
    losses = -(epoch.held_out_loss or 0.0), -(best.held_out_loss or 0.0)
    return (epoch.held_out_accuracy, losses[0]) > (best.held_out_accuracy, losses[1])


@contextmanager
def _set_up(recipe: Recipe) -> Iterator[None]:
    """Seeds and switches, for the time of a training; the process has its own back afterwards."""
    before, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    with torch.random.fork_rng():
        torch.use_deterministic_algorithms(recipe.deterministic)
        if "OMP_NUM_THREADS" not in os.environ:  # which torchrun sets, too
            torch.set_num_threads(min(threads, cpu_count()))  # torch knows nothing of a container's quota
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
            torch.set_num_threads(threads)


def _run(
    net: Learner,
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
    together = team.current()
    together.check_batch(len(feed.photos) // feed.steps)
    module: Any = net  # torch's types know no memory formats
    module.to(device=together.device, memory_format=torch.channels_last)
    objective.to(together.device)
    together.begin_alike(net, objective)
    average = copy.deepcopy(net).requires_grad_(False) if recipe.schedule.ema else None
    optimiser = optimiser_of(net, recipe, objective)
    scaler = scaler_of(together.device, "fp32")
    run = Run(
        net, average, objective, optimiser, scaler, feed, held_out, recipe, size, folder, State(identity, budget=budget), watch, together
    )
    if resume:
        run.restore()
    else:
        batch = _prepared(run, next(feed.batches(0)), 0.0)
        net.acquaint(batch[0])
        together.begin_alike(net, objective)  # each has seen its share of the batch
        if average is not None:
            average.load_state_dict(net.state_dict())
        run.state.precision = together.told(lambda: chosen(recipe, net, objective, *batch))
    run.scaler = scaler_of(together.device, run.state.precision, run.state.scaler)
    run.evaluating = seconds_to_predict(net, held_out, run.state.precision)
    return run
