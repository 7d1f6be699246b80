"""The published network in plain torch, written apart from the ONNX builder: batch norms are not folded, the shapes come from
the weights. `python -m tests.zoo.torch_reference` (from the repository's root, with torch) writes efficientnet_lite0.npz.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mingmu.zoo import torchfile
from mingmu.zoo.catalog import entry
from mingmu.zoo.pull import pull

State = Mapping[str, Tensor]

REFERENCE = Path(__file__).with_name("efficientnet_lite0.npz")
STRIDE_2 = {"general": (1, 3, 5, 11), "general-large": (1, 4, 7, 15)}  # blocks that halve the map


def run(name: str, weights: Mapping[str, NDArray[Any]], pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features [N, 1280] and scores [N, 1000] of uint8 pixels [N, H, W, 3]."""
    state = {key: torch.from_numpy(value) for key, value in weights.items()}
    with torch.inference_mode():
        x = (torch.from_numpy(pixels).float().permute(0, 3, 1, 2) - 127) / 128
        x = functional.relu6(norm(state, "_bn0", conv(state, "_conv_stem", x, stride=2)))
        for number in range(sum(key.endswith("._project_conv.weight") for key in state)):
            x = block(state, f"_blocks.{number}", x, stride=2 if number in STRIDE_2[name] else 1)
        x = functional.relu6(norm(state, "_bn1", conv(state, "_conv_head", x)))
        features = x.mean(dim=(2, 3))
        scores = functional.linear(features, state["_fc.weight"], state["_fc.bias"]).softmax(dim=1)
    return features.numpy(), scores.numpy()


def block(state: State, name: str, source: Tensor, stride: int) -> Tensor:
    x = source
    if f"{name}._expand_conv.weight" in state:
        x = functional.relu6(norm(state, f"{name}._bn0", conv(state, f"{name}._expand_conv", x)))
    x = conv(state, f"{name}._depthwise_conv", x, stride=stride, groups=x.shape[1])
    x = functional.relu6(norm(state, f"{name}._bn1", x))
    x = norm(state, f"{name}._bn2", conv(state, f"{name}._project_conv", x))
    return x + source if x.shape == source.shape else x


def conv(state: State, name: str, x: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
    """A convolution with TensorFlow's "same" padding."""
    weight = state[f"{name}.weight"]
    missing = [max((-(-side // stride) - 1) * stride + weight.shape[-1] - side, 0) for side in (x.shape[3], x.shape[2])]
    x = functional.pad(x, [part for side in missing for part in (side // 2, side - side // 2)])
    return functional.conv2d(x, weight, stride=stride, groups=groups)


def norm(state: State, name: str, x: Tensor) -> Tensor:
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return functional.batch_norm(x, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-3)


def drawing(size: int) -> NDArray[np.uint8]:
    """A picture made of coloured squares, [1, size, size, 3]."""
    row, column = np.indices((size, size)) // 16
    return np.stack([16 * column, 16 * row, 97 * row + 31 * column], axis=-1).astype(np.uint8)[None]


def write_reference() -> None:
    weights = torchfile.read(pull(entry("general"), Path(tempfile.gettempdir())).read_bytes())
    pixels = drawing(224)
    features, scores = run("general", weights, pixels)
    top = scores[0].argsort()[::-1][:5]
    np.savez_compressed(REFERENCE, pixels=pixels, features=features[0, :32], top=top, scores=scores[0, top])


if __name__ == "__main__":
    write_reference()
