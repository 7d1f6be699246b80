"""Makes the two parts of `mingmu faces` of published weights: YuNet finds faces, MobileFaceNet makes vectors of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import JsonValue

from mingmu.core import graph
from mingmu.core.artifact import Array, Artifact
from mingmu.core.manifest import DetectSpec, EmbedSpec, Manifest, digest_of
from mingmu.core.pixels import PixelSpec
from mingmu.core.runtime import BOXES, LANDMARKS, SCORES
from mingmu.zoo.adopt import PREFIX, Normalisation, input_of, prepended
from mingmu.zoo.catalog import Entry, Web
from mingmu.zoo.detectors import Node, check_detector, corner_nodes, finished_graph, grid_of
from mingmu.zoo.embedded import Add, seal_proven
from mingmu.zoo.embedders import appended, unit_nodes

if TYPE_CHECKING:
    import onnx

DETECTOR_PIXELS = PixelSpec(size=(640, 640), fit="letterbox", pad="corner", pad_colour=(0, 0, 0))
VECTOR_PIXELS = PixelSpec(size=(112, 112), fit="squash")
STRIDES = (8, 16, 32)
POINTS = 5  # the eyes, the tip of the nose, the corners of the mouth; of each pair first what is left in the picture
STRANGERS = EmbedSpec(mean=0.0246, deviation=0.1025, pairs=262, things=9)
"""MobileFaceNet on every pair of different people in 25 photos of 9 people: what `python -m bench.faces` prints."""
IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def seal_yunet(add: Add, entry: Entry, source: Web, weights: bytes) -> Artifact:
    """Build, seal and prove the detector through `add`. Raises BadModel, Unproven."""
    model = yunet_graph(weights, DETECTOR_PIXELS)
    check_detector(model, DETECTOR_PIXELS)
    manifest = Manifest(
        kind="model",
        name=entry.name,
        task="detect",
        pixels=DETECTOR_PIXELS,
        labels=("face",),
        detect=DetectSpec(threshold=0.7, overlap=0.3, landmarks=POINTS),
        origin=entry.origin(source.page),
        made_by=_made_by(weights),
    )
    return seal_proven(add, manifest, model)


def seal_mobilefacenet(add: Add, entry: Entry, source: Web, weights: bytes) -> Artifact:
    """Build, seal and prove the embedding through `add`. Raises BadModel, Unproven."""
    model = mobilefacenet_graph(weights)
    manifest = Manifest(
        kind="model",
        name=entry.name,
        task="embed",
        pixels=VECTOR_PIXELS,
        embed=STRANGERS,
        origin=entry.origin(source.page),
        made_by=_made_by(weights),
    )
    return seal_proven(add, manifest, model)


def yunet_graph(weights: bytes, pixels: PixelSpec) -> bytes:
    """The published graph for pixels of another size, any number of images, with its rows decoded.

    A row is a cell of a grid: a box's middle as an offset in cells, the logarithm of its sides, points as offsets. The score is the
    geometric mean of "a face" and "anything": Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023, section 3.
    """
    parsed = graph.parse(weights)
    del parsed.graph.value_info[:]  # they are those of the published size
    wrapped = prepended(parsed, replace(input_of(parsed), size=None), Normalisation(scale=255, channels="bgr"))
    width, height = pixels.size
    grid, strides = grid_of(pixels, sum((width // stride) * (height // stride) for stride in STRIDES))
    half = np.array(0.5, np.float32)
    constants: dict[str, Array] = {"grid": grid, "strides": strides, "half": half, "zero": np.array(0, np.float32)}
    constants |= {"one": np.array(1, np.float32), "first": np.array([0, 1], np.int64), "last": np.array([2, 3], np.int64)}
    constants |= {"points_shape": np.array([0, 0, POINTS, 2], np.int64)}
    nodes: list[Node] = [
        ("Concat", [f"{PREFIX}{part}_{stride}" for stride in STRIDES], part, {"axis": 1}) for part in ("cls", "obj", "bbox", "kps")
    ]
    nodes += [
        ("Mul", ["cls", "obj"], "both", {}),
        ("Clip", ["both", "zero", "one"], "share", {}),
        ("Sqrt", ["share"], SCORES, {}),
        ("Gather", ["bbox", "first"], "offset", {"axis": 2}),
        ("Gather", ["bbox", "last"], "extent", {"axis": 2}),
        ("Add", ["offset", "grid"], "cells", {}),
        ("Mul", ["cells", "strides"], "middles", {}),
        ("Exp", ["extent"], "lengths", {}),
        ("Mul", ["lengths", "strides"], "sides", {}),
        ("Mul", ["sides", "half"], "halves", {}),
        *corner_nodes(BOXES),
        ("Reshape", ["kps", "points_shape"], "points", {}),
    ]
    constants |= {"point_grid": grid[:, :, None], "point_strides": strides[:, :, None]}
    nodes += [("Add", ["points", "point_grid"], "placed_points", {}), ("Mul", ["placed_points", "point_strides"], LANDMARKS, {})]
    return finished_graph(wrapped, nodes, constants, {BOXES: (4,), SCORES: (1,), LANDMARKS: (POINTS, 2)})


def mobilefacenet_graph(weights: bytes) -> bytes:
    """The published graph, for any number of images: the vector of a face and that of its mirror image, added, with the length 1."""
    parsed = graph.parse(weights)
    source, (vectors,) = input_of(parsed), [output.name for output in parsed.graph.output]
    model: onnx.ModelProto = prepended(parsed, source, IMAGENET)
    _mirror(model, PREFIX + source.name)
    constants: dict[str, Array] = {"first": np.array(0, np.int64), "second": np.array(1, np.int64), "ones": np.ones((128, 1), np.float32)}
    constants["pairs"] = np.array([2, -1, 128], np.int64)
    nodes = [
        ("Reshape", [PREFIX + vectors, "pairs"], "twins"),
        ("Gather", ["twins", "first"], "plain"),
        ("Gather", ["twins", "second"], "mirrored_vectors"),
        ("Add", ["plain", "mirrored_vectors"], "added"),
        *unit_nodes("added"),
    ]
    appended(model, nodes, constants, 128)
    return bytes(model.SerializeToString(deterministic=True))


def _mirror(model: onnx.ModelProto, entrance: str) -> None:
    """Let the network see each image and, behind them all, each one's mirror image."""
    from onnx import helper, numpy_helper

    before = next(number for number, node in enumerate(model.graph.node) if node.output[0] == entrance)
    model.graph.node[before].output[0] = "upright"
    twins = [
        helper.make_node("Gather", ["upright", "backwards"], ["mirrored"], axis=3),
        helper.make_node("Concat", ["upright", "mirrored"], [entrance], axis=0),
    ]
    for offset, node in enumerate(twins):
        model.graph.node.insert(before + 1 + offset, node)
    backwards = np.arange(VECTOR_PIXELS.size[0], dtype=np.int64)[::-1].copy()
    model.graph.initializer.append(numpy_helper.from_array(backwards, "backwards"))


def _made_by(weights: bytes) -> dict[str, JsonValue]:
    return {"how": "the published network", "model_sha256": digest_of(weights)}
