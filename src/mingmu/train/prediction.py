"""What a network says of photos that have its size already."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from mingmu.train.feed import Photos
from mingmu.train.nets.classifier import Classifier
from mingmu.train.precision import autocast

AT_ONCE = 64  # photos
JUDGED_BY = 16  # photos


def predict(net: Classifier, photos: Photos, precision: str = "fp32") -> Tensor:
    """Logits float32 [N, C] of photos; of a network that reads, [N, T, C]."""
    net.eval()
    found = []
    with torch.inference_mode(), autocast(net.mean.device, precision):
        for start in range(0, len(photos), AT_ONCE):
            pixels = torch.from_numpy(photos.pixels[start : start + AT_ONCE].copy()).to(net.mean.device)
            found.append(net(pixels.permute(0, 3, 1, 2)).float().cpu())
    return torch.cat(found) if found else torch.zeros(0, net.head.out_features)


def seconds_to_predict(net: Classifier, photos: Photos, precision: str = "fp32") -> float:
    """How long a look at all photos will take, judged by a look at a few, the second one."""
    few = photos[:JUDGED_BY]
    predict(net, few, precision)
    began = time.perf_counter()
    predict(net, few, precision)
    return (time.perf_counter() - began) * len(photos) / max(1, len(few))
