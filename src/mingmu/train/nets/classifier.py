"""A network in the form that all are trained and sealed in: pixels, a map, features, logits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import Parameter

from mingmu.core.errors import BadRequest
from mingmu.train.nets.learner import Learner
from mingmu.train.recipe import Norm

Floats = NDArray[np.float32]

IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # mean and deviation of the channels, in levels of 0..255
MOMENTUM = 0.1  # of the averages of batch normalisation
GROUPS = 32  # of channels; Y. Wu, K. He, "Group Normalization", arXiv 1803.08494


@dataclass(frozen=True, eq=False)
class Parts:
    """What a builder makes: a network without its last layer."""

    trunk: nn.Module  # normalised pixels [N, 3, H, W] to the last map [N, F, h, w], or to whatever the neck takes
    neck: nn.Module  # to features [N, features]
    features: int
    pools: bool  # whether the features are the mean of the map over space
    mean: tuple[float, ...] = IMAGENET[0]
    deviation: tuple[float, ...] = IMAGENET[1]


class Classifier(Learner):
    """From pixels, 0..255 of any dtype as [N, 3, H, W], to logits [N, C]."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, parts: Parts, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(parts.mean).view(1, -1, 1, 1))
        self.register_buffer("deviation", torch.tensor(parts.deviation).view(1, -1, 1, 1))
        self.trunk = parts.trunk
        self.neck = parts.neck
        self.head = nn.Linear(parts.features, classes)
        self.pools = parts.pools

    def take(self, weights: Mapping[str, Tensor], head: Floats, bias: Floats) -> None:
        """Take up what another of its kind has learned, with the weights of a head, [F, C] and [C], for those of its own."""
        last = {"head.weight": torch.from_numpy(head.T.copy()), "head.bias": torch.from_numpy(bias.copy())}
        self.load_state_dict({**weights, **last})
        self.learned = True

    def body(self) -> list[Parameter]:
        return [*self.trunk.parameters(), *self.neck.parameters()]

    def tip(self) -> list[Parameter]:
        return [*self.head.parameters()]

    def hold(self) -> None:
        self.trunk.eval()
        self.neck.eval()

    def acquaint(self, pixels: Tensor) -> None:
        if not self.learned:
            acquaint(self, pixels)

    def map(self, pixels: Tensor) -> Tensor:
        """What the trunk makes of pixels."""
        found: Tensor = self.trunk((pixels.float() - self.mean) / self.deviation)
        return found

    def features(self, pixels: Tensor) -> Tensor:
        """What the head reads, [N, F]."""
        found: Tensor = self.neck(self.map(pixels))
        return found

    def forward(self, pixels: Tensor) -> Tensor:
        found: Tensor = self.head(self.features(pixels))
        return found


def pooling(*more: nn.Module) -> nn.Sequential:
    """The mean of each channel over space, [N, F, h, w] to [N, F]; and what comes behind it."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *more)


def renormalise(net: nn.Module, norm: Norm, name: str) -> None:
    """Put another normalisation in the place of every batch normalisation. Raises BadRequest for a network without any.

    Instance normalisation: each channel of each picture alone (D. Ulyanov and others, arXiv 1607.08022); group: 32 groups of
    channels, or fewer where they do not divide; layer: all channels together. None of them looks at other pictures of the batch.
    """
    if norm == "batch":
        return
    found = [
        (parent, key, child) for parent in net.modules() for key, child in parent.named_children() if isinstance(child, nn.BatchNorm2d)
    ]
    if not found:
        raise BadRequest(f"{name} has no batch normalisation that {norm} normalisation could stand in for")
    for parent, key, child in found:
        new = _norm(norm, child.num_features)
        act = getattr(child, "act", None)  # timm has layers that normalise and activate
        setattr(parent, key, new if act is None else nn.Sequential(new, act))


def quicken(net: nn.Module, momentum: float = MOMENTUM) -> None:
    """Let the averages of batch normalisation follow the network as fast as torch's do unless told otherwise.

    Some networks are drawn with ten times slower ones, for hundreds of thousands of steps: ours take hundreds.
    """
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = momentum


def acquaint(net: nn.Module, pixels: Tensor) -> None:
    """Let the averages of batch normalisation begin with those of a batch, where a network has learned nothing yet.

    They are drawn as 0 and 1. Deep in a network that is so far off that what remains of it after hundreds of steps still spoils
    every answer, while the loss, for which each batch has its own averages, falls.
    """
    quicken(net, 1.0)
    with torch.no_grad():
        net.train()(pixels)
    quicken(net)


def _norm(norm: Norm, channels: int) -> nn.Module:
    if norm == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    return nn.GroupNorm(math.gcd(GROUPS, channels) if norm == "group" else 1, channels)
