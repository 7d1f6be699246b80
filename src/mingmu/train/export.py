"""A trained network as a graph that can be sealed: uint8 pixels in, normalisation first; softmax last, or no last layer."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mingmu.core.head import softmax
from mingmu.core.runtime import BOXES, FEATURES, INPUT, MAP, SCORES, OnnxRuntime
from mingmu.train.calibrate import temperature
from mingmu.train.feed import Photos
from mingmu.train.nets.classifier import Classifier
from mingmu.train.nets.learner import Detector
from mingmu.train.prediction import predict

Floats = NDArray[np.float32]

OPSET = 18


@dataclass(frozen=True, eq=False)
class Last:
    """The last layer of a network, which stays out of its graph: scores = softmax((features @ weight + bias) / temperature)."""

    weight: Floats  # [F, C]
    bias: Floats  # [C]


@dataclass(frozen=True, eq=False)
class Exported:
    """A graph, and how far it is from the network that it was made of."""

    graph: bytes
    difference: float  # largest difference of a score
    temperature: float = 1.0  # that its scores are made with
    last: Last | None = None  # None: all of the network is in the graph


class _Whole(nn.Module):
    def __init__(self, net: Classifier, temperature: float) -> None:
        super().__init__()
        self.net = net
        self.temperature = temperature

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.softmax(self.net(pixels.permute(0, 3, 1, 2)) / self.temperature, dim=-1)


class _Backbone(nn.Module):
    def __init__(self, net: Classifier) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        found = self.net.map(pixels.permute(0, 3, 1, 2))
        return (self.net.neck(found), found) if self.net.pools else (self.net.neck(found),)


class _Found(nn.Module):
    def __init__(self, net: Detector) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        boxes, scores = self.net(pixels.permute(0, 3, 1, 2))
        return boxes, scores


def detector(net: Detector, frames: NDArray[np.uint8]) -> Exported:
    """The network as a whole model with the outputs `boxes` and `scores`; what overlaps is left to the task.

    Network and graph are compared on frames, uint8 [N, H, W, 3].
    """
    net.cpu()
    module = _Found(net)
    graph = _graph(module, frames[:1].shape, (BOXES, SCORES))
    runtime = OnnxRuntime(graph)
    with torch.inference_mode():
        ours = [module(torch.from_numpy(frame[None].copy()))[1].numpy() for frame in frames]
    theirs = [runtime(frame[None], [SCORES])[SCORES] for frame in frames]
    return Exported(graph, max(_apart(one, other) for one, other in zip(ours, theirs, strict=True)))


def whole_model(net: Classifier, frames: NDArray[np.uint8], held_out: Photos | None = None, output: str = SCORES) -> Exported:
    """The network as a whole model with the output `scores`, as sure as photos that were held out say it may be; or with another output.

    Network and graph are compared on frames, uint8 [N, H, W, 3].
    """
    net.cpu()
    module = _Whole(net, _warmth(net, held_out))
    graph = _graph(module, frames[:1].shape, (output,))
    return Exported(graph, _apart(_said(module, frames), _outputs(graph, frames, output)), module.temperature)


def backbone(net: Classifier, frames: NDArray[np.uint8], held_out: Photos | None = None) -> Exported:
    """The same network with its last layer apart. The graph gives `features`, and `map` where these are its mean over space."""
    net.cpu()
    module = _Whole(net, _warmth(net, held_out))
    graph = _graph(_Backbone(net), frames[:1].shape, (FEATURES, MAP) if net.pools else (FEATURES,))
    last = Last(net.head.weight.detach().numpy().T.copy(), net.head.bias.detach().numpy().copy())
    logits = _outputs(graph, frames, FEATURES) @ last.weight + last.bias
    return Exported(graph, _apart(_said(module, frames), softmax(logits / np.float32(module.temperature))), module.temperature, last)


def _warmth(net: Classifier, held_out: Photos | None) -> float:
    return temperature(predict(net, held_out), torch.from_numpy(held_out.truth)) if held_out else 1.0


def _said(module: nn.Module, frames: NDArray[np.uint8]) -> Floats:
    """What a network makes of frames, one after the other."""
    with torch.inference_mode():
        return np.concatenate([module(torch.from_numpy(frame[None].copy())).numpy() for frame in frames])


def _outputs(graph: bytes, frames: NDArray[np.uint8], name: str) -> Floats:
    """An output of a graph, likewise."""
    runtime = OnnxRuntime(graph)
    return np.concatenate([runtime(frame[None], [name])[name] for frame in frames])


def _apart(ours: Floats, theirs: Floats) -> float:
    return float(np.abs(ours - theirs).max())


def _graph(module: nn.Module, shape: tuple[int, ...], outputs: tuple[str, ...]) -> bytes:
    module = module.cpu().eval()
    example = torch.zeros(2, *shape[1:], dtype=torch.uint8)  # two: of one, the exporter would fix the number
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.inference_mode():
        warnings.simplefilter("ignore")  # of the exporter, about its own parts
        program: Any = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim("N")},),
            verbose=False,
        )
    return _bare(program.model_proto)


def _bare(model: Any) -> bytes:
    """Without what the exporter notes of the code and the machine, so that the same network gives the same bytes."""
    import onnx

    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    bare.producer_name, bare.producer_version, bare.doc_string = "mingmu", "", ""
    del bare.metadata_props[:]
    for item in (bare.graph, *bare.graph.node, *bare.graph.input, *bare.graph.output, *bare.graph.value_info, *bare.graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]
    return bytes(bare.SerializeToString(deterministic=True))
