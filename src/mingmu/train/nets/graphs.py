"""A network that is read from an ONNX graph and goes on learning: operators become torch's, stored tensors become parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mingmu.core.errors import BadModel

if TYPE_CHECKING:
    import onnx

Value: TypeAlias = Any  # a tensor; of shapes, a tuple of numbers, for the number of pictures is not known
Attributes: TypeAlias = Mapping[str, Any]


class Graph(nn.Module):
    """What a graph computes of its one input, up to a tensor in it. Batch normalisation keeps its averages, as what was folded does."""

    def __init__(self, model: onnx.ModelProto, until: str) -> None:
        """Raises BadModel for operators that are not known here."""
        import onnx
        from onnx import numpy_helper

        super().__init__()
        self._input = next(each.name for each in model.graph.input if each.name not in {item.name for item in model.graph.initializer})
        self._until = until
        self._nodes = [
            (node.op_type, [*node.input], node.output[0], {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute})
            for node in _needed(model, until)
        ]
        if unknown := sorted({kind for kind, *_ in self._nodes} - OPERATORS.keys()):
            raise BadModel(f"the graph has operators that cannot learn here: {', '.join(unknown)}")
        used = {name for _, names, *_ in self._nodes for name in names}
        stored = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer if each.name in used}
        self._constants = {name: value for name, value in stored.items() if value.size == 1 or value.dtype != np.float32}
        learning = {name: nn.Parameter(torch.from_numpy(value.copy())) for name, value in stored.items() if name not in self._constants}
        self._names = [*learning]
        self.weights = nn.ParameterList(learning.values())

    def forward(self, pixels: Tensor) -> Tensor:
        values: dict[str, Value] = dict(zip(self._names, self.weights, strict=True))
        values |= {name: _plain(value) for name, value in self._constants.items()}
        values[self._input] = pixels
        for kind, inputs, output, attributes in self._nodes:
            values[output] = OPERATORS[kind](attributes, *(values[name] for name in inputs if name))
        found: Tensor = values[self._until]
        return found


def _needed(model: onnx.ModelProto, until: str) -> list[onnx.NodeProto]:
    """The operators that a tensor is made by, in the order in which they run."""
    wanted, found = {until}, []
    for node in reversed(model.graph.node):
        if wanted & {*node.output}:
            wanted |= {*node.input}
            found.append(node)
    return found[::-1]


def _plain(value: np.ndarray) -> Value:
    return value.item() if value.ndim == 0 or value.dtype == np.float32 else tuple(value.tolist())


def _convolution(attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    strides = attributes.get("strides", [1, 1])
    x = functional.pad(x, _padding(attributes, x, weight.shape[2:]))
    return functional.conv2d(x, weight, bias, strides, 0, attributes.get("dilations", [1, 1]), attributes.get("group", 1))


def _largest(attributes: Attributes, x: Tensor) -> Tensor:
    shape = attributes["kernel_shape"]
    return functional.max_pool2d(functional.pad(x, _padding(attributes, x, shape), value=-math.inf), shape, attributes["strides"])


def _padding(attributes: Attributes, x: Tensor, shape: Sequence[int]) -> list[int]:
    """Left, right, top and bottom; where the graph says SAME_UPPER, so much that each stride gives a place."""
    if attributes.get("auto_pad", b"NOTSET") != b"SAME_UPPER":
        top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
        return [left, right, top, bottom]
    found = []
    for length, size, stride in zip(x.shape[2:], shape, attributes.get("strides", [1, 1]), strict=True):
        missing = max(0, (-(-length // stride) - 1) * stride + size - length)
        found.append((missing // 2, missing - missing // 2))
    (top, bottom), (left, right) = found
    return [left, right, top, bottom]


def _mean_pool(attributes: Attributes, x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, attributes["kernel_shape"], attributes["strides"])


def _normalised(attributes: Attributes, x: Tensor, scale: Tensor, offset: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return functional.batch_norm(x, mean.detach(), variance.detach(), scale, offset, eps=attributes["epsilon"])


def _reshaped(_: Attributes, x: Value, shape: tuple[Any, ...]) -> Value:
    if not isinstance(x, Tensor):
        return x if shape else x[0] if isinstance(x, tuple) else x
    return x.reshape([x.shape[at] if isinstance(each, int) and each == 0 else each for at, each in enumerate(shape)])


def _cut(_: Attributes, x: Value, starts: tuple[int, ...], ends: tuple[int, ...], axes: tuple[int, ...], *steps: Any) -> Value:
    if isinstance(x, tuple):
        return x[starts[0] : ends[0]]
    for start, end, axis in zip(starts, ends, axes, strict=True):
        x = x.narrow(axis, start, min(end, x.shape[axis]) - start)
    return x


def _squeezed(attributes: Attributes, x: Value) -> Value:
    return x[0] if isinstance(x, tuple) else x.squeeze(attributes["axes"])


def _joined(attributes: Attributes, *parts: Value) -> Value:
    return sum(parts, ()) if isinstance(parts[0], tuple) else torch.cat(parts, dim=attributes["axis"])


OPERATORS: Mapping[str, Callable[..., Value]] = {
    "Identity": lambda _, x: x,
    "Add": lambda _, x, y: x + y,
    "Sub": lambda _, x, y: x - y,
    "Mul": lambda _, x, y: x * y,
    "Div": lambda _, x, y: x / y,
    "Pow": lambda _, x, y: x**y,
    "Sqrt": lambda _, x: x.sqrt(),
    "Erf": lambda _, x: x.erf(),
    "Relu": lambda _, x: x.relu(),
    "Sigmoid": lambda _, x: x.sigmoid(),
    "HardSigmoid": lambda attributes, x: (x * attributes["alpha"] + attributes["beta"]).clamp(0, 1),
    "Softmax": lambda attributes, x: x.softmax(attributes["axis"]),
    "MatMul": lambda _, x, y: x @ y,
    "Conv": _convolution,
    "BatchNormalization": _normalised,
    "MaxPool": _largest,
    "AveragePool": _mean_pool,
    "ReduceMean": lambda attributes, x: x.mean(attributes["axes"], keepdim=bool(attributes.get("keepdims", 1))),
    "Transpose": lambda attributes, x: x.permute(attributes["perm"]),
    "Shape": lambda _, x: tuple(x.shape),
    "Reshape": _reshaped,
    "Slice": _cut,
    "Squeeze": _squeezed,
    "Unsqueeze": lambda attributes, x: x.unsqueeze(attributes["axes"][0]) if isinstance(x, Tensor) else (x,),
    "Concat": _joined,
}
