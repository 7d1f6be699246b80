"""What a training makes small; with it, how photos are changed for it, and by what an epoch is judged."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from mingmu.tasks.boxes import found_in
from mingmu.tasks.matching import Truth, mean_average_precision, rankings
from mingmu.train import team
from mingmu.train.augment import augment, mixed
from mingmu.train.composing import composed
from mingmu.train.feed import Batch, Photos
from mingmu.train.nets.learner import Detector, Learner
from mingmu.train.prediction import predict, proposed
from mingmu.train.recipe import Recipe

SURE, OVERLAP, MOST = 0.01, 0.5, 100  # what counts of the boxes of a detector that is learning
AP50 = (0,)  # by its number among the thresholds


class Objective(nn.Module):
    """The loss of a network on a batch. It may have weights of its own, which learn along and are not sealed."""

    def prepared(self, net: Learner, batch: Batch, size: int, recipe: Recipe, done: float, chance: Generator) -> tuple[Tensor, Tensor]:
        """A whole batch as the network gets it when a share of the training is done: changed photos [N, 3, S, S], and targets."""
        raise NotImplementedError

    def forward(self, net: Learner, pixels: Tensor, targets: Tensor) -> Tensor:
        """One number, float32, for what was prepared."""
        raise NotImplementedError

    def judged(self, net: Learner, held_out: Photos, precision: str) -> tuple[float | None, float]:
        """The loss on photos that are held out, where it is looked at, and how good the network is on them, 0 to 1."""
        raise NotImplementedError


class CrossEntropy(Objective):
    """How surprised a network is by the truth. Targets are [N, C] and sum to 1."""

    def prepared(self, net: Learner, batch: Batch, size: int, recipe: Recipe, done: float, chance: Generator) -> tuple[Tensor, Tensor]:
        targets = functional.one_hot(batch.truth, _classes(net)).float()
        targets = targets * (1 - recipe.label_smoothing) + recipe.label_smoothing / targets.shape[1]
        return mixed(augment(batch.pixels, size, recipe.augment, chance), targets, recipe.augment, chance)

    def forward(self, net: Learner, pixels: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(net(pixels).float(), targets)

    def judged(self, net: Learner, held_out: Photos, precision: str) -> tuple[float | None, float]:
        """Each process looks at its share of the photos; with how many of all are right."""
        together = team.current()
        logits = torch.zeros(len(held_out), _classes(net), device=net.device)
        share = together.share(len(held_out))
        logits[share] = predict(net, held_out[share], precision).to(net.device)
        logits, classes = together.sum(logits).cpu(), torch.from_numpy(held_out.truth)
        return float(functional.cross_entropy(logits, classes)), float((logits.argmax(dim=1) == classes).float().mean())


def _classes(net: Learner) -> int:
    return cast(nn.Linear, net.get_submodule("head")).out_features


class Detection(Objective):
    """What a detector's boxes cost. Targets are [N, M, 5]: class, left, top, right, bottom; where the class is -1, nothing."""

    def prepared(self, net: Learner, batch: Batch, size: int, recipe: Recipe, done: float, chance: Generator) -> tuple[Tensor, Tensor]:
        table = recipe.augment
        mosaic = table.mosaic if done < 1 - table.plain else 0.0
        pixels, targets = composed(batch.pixels, batch.truth.cpu(), table, mosaic, chance)
        return pixels, targets.to(batch.pixels.device)

    def forward(self, net: Learner, pixels: Tensor, targets: Tensor) -> Tensor:
        loss: Tensor = cast(Detector, net).loss(pixels, targets)
        return loss

    def judged(self, net: Learner, held_out: Photos, precision: str) -> tuple[float | None, float]:
        """With AP50, which all processes look at alike."""
        said = [
            found_in(boxes.numpy(), scores.numpy(), threshold=SURE, overlap=OVERLAP, most=MOST)
            for boxes, scores in proposed(net, held_out, precision)
        ]
        there = [Truth(rows[:, 1:].astype(np.float64), rows[:, 0].astype(np.int64)) for rows in map(_real, held_out.truth)]
        found = mean_average_precision(rankings(said, there, cast(Detector, net).classes), AP50)
        return None, 0.0 if np.isnan(found) else found


def _real(rows: np.ndarray) -> np.ndarray:
    return rows[rows[:, 0] >= 0]
