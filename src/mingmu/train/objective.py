"""What a training makes small, what it shows the network, and what counts as good."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from mingmu.train.augment import augment, mixed
from mingmu.train.feed import Batch, Photos
from mingmu.train.nets.classifier import Classifier
from mingmu.train.prediction import predict
from mingmu.train.recipe import Recipe
from mingmu.train.team import Team


class Objective(nn.Module):
    """The loss of a network on a batch. It may have weights of its own, which learn along and are not sealed."""

    def forward(self, net: Classifier, pixels: Tensor, targets: Tensor) -> Tensor:
        """One number, float32, for pixels [N, 3, H, W] and targets of as many rows, as `prepared` gave them."""
        raise NotImplementedError

    def prepared(self, net: Classifier, batch: Batch, size: int, recipe: Recipe, chance: Generator) -> tuple[Tensor, Tensor]:
        """A batch as the network gets it: changed photos, and targets, of a classifier [N, C] that sum to 1."""
        targets = functional.one_hot(batch.classes, net.head.out_features).float()
        targets = targets * (1 - recipe.label_smoothing) + recipe.label_smoothing / targets.shape[1]
        planes = augment(batch.pixels, size, recipe.augment, chance)
        return mixed(planes, targets, recipe.augment, chance)

    def judged(self, net: Classifier, photos: Photos, precision: str, team: Team) -> tuple[float, float]:
        """The loss, and the share that is right, of photos; each process looks at its share of them."""
        logits = torch.zeros(len(photos), net.head.out_features, device=net.mean.device)
        share = team.share(len(photos))
        logits[share] = predict(net, photos[share], precision).to(net.mean.device)
        logits, classes = team.sum(logits).cpu(), torch.from_numpy(photos.classes)
        return float(functional.cross_entropy(logits, classes)), float((logits.argmax(dim=1) == classes).float().mean())


class CrossEntropy(Objective):
    """How surprised a network is by the truth."""

    def forward(self, net: Classifier, pixels: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(net(pixels).float(), targets)
