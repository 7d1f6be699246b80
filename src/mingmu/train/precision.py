"""With how many bits a network computes while it learns."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mingmu.train.nets.learner import Learner
from mingmu.train.recipe import Recipe

if TYPE_CHECKING:
    from mingmu.train.objective import Objective

BITS = {"bf16": torch.bfloat16, "fp16": torch.float16}
TIMED = 2  # steps each, after one to warm up


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Within it, what loses nothing by it is computed in bf16 or fp16, if that is the precision."""
    return torch.autocast(device.type, BITS.get(precision), enabled=precision in BITS)


@contextmanager
def spared(net: Learner, precision: str) -> Iterator[None]:
    """Within it, convolutions that look at each channel alone stay in fp32 on a CPU: in bf16 their way back takes several times as long."""
    handles = []
    if precision in BITS and net.device.type == "cpu":
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1:
                handles += [layer.register_forward_pre_hook(_to_fp32), layer.register_forward_hook(_from_fp32)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _to_fp32(_layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    torch.set_autocast_enabled("cpu", False)
    return (inputs[0].float(),)


def _from_fp32(_layer: nn.Module, _inputs: tuple[Tensor], found: Tensor) -> Tensor:
    torch.set_autocast_enabled("cpu", True)
    return found.to(torch.get_autocast_dtype("cpu"))


def scaler_of(device: torch.device, precision: str, state: Mapping[str, Any] | None = None) -> torch.amp.GradScaler:
    """What keeps gradients within what fp16 can hold, from where it stood; with other precisions it does nothing."""
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    if state:
        scaler.load_state_dict(dict(state))
    return scaler


def chosen(recipe: Recipe, net: Learner, objective: Objective, pixels: Tensor, targets: Tensor) -> str:
    """`fp32`, `bf16` or `fp16`, as a recipe says; `auto` is what takes this network less time here for a step forth and back.

    It takes fp16 only where a GPU has no bf16.
    """
    if recipe.precision != "auto":
        return recipe.precision
    if recipe.deterministic:
        return "fp32"
    half = "fp16" if pixels.is_cuda and not torch.cuda.is_bf16_supported(including_emulation=False) else "bf16"
    return min(("fp32", half), key=lambda precision: _timed(net, objective, pixels, targets, precision))


def _timed(net: Learner, objective: Objective, pixels: Tensor, targets: Tensor, precision: str) -> float:
    net.eval()  # so that averages inside the network do not move
    for layer in net.modules():
        if isinstance(layer, nn.RNNBase):
            layer.train()  # it has none, and on a GPU there is no way back through it otherwise
    seconds = []
    for _ in range(1 + TIMED):
        began = time.perf_counter()
        with spared(net, precision), autocast(pixels.device, precision):
            loss = objective(net, pixels, targets)
        loss.backward()
        if pixels.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    net.zero_grad()
    objective.zero_grad()
    return min(seconds[1:])
