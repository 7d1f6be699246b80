"""EfficientNet-Lite: writes the published weights as an ONNX backbone and a head.

Network: M. Tan, Q. Le, "EfficientNet", arXiv 1905.11946, table 1, in its Lite form (TensorFlow TPU repository,
`models/official/efficientnet/lite`): no squeeze-and-excitation, ReLU6, stem and head of a fixed width.
Weights: the TensorFlow checkpoints, converted to torch state dicts by EfficientNet-Lite-PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mingmu.core.errors import BadModel
from mingmu.core.pixels import PixelSpec

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

State = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float32]

OPSET = 17
IR_VERSION = 8  # what opset 17 was released with; fixed, so that the bytes do not depend on the installed onnx
EPSILON = 1e-3  # of the batch norms
STEM = 32  # channels
FEATURES = 1280


@dataclass(frozen=True)
class Variant:
    """How a member of the family differs from lite0."""

    width: float
    depth: float
    size: int  # pixels per side it was trained for; others work too


LITE0 = Variant(width=1.0, depth=1.0, size=224)
LITE2 = Variant(width=1.1, depth=1.2, size=260)


@dataclass(frozen=True)
class Stage:
    expand: int  # how many times wider a block is inside
    channels: int
    repeats: int
    stride: int  # of the first block
    kernel: int


STAGES = (
    Stage(expand=1, channels=16, repeats=1, stride=1, kernel=3),
    Stage(expand=6, channels=24, repeats=2, stride=2, kernel=3),
    Stage(expand=6, channels=40, repeats=2, stride=2, kernel=5),
    Stage(expand=6, channels=80, repeats=3, stride=2, kernel=3),
    Stage(expand=6, channels=112, repeats=3, stride=1, kernel=5),
    Stage(expand=6, channels=192, repeats=4, stride=2, kernel=5),
    Stage(expand=6, channels=320, repeats=1, stride=1, kernel=3),
)


@dataclass(frozen=True)
class Block:
    """An inverted residual: widen (1x1), look around (depthwise), narrow (1x1), add the input where the shapes allow."""

    before: int  # channels that come in
    inside: int
    after: int
    stride: int
    kernel: int
    ends_stage: bool

    @property
    def widens(self) -> bool:
        return self.inside > self.before

    @property
    def adds_input(self) -> bool:
        return self.stride == 1 and self.before == self.after


def blocks(variant: Variant) -> Iterator[Block]:
    """The blocks of a variant, from the pixels up."""
    before = STEM
    for stage in STAGES:
        after = _rounded(stage.channels * variant.width)
        fixed = stage in (STAGES[0], STAGES[-1])  # Lite keeps the first and the last stage one block deep
        repeats = stage.repeats if fixed else math.ceil(stage.repeats * variant.depth)
        for number in range(repeats):
            stride = stage.stride if number == 0 else 1
            yield Block(before, before * stage.expand, after, stride, stage.kernel, ends_stage=number == repeats - 1)
            before = after


def _rounded(channels: float) -> int:
    """The nearest multiple of 8, but never less than nine tenths of what was asked."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def pixel_spec(variant: Variant) -> PixelSpec:
    """The pixels the published weights were measured on."""
    return PixelSpec(size=(variant.size, variant.size), fit="crop", margin=variant.size / (variant.size + 32), filter="bicubic")


def head(state: State) -> tuple[Floats, Floats]:
    """The published ImageNet-1k classifier: weight [1280, 1000] and bias [1000], for `features @ weight + bias`."""
    weight, bias = _weight(state, "_fc.weight", (1000, FEATURES)), _weight(state, "_fc.bias", (1000,))
    return np.ascontiguousarray(weight.T), bias


def backbone(state: State, variant: Variant) -> ModelProto:
    """The network without its classifier; the same weights always give the same bytes. Raises BadModel if they do not fit.

    Input: `pixels` uint8 [N, H, W, 3], RGB, of any size. Outputs, all float32:
    `features` [N, 1280]: mean of `map` over space, what the published head reads;
    `map` [N, 1280, H/32, W/32]: the last feature map;
    `features_2` [N, 320 or 352]: mean over space of the last block, before the head convolution;
    `features_3` [N, 112 or 120]: mean over space of the fifth stage, the deepest at a sixteenth of the pixels.
    """
    from onnx import TensorProto, helper

    net = _Net(state)
    x = net.conv(net.normalised("pixels"), "_conv_stem", "_bn0", (STEM, 3, 3, 3), stride=2)
    stages = []
    for number, block in enumerate(blocks(variant)):
        x = net.block(x, f"_blocks.{number}", block)
        if block.ends_stage:
            stages.append((x, block.after))
    (middle, middle_width), (deep, deep_width) = stages[4], stages[6]
    feature_map = net.conv(deep, "_conv_head", "_bn1", (FEATURES, deep_width, 1, 1), output="map")
    net.pooled(feature_map, "features")
    net.pooled(deep, "features_2")
    net.pooled(middle, "features_3")
    shapes: dict[str, list[int | str]] = {
        "features": ["N", FEATURES],
        "map": ["N", FEATURES, "map_height", "map_width"],
        "features_2": ["N", deep_width],
        "features_3": ["N", middle_width],
    }
    graph = helper.make_graph(
        net.nodes,
        "efficientnet-lite",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", "height", "width", 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        net.constants,
    )
    return helper.make_model(graph, producer_name="mingmu", ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)])


@dataclass
class _Net:
    """Collects nodes and constants. Every method adds a step and returns the name of its output."""

    state: State
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)

    def normalised(self, pixels: str) -> str:
        """uint8 NHWC to float32 NCHW: (x - 127) / 128."""
        from onnx import TensorProto

        x = self._node("Cast", [pixels], "floats", to=TensorProto.FLOAT)
        x = self._node("Sub", [x, self._constant("mean", np.float32(127))], "centred")
        x = self._node("Mul", [x, self._constant("scale", np.float32(1 / 128))], "scaled")
        self._constant("zero", np.float32(0))
        self._constant("six", np.float32(6))
        return self._node("Transpose", [x], "planes", perm=[0, 3, 1, 2])

    def block(self, source: str, name: str, block: Block) -> str:
        before, inside, after, kernel = block.before, block.inside, block.after, block.kernel
        x = source
        if block.widens:
            x = self.conv(x, f"{name}._expand_conv", f"{name}._bn0", (inside, before, 1, 1))
        around = (inside, 1, kernel, kernel)
        x = self.conv(x, f"{name}._depthwise_conv", f"{name}._bn1", around, stride=block.stride, groups=inside)
        x = self.conv(x, f"{name}._project_conv", f"{name}._bn2", (after, inside, 1, 1), relu6=False)
        return self._node("Add", [x, source], f"{name}.sum") if block.adds_input else x

    def conv(
        self,
        source: str,
        name: str,
        norm: str,
        shape: tuple[int, int, int, int],
        *,
        stride: int = 1,
        groups: int = 1,
        relu6: bool = True,
        output: str | None = None,
    ) -> str:
        """A convolution with its batch norm folded in; ReLU6 as Clip.

        SAME_UPPER is TensorFlow's padding, which the weights were trained with: where stride 2 meets an even side,
        one more zero goes to the right and the bottom than to the left and the top.
        """
        weight, bias = _folded(self.state, name, norm, shape)
        inputs = [source, self._constant(f"{name}.weight", weight), self._constant(f"{name}.bias", bias)]
        kernel, strides = list(shape[2:]), [stride, stride]
        x = self._node("Conv", inputs, name, kernel_shape=kernel, strides=strides, group=groups, auto_pad="SAME_UPPER")
        return self._node("Clip", [x, "zero", "six"], output or f"{name}.relu6") if relu6 else x

    def pooled(self, source: str, name: str) -> str:
        """Mean over space: [N, C, h, w] to [N, C]."""
        mean = self._node("GlobalAveragePool", [source], f"{name}.mean")
        return self._node("Flatten", [mean], name, axis=1)

    def _constant(self, name: str, value: NDArray[np.float32] | np.float32) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output


def _folded(state: State, conv: str, norm: str, shape: tuple[int, int, int, int]) -> tuple[Floats, Floats]:
    """Batch norm is a scale and a shift per channel, so the convolution before it can carry both."""
    weight = _weight(state, f"{conv}.weight", shape).astype(np.float64)
    channel = shape[:1]
    gamma, beta = _weight(state, f"{norm}.weight", channel), _weight(state, f"{norm}.bias", channel)
    mean, variance = _weight(state, f"{norm}.running_mean", channel), _weight(state, f"{norm}.running_var", channel)
    scale = gamma / np.sqrt(variance.astype(np.float64) + EPSILON)
    return (weight * scale[:, None, None, None]).astype(np.float32), (beta - mean * scale).astype(np.float32)


def _weight(state: State, name: str, shape: tuple[int, ...]) -> Floats:
    value = state.get(name)
    if value is None or value.shape != shape or value.dtype != np.float32:
        found = "is missing" if value is None else f"is {value.dtype} {list(value.shape)}"
        raise BadModel(f"these weights are not of this EfficientNet-Lite: {name} {found}, expected float32 {list(shape)}")
    return value
