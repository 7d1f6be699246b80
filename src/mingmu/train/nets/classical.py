"""Classical heads: what reads fixed features, of a frozen network or of the pixels themselves, with no picture in its layers.

A support vector machine learns in `mingmu.train.svm`, a deep belief network in `mingmu.train.dbn`; both end as torch layers, so
that they are exported, calibrated, sealed and served as every network is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mingmu.train.nets.classifier import Parts

SIDE = 32  # raw pixels a side, at most
HIDDEN = (512, 256)  # units of the layers of a deep belief network, from the features up


class Standardise(nn.Module):
    """Features [N, F] with mean 0 and variance 1 over the photos that taught."""

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    def learn(self, features: Tensor) -> None:
        """From the features of the photos that teach; one that is the same in all becomes 0."""
        deviation = features.std(dim=0, correction=0)
        self.mean.copy_(features.mean(dim=0))
        self.scale.copy_(torch.where(deviation > 1e-6, 1 / deviation, 0))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) * self.scale


class Frozen(nn.Sequential):
    """Layers that no longer learn: their weights are constants, and they do the same whatever is learned above them."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        for module in [*self.modules()]:
            for name, weight in [*module.named_parameters(recurse=False)]:
                delattr(module, name)
                module.register_buffer(name, weight.detach())
        self.train()

    def train(self, mode: bool = True) -> Frozen:
        super().train(False)
        return self


class Kernel(nn.Module):
    """How alike features [N, F] are to each support vector [S, F]: exp(-gamma |x - v|²), [N, S]."""

    vectors: Tensor

    def __init__(self, vectors: Tensor, gamma: float) -> None:
        super().__init__()
        self.register_buffer("vectors", vectors)
        self.gamma = gamma

    def forward(self, features: Tensor) -> Tensor:
        return alike(features, self.vectors, self.gamma)


def alike(one: Tensor, other: Tensor, gamma: float) -> Tensor:
    """The Gaussian kernel of all pairs, [N, F] and [M, F] to [N, M]."""
    squares = (one**2).sum(dim=1, keepdim=True) + (other**2).sum(dim=1) - 2 * one @ other.T
    return torch.exp(-gamma * squares.clamp(min=0))


def on_network(network: Parts, hidden: Sequence[int]) -> Parts:
    """A classical head on what a network sees, which stays as it is; with so many units in hidden layers, from the features up."""
    trunk = Frozen(network.trunk, network.neck, Standardise(network.features))
    return Parts(trunk, *_neck(network.features, hidden), pools=False, mean=network.mean, deviation=network.deviation)


def on_pixels(size: int, hidden: Sequence[int]) -> Parts:
    """The same on the pixels themselves, averaged until there are at most 32 a side."""
    step = math.ceil(size / SIDE)
    features = 3 * (size // step) ** 2
    trunk = Frozen(nn.AvgPool2d(step), nn.Flatten(), Standardise(features))
    return Parts(trunk, *_neck(features, hidden), pools=False)


def _neck(features: int, hidden: Sequence[int]) -> tuple[nn.Module, int]:
    """The hidden layers, and how many features come out of them."""
    widths = (features, *hidden)
    layers = [nn.Sequential(nn.Linear(below, above), nn.Sigmoid()) for below, above in zip(widths, hidden, strict=False)]
    return nn.Sequential(*layers), widths[-1]
