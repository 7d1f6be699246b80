"""What changes the weights: SGD with momentum or AdamW, and how fast, when and how deep it may."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch.nn import Parameter

from mingmu.train.nets.learner import Learner
from mingmu.train.objective import Objective
from mingmu.train.recipe import Recipe, ScheduleTable

LEVELS = 8  # parts of a network, from the pixels up, that learn at rates of their own; the head is one more


def optimiser_of(net: Learner, recipe: Recipe, objective: Objective) -> torch.optim.Optimizer:
    """The optimiser of a recipe. Each of its groups has a `level`; what is no matrix (biases, norms) does not decay.

    A network that starts from nothing is all at the level of its head: there is nothing below that had better be kept.

    What an objective has to learn for itself learns as the head does.
    """
    table = recipe.optimiser
    groups = [
        {"params": parameters, "level": level, "weight_decay": table.weight_decay if decays else 0.0, "lr": table.rate}
        for level, decays, parameters in _grouped(net, objective)
    ]
    if table.kind == "sgd":
        return torch.optim.SGD(groups, lr=table.rate, momentum=table.momentum, nesterov=table.momentum > 0, fused=True)
    return torch.optim.AdamW(groups, lr=table.rate, fused=True)


def _grouped(net: Learner, objective: Objective) -> Iterator[tuple[int, bool, list[Parameter]]]:
    body = net.body()
    leveled = [(number * LEVELS // len(body) if net.learned else LEVELS, parameter) for number, parameter in enumerate(body)]
    leveled += [(LEVELS, parameter) for parameter in (*net.tip(), *objective.parameters())]
    for level in range(LEVELS + 1):
        for decays in (True, False):
            found = [parameter for at, parameter in leveled if at == level and (parameter.ndim > 1) == decays]
            if found:
                yield level, decays, found


def set_rates(optimiser: torch.optim.Optimizer, recipe: Recipe, done: float) -> None:
    """The learning rate of each group when a share of the training is done; what is still frozen gets no gradients."""
    table = recipe.optimiser
    for group in optimiser.param_groups:
        below = LEVELS - group["level"]
        group["lr"] = table.rate * shape(recipe.schedule, done) * table.layer_decay**below
        learns = not below if recipe.net.freeze else done >= table.unfreeze * below / LEVELS
        for parameter in group["params"]:
            parameter.requires_grad_(learns)


def shape(schedule: ScheduleTable, done: float) -> float:
    """The learning rate as a share of its highest: up in a line, down as half a cosine (I. Loshchilov, F. Hutter, arXiv 1608.03983)."""
    if done < schedule.warmup:
        return max(0.01, done / schedule.warmup)
    return 0.5 * (1 + math.cos(math.pi * (done - schedule.warmup) / max(1e-9, 1 - schedule.warmup)))
