"""What a network says of photos that have its size already."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from mingmu.train.feed import Photos
from mingmu.train.nets.learner import Learner
from mingmu.train.precision import autocast

AT_ONCE = 64  # photos
JUDGED_BY = 16  # photos


def predict(net: Learner, photos: Photos, precision: str = "fp32") -> Tensor:
    """Logits float32 [N, C] of photos; of a network that reads, [N, T, C]."""
    head: Any = net.get_submodule("head")
    found = [logits.float().cpu() for logits in _seen(net, photos, precision)]
    return torch.cat(found) if found else torch.zeros(0, head.out_features)


def proposed(net: Learner, photos: Photos, precision: str = "fp32") -> Iterator[tuple[Tensor, Tensor]]:
    """What a detector says of each photo: boxes float32 [A, 4] and scores [A, C]."""
    for boxes, scores in _seen(net, photos, precision):
        yield from zip(boxes.float().cpu(), scores.float().cpu(), strict=True)


def _seen(net: Learner, photos: Photos, precision: str) -> Iterator[Any]:
    """What a network makes of photos, some at a time."""
    net.eval()
    with torch.inference_mode(), autocast(net.device, precision):
        for start in range(0, len(photos), AT_ONCE):
            pixels = torch.from_numpy(photos.pixels[start : start + AT_ONCE].copy()).to(net.device)
            yield net(pixels.permute(0, 3, 1, 2))


def seconds_to_predict(net: Learner, photos: Photos, precision: str = "fp32") -> float:
    """How long a look at all photos will take, judged by a look at a few, the second one."""
    few = photos[:JUDGED_BY]
    deque(_seen(net, few, precision), maxlen=0)
    began = time.perf_counter()
    deque(_seen(net, few, precision), maxlen=0)
    return (time.perf_counter() - began) * len(photos) / max(1, len(few))
