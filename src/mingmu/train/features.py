"""The fixed features that a classical head learns from."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mingmu.train.augment import as_served
from mingmu.train.feed import Photos
from mingmu.train.nets.classical import Standardise
from mingmu.train.nets.classifier import Classifier

AT_ONCE = 64  # photos


def seen(net: Classifier, photos: Photos, size: int, tell: Callable[[float], None] = lambda share: None) -> Tensor:
    """What the trunk of a classical head makes of photos as they will be served, float32 [N, F]. `tell` is told the share that is done."""
    with torch.no_grad():
        found = [net.map(torch.zeros(0, 3, size, size))]
        for start in range(0, len(photos), AT_ONCE):
            some = torch.from_numpy(photos.pixels[start : start + AT_ONCE].copy())
            found.append(net.map(as_served(some, size, photos.served)))
            tell(min(1.0, (start + AT_ONCE) / len(photos)))
    return torch.cat(found)


def standardised(net: Classifier, photos: Photos, size: int, tell: Callable[[float], None] = lambda share: None) -> Tensor:
    """The same of a head that is new: it learns from these photos how to make mean 0 and variance 1 of each feature, first."""
    features = seen(net, photos, size, tell)
    *_, last = net.trunk.children()
    if not isinstance(last, Standardise):
        raise TypeError("this network was not built for a classical head")
    last.learn(features)
    return last(features)
