"""Tiny networks, built in milliseconds, that stand in for large ones in most tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from mingmu.core.answers import Label, Labels
from mingmu.core.artifact import Array, Artifact
from mingmu.core.manifest import DetectSpec, HeadSpec, Manifest, Origin
from mingmu.core.network import Network
from mingmu.core.pixels import PixelSpec
from mingmu.core.sealing import seal_head, seal_network

LABELS = ("red", "green", "blue")
PIXELS = PixelSpec(size=(8, 8), fit="squash")
ORIGIN = Origin(source="drawn by the tests", licence="Apache-2.0")


def backbone_graph(white: float = 255) -> bytes:
    """A backbone whose features are the mean of each colour channel, where `white` is 1; its map is the picture itself."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["map"], perm=[0, 3, 1, 2]),
        helper.make_node("ReduceMean", ["map"], ["features"], axes=[2, 3], keepdims=0),
    ]
    outputs = [
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 3]),
        helper.make_tensor_value_info("map", TensorProto.FLOAT, ["N", 3, "height", "width"]),
    ]
    return model(nodes, {"scale": np.array(1 / white, np.float32)}, ["N", "height", "width", 3], outputs)


def model(
    nodes: list[NodeProto],
    constants: Mapping[str, Array],
    shape: list[int | str],
    outputs: list[ValueInfoProto],
    elem_type: int = TensorProto.UINT8,
) -> bytes:
    """The bytes of a graph with the one input `pixels`."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pixels", elem_type, shape)],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(built.SerializeToString(deterministic=True))


def seal_backbone(folder: Path, pixels: PixelSpec = PIXELS) -> Artifact:
    """A sealed backbone in `folder`."""
    manifest = Manifest(kind="backbone", name="tiny-backbone", task="embed", pixels=pixels, origin=ORIGIN)
    return seal_network(folder, manifest, backbone_graph())


def head_manifest(backbone: Artifact, *, name: str = "tiny", labels: tuple[str, ...] = LABELS, temperature: float = 0.1) -> Manifest:
    return Manifest(
        kind="head",
        name=name,
        task="classify",
        pixels=PIXELS,
        labels=labels,
        head=HeadSpec(backbone=backbone.digest, temperature=temperature),
        origin=ORIGIN,
    )


def seal_tiny(folder: Path, network: Network, *, name: str = "tiny", labels: tuple[str, ...] = LABELS) -> Artifact:
    """A sealed head in `folder` that says which colour a picture has most of."""
    manifest = head_manifest(network.artifact, name=name, labels=labels)
    return seal_head(folder, manifest, np.eye(3, dtype=np.float32), np.zeros(3, np.float32), network)


def whole_graph(steep: float = 1.0) -> bytes:
    """A whole model: scores are the softmax of the mean of each colour channel, times `steep`."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["means", "steep"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    scores = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3])]
    return model(nodes, {"steep": np.array(steep, np.float32)}, ["N", 8, 8, 3], scores)


QUARTERS = np.array([[0, 0, 4, 4], [4, 4, 8, 8], [0, 0, 4, 3.6]], np.float32)


def detector_graph(moved: float = 0.0, *, sure: float = 1.0, turned: bool = False) -> bytes:
    """A detector that looks at the left upper and the right lower quarter: scores are their mean colours, or a share of these.

    A third box lies in the first one, and has nine tenths of its scores. The boxes may be moved by some pixels, or come the last one first.
    """
    order = slice(None, None, -1 if turned else 1)
    nodes = [helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT)]
    for name, start, end in (("first", "zero", "four"), ("second", "four", "eight")):
        nodes.append(helper.make_node("Slice", ["floats", start, end, "axes"], [name]))
        nodes.append(helper.make_node("ReduceMean", [name], [f"{name}_mean"], axes=[1, 2], keepdims=0))
        nodes.append(helper.make_node("Unsqueeze", [f"{name}_mean", "one"], [f"{name}_row"]))
    nodes += [
        helper.make_node("Concat", ["first_row", "second_row", "first_row"], ["rows"], axis=1),
        helper.make_node("Mul", ["rows", "shares"], ["scores"]),
        helper.make_node("ReduceMean", ["scores"], ["any"], axes=[2], keepdims=1),
        helper.make_node("Mul", ["any", "nothing"], ["none"]),
        helper.make_node("Add", ["none", "quarters"], ["boxes"]),
    ]
    corners: dict[str, Array] = {name: np.array([value] * 2) for name, value in (("zero", 0), ("four", 4), ("eight", 8))}
    constants: dict[str, Array] = {
        "axes": np.array([1, 2]),
        "one": np.array([1]),
        "nothing": np.array(0, np.float32),
        "quarters": QUARTERS[None, order] + np.float32(moved),
    }
    shares = sure * np.array([1, 1, 0.9], np.float32)[None, order, None] / 255
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3, last]) for name, last in (("boxes", 4), ("scores", 3))]
    return model(nodes, corners | constants | {"shares": shares.astype(np.float32)}, ["N", 8, 8, 3], outputs)


def seal_detector(folder: Path, moved: float = 0.0, *, sure: float = 1.0) -> Artifact:
    """A sealed detector in `folder`: a thing is a quarter that is red, green or blue."""
    manifest = Manifest(kind="model", name="quarters", task="detect", pixels=PIXELS, labels=LABELS, detect=DetectSpec(), origin=ORIGIN)
    return seal_network(folder, manifest, detector_graph(moved, sure=sure))


def labels_of(answer: object) -> tuple[Label, ...]:
    """The labels of an answer that has some."""
    assert isinstance(answer, Labels)
    return answer.labels


def seal_whole(folder: Path) -> Artifact:
    """A sealed whole model in `folder`: scores are the shares of the colours."""
    manifest = Manifest(kind="model", name="whole", task="classify", pixels=PIXELS, labels=LABELS, origin=ORIGIN)
    return seal_network(folder, manifest, whole_graph())
