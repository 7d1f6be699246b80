"""Tiny parts of `mingmu faces`: whatever is not black is a face, and people are told apart by their colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from mingmu.core.artifact import Artifact
from mingmu.core.manifest import DetectSpec, EmbedSpec, Manifest
from mingmu.core.pixels import PixelSpec, encode_png
from mingmu.core.sealing import seal_network
from mingmu.registry.store import Store
from mingmu.tasks.alignment import TEMPLATE
from tests.tiny import ORIGIN, PIXELS, model

SIDE = 160  # of the photos
PEOPLE = {"ada": (150, 60, 60), "bob": (60, 150, 60), "eve": (60, 60, 150), "ida": (150, 150, 60)}


def photo(person: str, seed: int = 0, side: int = SIDE) -> bytes:
    """A sharp photo of somebody."""
    noise = np.random.default_rng(seed).normal(PEOPLE[person], 30, (side, side, 3))
    return encode_png(np.clip(noise, 0, 255).astype(np.uint8))


def nobody() -> bytes:
    return encode_png(np.zeros((SIDE, SIDE, 3), np.uint8))


def publish(data_dir: Path) -> str:
    """Put both parts into a store, under the names of the real ones; the digest of the one that makes vectors."""
    store = Store(data_dir)
    store.publish("yunet", store.add(seal_finder).digest)
    return store.publish("mobilefacenet", store.add(seal_embedder).digest).digest


def seal_finder(folder: Path, landmarks: int = 5) -> Artifact:
    """A detector whose one box is three quarters of the picture wide; its score is the brightest value."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["floats"], ["brightest"], axes=[1, 2], keepdims=1),
        helper.make_node("ReduceMax", ["brightest"], ["most"], axes=[2, 3], keepdims=0),
        helper.make_node("Mul", ["most", "scale"], ["row"]),
        helper.make_node("Unsqueeze", ["row", "last"], ["scores"]),
        helper.make_node("Mul", ["scores", "nothing"], ["none"]),
        helper.make_node("Add", ["none", "box"], ["boxes"]),
        helper.make_node("Unsqueeze", ["none", "last"], ["none_of_points"]),
        helper.make_node("Add", ["none_of_points", "points"], ["landmarks"]),
    ]
    constants = {
        "scale": np.array(1 / 255, np.float32),
        "last": np.array([2]),
        "nothing": np.array(0, np.float32),
        "box": np.array([[[1, 1, 7, 7]]], np.float32),
        "points": (TEMPLATE * 8 / 112).astype(np.float32)[None, None],
    }
    shapes: dict[str, list[int | str]] = {"boxes": ["N", 1, 4], "scores": ["N", 1, 1], "landmarks": ["N", 1, 5, 2]}
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    detect = DetectSpec(threshold=0.5, landmarks=landmarks)
    manifest = Manifest(kind="model", name="yunet", task="detect", pixels=PIXELS, labels=("face",), detect=detect, origin=ORIGIN)
    return seal_network(folder, manifest, model(nodes, constants, ["N", 8, 8, 3], outputs))


def seal_embedder(folder: Path, longer: float = 1) -> Artifact:
    """A vector is how far the mean colour is from grey."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("Sub", ["means", "grey"], ["colour"]),
        helper.make_node("ReduceL2", ["colour"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Div", ["colour", "length"], ["direction"]),
        helper.make_node("Mul", ["direction", "longer"], ["features"]),
    ]
    outputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 3])]
    pixels, strangers = PixelSpec(size=(112, 112), fit="squash"), EmbedSpec(mean=0, deviation=0.1, pairs=100, things=3)
    manifest = Manifest(kind="model", name="mobilefacenet", task="embed", pixels=pixels, embed=strangers, origin=ORIGIN)
    return seal_network(
        folder,
        manifest,
        model(nodes, {"grey": np.array(90, np.float32), "longer": np.array(longer, np.float32)}, ["N", 112, 112, 3], outputs),
    )


def embedding(numbers: int = 16, outputs: int = 1, size: tuple[int, int] = (64, 64)) -> bytes:
    """A foreign network that makes vectors of faces: the mean colour, turned into so many directions."""
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(numbers, 3)))[0].T
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["means", "w"], ["y"]),
        helper.make_node("Identity", ["y"], ["z"]),
    ]
    graph = helper.make_graph(
        nodes[: 1 + outputs],
        "embedding",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, size[1], size[0]])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", numbers]) for name in ("y", "z")[:outputs]],
        [numpy_helper.from_array(turned.astype(np.float32), "w")],
    )
    opsets = [helper.make_opsetid("", 13)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
