"""What a training makes small; with it, how photos are changed for it, and by what an epoch is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from mingmu.tasks.boxes import found_in
from mingmu.tasks.matching import Truth, mean_average_precision, rankings
from mingmu.train import team
from mingmu.train.augment import Lots, augment, mix_of
from mingmu.train.composing import composed
from mingmu.train.feed import Batch, Photos
from mingmu.train.nets.learner import Detector, Learner
from mingmu.train.prediction import predict, proposed
from mingmu.train.recipe import Recipe

SURE, OVERLAP, MOST = 0.01, 0.5, 100  # what counts of the boxes of a detector that is learning
AP50 = (0,)  # by its number among the thresholds


@dataclass(frozen=True, eq=False)
class Portion:
    """What a process prepares of a batch, which it sees whole."""

    batch: Batch
    rows: Tensor  # of the batch, that are its share
    served: float  # as of photos
    size: int  # pixels of a side that the network gets
    recipe: Recipe
    done: float  # share of the training
    chance: Generator  # what is drawn is drawn for the whole batch


class Objective(nn.Module):
    """The loss of a network on a batch. It may have weights of its own, which learn along and are not sealed."""

    def prepared(self, net: Learner, portion: Portion) -> tuple[Tensor, Tensor]:
        """A share of a batch as the network gets it: changed photos [N, 3, S, S], and targets."""
        raise NotImplementedError

    def forward(self, net: Learner, pixels: Tensor, targets: Tensor) -> Tensor:
        """One number, float32, for what was prepared."""
        raise NotImplementedError

    def judged(self, net: Learner, held_out: Photos, precision: str) -> tuple[float | None, float]:
        """The loss on photos that are held out, where it is looked at, and how good the network is on them, 0 to 1."""
        raise NotImplementedError


class CrossEntropy(Objective):
    """How surprised a network is by the truth. Targets are [N, C] and sum to 1."""

    def prepared(self, net: Learner, portion: Portion) -> tuple[Tensor, Tensor]:
        batch, recipe, chance, count = portion.batch, portion.recipe, portion.chance, len(portion.batch.truth)
        mix, rows, places = mix_of(count, portion.size, recipe.augment, chance), portion.rows, portion.rows
        if mix is not None:
            rows, places = mix.needed(rows)
        targets = functional.one_hot(batch.truth[rows], _classes(net)).float()
        targets = targets * (1 - recipe.label_smoothing) + recipe.label_smoothing / targets.shape[1]
        planes = augment(batch.pixels[rows], portion.size, recipe.augment, Lots(chance, count, rows), portion.served)
        return (planes, targets) if mix is None else mix.of(planes, targets, places)

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

    def prepared(self, net: Learner, portion: Portion) -> tuple[Tensor, Tensor]:
        batch, table = portion.batch, portion.recipe.augment
        mosaic = table.mosaic if portion.done < 1 - table.plain else 0.0
        pixels, targets = composed(batch.pixels, batch.truth.cpu(), table, mosaic, portion.chance)  # of whichever photos of the batch
        return pixels[portion.rows], targets[portion.rows].to(pixels.device)

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
