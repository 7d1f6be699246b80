"""Learning with the errors that 8 bits will make, so that a network makes up for them.

B. Jacob and others, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", arXiv 1712.05877:
forwards everything is rounded as it will be, backwards as if nothing were (Y. Bengio and others, arXiv 1308.3432).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mingmu.train.nets.classifier import Classifier

SLOW = 0.99  # of a range is left after a batch that does not fill it
SMALLEST = 1e-8  # step between two levels


class RoundedWeights(nn.Module):
    """Weights on 255 levels around 0, with a scale for each output. A batch normalisation behind them, which becomes part of the scale,
    changes nothing about what is rounded.
    """

    def forward(self, weight: Tensor) -> Tensor:
        scale = (weight.detach().abs().flatten(1).amax(dim=1) / 127).clamp(min=SMALLEST)
        zero = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -127, 127)


class RoundedInputs(nn.Module):
    """What comes in, on 256 levels from the smallest to the largest value seen of late; 0 is always one of them."""

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(0.0))
        self.register_buffer("high", torch.tensor(0.0))

    def forward(self, values: Tensor) -> Tensor:
        if self.training:
            self.low.copy_(torch.minimum(SLOW * self.low, values.detach().amin()))
            self.high.copy_(torch.maximum(SLOW * self.high, values.detach().amax()))
        scale = ((self.high - self.low) / 255).clamp(min=SMALLEST)
        zero = (-self.low / scale).round().to(torch.int32)
        return torch.fake_quantize_per_tensor_affine(values.float(), scale, zero, 0, 255)


@contextmanager
def rounding(net: Classifier) -> Iterator[None]:
    """Until the block is left, convolutions and fully connected layers compute as they will in INT8; then their weights stay as
    rounded.
    """
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = []
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", RoundedWeights())
        layer.add_module("rounded_inputs", RoundedInputs())
        hooks.append(layer.register_forward_pre_hook(_round_inputs))
    try:
        yield
    finally:
        for layer, hook in zip(layers, hooks, strict=True):
            hook.remove()
            del layer.rounded_inputs
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


def _round_inputs(layer: Any, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (layer.rounded_inputs(inputs[0]),)
