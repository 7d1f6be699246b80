"""With how many bits a network computes while it learns."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mingmu.train.nets.classifier import Classifier
from mingmu.train.recipe import Recipe

BITS = {"bf16": torch.bfloat16, "fp16": torch.float16}
TIMED = 2  # steps each, after one to warm up


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Within it, what loses nothing by it is computed in bf16 or fp16, if that is the precision."""
    return torch.autocast(device.type, BITS.get(precision), enabled=precision in BITS)


def scaler_of(device: torch.device, precision: str, state: Mapping[str, Any] | None = None) -> torch.amp.GradScaler:
    """What keeps gradients within what fp16 can hold, from where it stood; with other precisions it does nothing."""
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    if state:
        scaler.load_state_dict(dict(state))
    return scaler


def chosen(recipe: Recipe, net: Classifier, pixels: Tensor, targets: Tensor) -> str:
    """`fp32`, `bf16` or `fp16`, as a recipe says; `auto` is what takes this network less time here for a step forth and back.

    It takes fp16 only where a GPU has no bf16.
    """
    if recipe.precision != "auto":
        return recipe.precision
    if recipe.deterministic:
        return "fp32"
    half = "fp16" if pixels.is_cuda and not torch.cuda.is_bf16_supported(including_emulation=False) else "bf16"
    return min(("fp32", half), key=lambda precision: _timed(net, pixels, targets, precision))


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
