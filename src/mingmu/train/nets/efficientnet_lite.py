"""EfficientNet-Lite in torch, trainable; the shapes and the published weights are those of `mingmu.zoo.efficientnet_lite`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mingmu.core.errors import BadModel
from mingmu.train.nets.classifier import Parts, pooling
from mingmu.zoo.efficientnet_lite import EPSILON, FEATURES, LITE0, LITE2, STEM, Block, Variant, blocks

LITE1 = Variant(width=1.0, depth=1.1, size=240)
VARIANTS: Mapping[str, Variant] = {"efficientnet_lite0": LITE0, "efficientnet_lite1": LITE1, "efficientnet_lite2": LITE2}
State = Mapping[str, NDArray[Any]]


class Conv(nn.Conv2d):
    """A convolution with TensorFlow's padding: where one zero is too many, it goes to the right and the bottom."""

    def forward(self, input: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, across = ((-(-side // stride) - 1) * stride + kernel - side for side in input.shape[2:])
        if down == across == kernel - 1:
            return functional.conv2d(input, self.weight, None, self.stride, kernel // 2, 1, self.groups)
        down, across = max(down, 0), max(across, 0)
        padded = functional.pad(input, (across // 2, across - across // 2, down // 2, down - down // 2))
        return functional.conv2d(padded, self.weight, None, self.stride, 0, 1, self.groups)


def step(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1, *, relu6: bool = True) -> nn.Sequential:
    conv = Conv(before, after, kernel, stride, bias=False, groups=groups)
    return nn.Sequential(conv, nn.BatchNorm2d(after, EPSILON), *([nn.ReLU6()] if relu6 else []))


class Residual(nn.Sequential):
    """An inverted residual block: widen, look around, narrow, and add what came in where the shapes allow."""

    def __init__(self, block: Block) -> None:
        widen = [step(block.before, block.inside, 1)] if block.widens else []
        around = step(block.inside, block.inside, block.kernel, block.stride, block.inside)
        super().__init__(*widen, around, step(block.inside, block.after, 1, relu6=False))
        self.adds_input = block.adds_input

    def forward(self, input: Tensor) -> Tensor:
        found: Tensor = super().forward(input)
        return found + input if self.adds_input else found


def build(variant: Variant, state: State | None = None) -> Parts:
    """The network of a variant, with published weights where they are given. Raises BadModel if these do not fit."""
    shapes = list(blocks(variant))
    trunk = nn.Sequential(step(3, STEM, 3, 2), *map(Residual, shapes), step(shapes[-1].after, FEATURES, 1))
    if state is not None:
        _load(trunk, shapes, state)
    return Parts(trunk, pooling(nn.Dropout(0.2)), FEATURES, pools=True, mean=(127.0,) * 3, deviation=(128.0,) * 3)


def _load(trunk: nn.Sequential, shapes: list[Block], state: State) -> None:
    stem, *residuals, last = (list(part.children()) for part in trunk)
    named = [(stem, "_conv_stem", "_bn0"), (last, "_conv_head", "_bn1")]
    for number, (steps, block) in enumerate(zip(residuals, shapes, strict=True)):
        names = [("_expand_conv", "_bn0")] * block.widens + [("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
        inside = f"_blocks.{number}."
        named += [(list(step.children()), inside + conv, inside + norm) for step, (conv, norm) in zip(steps, names, strict=True)]
    for layers, conv, norm in named:
        _fill(layers[0], state, conv)
        _fill(layers[1], state, norm)


def _fill(layer: nn.Module, state: State, name: str) -> None:
    for key, target in layer.state_dict().items():
        value = state.get(f"{name}.{key}")
        if value is None or value.shape != tuple(target.shape):
            found = "is missing" if value is None else f"is {list(value.shape)}"
            raise BadModel(f"these weights are not of this EfficientNet-Lite: {name}.{key} {found}, expected {list(target.shape)}")
        target.copy_(torch.from_numpy(value))
