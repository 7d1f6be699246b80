"""YOLOX: boxes from one look, without anchors. Z. Ge and others, "YOLOX: Exceeding YOLO Series in 2021", arXiv 2107.08430.

The convolutions are called in the order of the published code, so that published weights find their place by that order alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import Parameter, functional

from mingmu.core.errors import BadModel
from mingmu.train.nets.classifier import acquaint
from mingmu.train.nets.learner import Detector
from mingmu.train.simota import loss_of

STRIDES = (8, 16, 32)
RARE = 0.01  # what a new head thinks of the chance that a place holds anything
CHANNELS = (256, 512, 1024)  # of the three maps, before the width of a variant


@dataclass(frozen=True)
class Variant:
    """How deep and how wide; and whether its 3x3 convolutions look at each channel alone."""

    depth: float
    width: float
    depthwise: bool = False

    def channels(self, usual: int) -> int:
        return int(usual * self.width)

    def repeats(self, usual: int) -> int:
        return max(round(usual * self.depth), 1)


VARIANTS: Mapping[str, Variant] = {
    "yolox_nano": Variant(0.33, 0.25, depthwise=True),
    "yolox_tiny": Variant(0.33, 0.375),
    "yolox_s": Variant(0.33, 0.5),
}


class Unit(nn.Sequential):
    """A convolution, batch normalisation, and x * sigmoid(x)."""

    def __init__(self, inside: int, outside: int, size: int, stride: int = 1, groups: int = 1) -> None:
        convolution = nn.Conv2d(inside, outside, size, stride, (size - 1) // 2, groups=groups, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outside, eps=1e-3), nn.SiLU(inplace=True))


def unit(variant: Variant, inside: int, outside: int, size: int, stride: int = 1) -> nn.Module:
    """A 3x3 convolution, or in its place one that looks at each channel alone and one that mixes them."""
    if not variant.depthwise:
        return Unit(inside, outside, size, stride)
    return nn.Sequential(Unit(inside, inside, size, stride, groups=inside), Unit(inside, outside, 1))


class Bottleneck(nn.Module):
    def __init__(self, variant: Variant, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.narrow = Unit(channels, channels, 1)
        self.wide = unit(variant, channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.wide(self.narrow(x))
        return found + x if self.shortcut else found


class Split(nn.Module):
    """Half of the channels go through bottlenecks, half past them (C.-Y. Wang and others, "CSPNet", arXiv 1911.11929)."""

    def __init__(self, variant: Variant, inside: int, outside: int, repeats: int, shortcut: bool = True) -> None:
        super().__init__()
        half = outside // 2
        self.through, self.past = Unit(inside, half, 1), Unit(inside, half, 1)
        self.blocks = nn.Sequential(*(Bottleneck(variant, half, shortcut) for _ in range(repeats)))
        self.joined = Unit(2 * half, outside, 1)

    def forward(self, x: Tensor) -> Tensor:
        through, past = self.through(x), self.past(x)
        return self.joined(torch.cat([self.blocks(through), past], dim=1))


class Pyramid(nn.Module):
    """The largest of each neighbourhood, of several sizes (K. He and others, "Spatial Pyramid Pooling", arXiv 1406.4729)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow = Unit(channels, channels // 2, 1)
        self.pools = nn.ModuleList(nn.MaxPool2d(size, 1, size // 2) for size in (5, 9, 13))
        self.joined = Unit(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.narrow(x)
        return self.joined(torch.cat([x, *(pool(x) for pool in self.pools)], dim=1))


class Darknet(nn.Module):
    """Pixels [N, 3, H, W] to maps at 1/8, 1/16 and 1/32 of their size."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        base, deep = variant.channels(64), variant.repeats(3)
        self.stem = Unit(12, base, 3)

        def stage(inside: int, repeats: int) -> nn.Sequential:
            return nn.Sequential(unit(variant, inside, 2 * inside, 3, 2), Split(variant, 2 * inside, 2 * inside, repeats))

        self.stages = nn.ModuleList([stage(base, deep), stage(2 * base, 3 * deep), stage(4 * base, 3 * deep)])
        last = 16 * base
        ending = Split(variant, last, last, deep, shortcut=False)
        self.stages.append(nn.Sequential(unit(variant, last // 2, last, 3, 2), Pyramid(last), ending))

    def forward(self, pixels: Tensor) -> list[Tensor]:
        even, odd = pixels[..., ::2, :], pixels[..., 1::2, :]
        x = self.stem(torch.cat([even[..., ::2], odd[..., ::2], even[..., 1::2], odd[..., 1::2]], dim=1))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps[1:]


class Neck(nn.Module):
    """What is seen coarsely helps what is seen finely, and back (S. Liu and others, "Path Aggregation Network", arXiv 1803.01534)."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        fine, middle, coarse = map(variant.channels, CHANNELS)
        deep = variant.repeats(3)
        self.lateral, self.middle_down = Unit(coarse, middle, 1), Split(variant, 2 * middle, middle, deep, False)
        self.reduce, self.fine_down = Unit(middle, fine, 1), Split(variant, 2 * fine, fine, deep, False)
        self.fine_up, self.middle_up = unit(variant, fine, fine, 3, 2), Split(variant, 2 * fine, middle, deep, False)
        self.up, self.coarse_up = unit(variant, middle, middle, 3, 2), Split(variant, 2 * middle, coarse, deep, False)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        fine, middle, coarse = maps
        lateral = self.lateral(coarse)
        reduced = self.reduce(self.middle_down(torch.cat([_doubled(lateral), middle], dim=1)))
        first = self.fine_down(torch.cat([_doubled(reduced), fine], dim=1))
        second = self.middle_up(torch.cat([self.fine_up(first), reduced], dim=1))
        return first, second, self.coarse_up(torch.cat([self.up(second), lateral], dim=1))


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


class Head(nn.Module):
    """What and where, decided apart: for each place of one map the classes, the box, and whether there is anything."""

    def __init__(self, variant: Variant, inside: int, classes: int) -> None:
        super().__init__()
        width = variant.channels(256)
        self.stem = Unit(inside, width, 1)
        self.kinds, self.boxes = (nn.Sequential(*(unit(variant, width, width, 3) for _ in range(2))) for _ in range(2))
        self.kind, self.box, self.any = (nn.Conv2d(width, outside, 1) for outside in (classes, 4, 1))
        for layer in (self.kind, self.any):
            nn.init.constant_(cast(Tensor, layer.bias), -math.log((1 - RARE) / RARE))

    def forward(self, x: Tensor) -> Tensor:
        """Rows [N, h * w, 5 + C]: box, whether there is anything, classes."""
        x = self.stem(x)
        kind = self.kind(self.kinds(x))
        seen = self.boxes(x)
        return torch.cat([self.box(seen), self.any(seen), kind], dim=1).flatten(2).transpose(1, 2)


class Yolox(Detector):
    """A box for each place of three maps."""

    grid: Tensor
    strides: Tensor

    def __init__(self, variant: Variant, classes: int, size: int) -> None:
        super().__init__(classes, size)
        self.darknet, self.neck = Darknet(variant), Neck(variant)
        self.heads = nn.ModuleList(Head(variant, variant.channels(channels), classes) for channels in CHANNELS)
        grid, strides = places(size)
        self.register_buffer("grid", grid, persistent=False)
        self.register_buffer("strides", strides, persistent=False)

    def body(self) -> list[Parameter]:
        return [*self.darknet.parameters(), *self.neck.parameters()]

    def tip(self) -> list[Parameter]:
        return [*self.heads.parameters()]

    def hold(self) -> None:
        self.darknet.eval()
        self.neck.eval()

    def acquaint(self, pixels: Tensor) -> None:
        unfold(self, pixels) if self.learned else acquaint(self, pixels)

    def rows(self, pixels: Tensor) -> Tensor:
        """Rows [N, A, 5 + C] of pixels [N, 3, S, S], 0..255.

        A row holds x and y of a box's middle, its width and its height, in pixels; then logits: that there is anything, and of each class.
        """
        maps = self.neck(self.darknet(pixels.float().flip(1)))  # it was published for BGR
        rows = torch.cat([head(found) for head, found in zip(self.heads, maps, strict=True)], dim=1).float()
        middles = (rows[..., :2] + self.grid) * self.strides
        sides = rows[..., 2:4].clamp(max=10).exp() * self.strides
        return torch.cat([middles, sides, rows[..., 4:]], dim=2)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        rows = self.rows(pixels)
        halves = rows[..., 2:4] / 2
        boxes = torch.cat([rows[..., :2] - halves, rows[..., :2] + halves], dim=2)
        return boxes, rows[..., 4:5].sigmoid() * rows[..., 5:].sigmoid()

    def loss(self, pixels: Tensor, targets: Tensor) -> Tensor:
        return loss_of(self.rows(pixels), targets, self.grid, self.strides)


def places(size: int) -> tuple[Tensor, Tensor]:
    """Column and row [A, 2] of each place of the three maps, and its stride [A, 1]."""
    cells = [torch.cartesian_prod(torch.arange(size // s), torch.arange(size // s)).flip(1) for s in STRIDES]
    strides = [torch.full((len(some), 1), stride) for some, stride in zip(cells, STRIDES, strict=True)]
    return torch.cat(cells).float(), torch.cat(strides).float()


def load(net: Yolox, graph: bytes) -> None:
    """Take published weights, from a graph whose batch normalisation was folded into its convolutions.

    Layers that decide about the classes are the user's own. Raises BadModel where the graph is of another network.
    """
    ours, theirs = [*_convolutions(net)], [*_published(graph)]
    if len(ours) != len(theirs):
        raise BadModel(f"the weights are of {len(theirs)} convolutions; the network has {len(ours)}")
    kinds = {id(head.kind) for head in net.heads}
    with torch.no_grad():
        for (layer, norm), (weight, bias) in zip(ours, theirs, strict=True):
            if id(layer) in kinds:
                continue
            if layer.weight.shape != weight.shape:
                raise BadModel(f"the weights of a convolution are {list(weight.shape)}; the network needs {list(layer.weight.shape)}")
            layer.weight.copy_(torch.from_numpy(weight.copy()))
            if norm is None:
                layer.bias.copy_(torch.from_numpy(bias.copy()))
            else:
                norm.bias.copy_(torch.from_numpy(bias.copy()))
                norm.running_var.fill_(1 - norm.eps)
    net.learned = True


def unfold(net: nn.Module, pixels: Tensor) -> None:
    """Give batch normalisation that was folded away statistics again, those of a batch, so that the network says what it said.

    Without them, the first steps of a training would meet maps that are normalised, where the layers behind expect others.
    """

    def begin(norm: Any, inputs: tuple[Tensor]) -> None:
        variance, mean = torch.var_mean(inputs[0].float(), dim=(0, 2, 3))
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        norm.bias += (mean - norm.running_mean) * scale
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    with torch.no_grad(), _hooked(net, nn.BatchNorm2d, begin):
        net.eval()(pixels)


@contextmanager
def _hooked(net: nn.Module, kind: type[nn.Module], hook: Any) -> Iterator[None]:
    handles = [layer.register_forward_pre_hook(hook) for layer in net.modules() if isinstance(layer, kind)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _convolutions(net: Yolox) -> Iterator[tuple[Any, Any]]:
    """Each convolution, in the order in which they run, with the normalisation behind it."""
    norms = {id(unit[0]): unit[1] for unit in net.modules() if isinstance(unit, Unit)}
    ran: list[nn.Module] = []
    with torch.no_grad(), _hooked(net, nn.Conv2d, lambda layer, _: ran.append(layer)):
        net.eval()(torch.zeros(1, 3, net.size, net.size))
    return ((layer, norms.get(id(layer))) for layer in ran)


def _published(graph: bytes) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Weight and bias of each convolution of a graph, in the order in which they run."""
    from onnx import numpy_helper

    from mingmu.core.graph import parse

    model = parse(graph).graph
    tensors = {tensor.name: tensor for tensor in model.initializer}
    convolutions = (node for node in model.node if node.op_type == "Conv")
    return ((numpy_helper.to_array(tensors[node.input[1]]), numpy_helper.to_array(tensors[node.input[2]])) for node in convolutions)
