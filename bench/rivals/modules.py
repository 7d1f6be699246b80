"""The networks of the contest in torch, with random weights: what they cost does not depend on what they know."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 1000


def conv(before: int, after: int, kernel: int, act: type[nn.Module] = nn.Identity, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, activation."""
    layer = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(after), act())


class Bottleneck(nn.Module):
    """Narrow, look around, widen, add the input (He et al., CVPR 2016; stride on the 3x3, as in torchvision)."""

    def __init__(self, before: int, inside: int, stride: int) -> None:
        super().__init__()
        after = 4 * inside
        self.body = nn.Sequential(conv(before, inside, 1, nn.ReLU), conv(inside, inside, 3, nn.ReLU, stride=stride), conv(inside, after, 1))
        self.skip = nn.Identity() if before == after and stride == 1 else conv(before, after, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.skip(x))


def resnet50() -> nn.Module:
    """ResNet-50: 25.6 M weights, 4.1 G multiplications."""
    layers: list[nn.Module] = [conv(3, 64, 7, nn.ReLU, stride=2), nn.MaxPool2d(3, 2, 1)]
    before = 64
    for inside, repeats, first in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for number in range(repeats):
            layers.append(Bottleneck(before, inside, first if number == 0 else 1))
            before = 4 * inside
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, CLASSES))


class SqueezeExcite(nn.Module):
    """Weighs channels by what the whole image shows (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inside = max(8, int(channels / 4 + 4) // 8 * 8)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, inside, 1), nn.ReLU(), nn.Conv2d(inside, channels, 1), nn.Hardsigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = x * self.gate(x)
        return scaled


class Inverted(nn.Module):
    """Widen, look around depthwise, weigh, narrow, add the input where the shapes allow."""

    def __init__(self, before: int, kernel: int, inside: int, after: int, excite: bool, act: type[nn.Module], stride: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [] if inside == before else [conv(before, inside, 1, act)]
        layers.append(conv(inside, inside, kernel, act, stride=stride, groups=inside))
        layers += [SqueezeExcite(inside)] if excite else []
        self.body = nn.Sequential(*layers, conv(inside, after, 1))
        self.adds = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.adds else y


# Howard et al., ICCV 2019, table 1: kernel, inside, after, squeeze-excite, hard swish, stride
MOBILE = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)


def mobilenetv3() -> nn.Module:
    """MobileNetV3-Large: 5.5 M weights, 0.22 G multiplications."""
    layers: list[nn.Module] = [conv(3, 16, 3, nn.Hardswish, stride=2)]
    before = 16
    for kernel, inside, after, excite, swish, stride in MOBILE:
        layers.append(Inverted(before, kernel, inside, after, excite, nn.Hardswish if swish else nn.ReLU, stride))
        before = after
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(960, 1280), nn.Hardswish(), nn.Linear(1280, CLASSES)]
    return nn.Sequential(*layers, conv(before, 960, 1, nn.Hardswish), *head)


class Attention(nn.Module):
    """Every patch looks at every other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        count, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(count, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5, dim=-1)
        seen: Tensor = self.out((weights @ v).transpose(1, 2).reshape(count, tokens, width))
        return seen


class Layer(nn.Module):
    """Attention and a small network, each with its norm before and its input added."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(width), Attention(width, heads))
        self.mix = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        mixed: Tensor = x + self.mix(x)
        return mixed


class ViT(nn.Module):
    """A transformer on patches of 16x16 of 224x224 pixels (Dosovitskiy et al., ICLR 2021)."""

    def __init__(self, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.cls, self.places = nn.Parameter(torch.randn(1, 1, width) * 0.02), nn.Parameter(torch.randn(1, 197, width) * 0.02)
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(depth)), nn.LayerNorm(width))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], dim=1) + self.places
        logits: Tensor = self.head(self.layers(x)[:, 0])
        return logits


def vit_tiny() -> nn.Module:
    """ViT-Ti/16: 5.7 M weights, 1.1 G multiplications."""
    return ViT(width=192, heads=3, depth=12)


MODULES: dict[str, Callable[[], nn.Module]] = {"mobilenetv3-l": mobilenetv3, "resnet-50-int8": resnet50, "vit-ti": vit_tiny}
