"""With how many bits a network computes while it learns."""

from __future__ import annotations

import time

import torch
from torch import Tensor
from torch.nn import functional

from mingmu.train.nets.classifier import Classifier
from mingmu.train.recipe import Recipe

TIMED = 2  # steps each, after one to warm up


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Within it, what loses nothing by it is computed in bf16, if that is the precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def chosen(recipe: Recipe, net: Classifier, pixels: Tensor, targets: Tensor) -> str:
    """`fp32` or `bf16`, as a recipe says; `auto` is what takes this network less time here for a step forth and back."""
    if recipe.precision != "auto":
        return recipe.precision
    if recipe.deterministic:
        return "fp32"
    return min(("fp32", "bf16"), key=lambda precision: _timed(net, pixels, targets, precision))


def _timed(net: Classifier, pixels: Tensor, targets: Tensor, precision: str) -> float:
    net.eval()  # so that averages inside the network do not move
    seconds = []
    for _ in range(1 + TIMED):
        began = time.perf_counter()
        with autocast(pixels.device, precision):
            loss = functional.cross_entropy(net(pixels).float(), targets)
        loss.backward()
        if pixels.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    net.zero_grad()
    return min(seconds[1:])
