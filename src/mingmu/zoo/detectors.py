"""Adopts a foreign ONNX detector: uint8 pixels in front, corners in pixels and scores behind; what overlaps is left to the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue, ValidationError

from mingmu.core import graph
from mingmu.core.artifact import Array
from mingmu.core.errors import BadModel
from mingmu.core.manifest import DetectSpec, Manifest, Origin, digest_of, first_complaint
from mingmu.core.pixels import PixelSpec
from mingmu.core.runtime import BOXES, SCORES, OnnxRuntime, Outputs
from mingmu.zoo.adopt import PREFIX, Normalisation, check_size, input_of, noise, prepended

if TYPE_CHECKING:
    import onnx

LEVELS = ((8, 16, 32), (8, 16, 32, 64))  # strides of YOLOX: the usual three, and four of the large variants
CLOSE = {BOXES: 0.5, SCORES: 1e-3}  # how much an image in a batch may differ from the same one alone


@dataclass(frozen=True)
class Decoding:
    """How a network writes what it found.

    yolox: one output [N, A, 5 + C], which the published exports give: offsets and logarithms of sides, in cells of a grid, then
    the score that there is anything, and one for each class (Ge et al., "YOLOX: Exceeding YOLO Series in 2021", section 2.1).
    boxes: two outputs, boxes [N, A, 4] and scores [N, A, C], for networks that decode their own boxes, and for DETR and its kind.
    """

    decoder: Literal["yolox", "boxes"]
    form: Literal["corners", "centre"] = "corners"  # of boxes: left, top, right, bottom; or x and y of the centre, width, height
    relative: bool = False  # boxes: 0 to 1, not pixels of the frame
    scores: Literal["plain", "sigmoid", "softmax"] = "plain"  # boxes: what makes scores of them; the last class of a softmax is "nothing"


def adopt_detector(
    model: bytes,
    decoding: Decoding,
    *,
    name: str,
    labels: Sequence[str],
    label_ids: Sequence[str] = (),
    normalisation: Normalisation,
    pixels: PixelSpec,
    origin: Origin,
    made_by: Mapping[str, JsonValue] | None = None,
) -> tuple[bytes, Manifest]:
    """A graph and a manifest, ready to be sealed, from an ONNX detector; raises BadModel, saying what does not fit."""
    parsed = graph.parse(model)
    source = input_of(parsed)
    check_size(source, pixels)
    wrapped = prepended(parsed, source, normalisation)
    finished = (_yolox if decoding.decoder == "yolox" else _boxes)(wrapped, decoding, pixels, len(labels))
    check_detector(finished, pixels)
    how: dict[str, JsonValue] = {"how": "mingmu import", "decoding": asdict(decoding)}
    try:
        manifest = Manifest(
            kind="model",
            name=name,
            task="detect",
            pixels=pixels,
            labels=tuple(labels),
            label_ids=tuple(label_ids),
            detect=DetectSpec(),
            origin=origin,
            made_by={**(made_by or how), "model_sha256": digest_of(model)},
        )
    except ValidationError as error:
        raise BadModel(first_complaint(error)) from error
    return finished, manifest


def _yolox(model: onnx.ModelProto, _: Decoding, pixels: PixelSpec, labels: int) -> bytes:
    """The graph with its raw rows decoded."""
    if len(model.graph.output) != 1:
        raise BadModel(f"the graph has {len(model.graph.output)} outputs ({_names(model)}); one, [N, A, 5 + classes], is needed")
    (rows,) = _shapes(model, pixels).values()
    if len(rows) != 3 or rows[2] != 5 + labels:
        raise BadModel(
            f"the network gives {list(rows)}; [N, A, {5 + labels}] is needed: 4 for the box, 1, and one for each of {labels} labels"
        )
    grid, strides = grid_of(pixels, rows[1])
    parts = {"offset": [0, 1], "extent": [2, 3], "any": [4], "each": [*range(5, 5 + labels)]}
    constants: dict[str, Array] = {f"{part}_columns": np.array(columns, np.int64) for part, columns in parts.items()}
    constants |= {"grid": grid, "strides": strides, "half_strides": strides * np.float32(0.5)}
    nodes = [("Cast", [model.graph.output[0].name], "rows", {"to": 1})]
    nodes += [("Gather", ["rows", f"{part}_columns"], part, {"axis": 2}) for part in parts]
    nodes += [
        ("Add", ["offset", "grid"], "cells", {}),
        ("Mul", ["cells", "strides"], "middles", {}),
        ("Exp", ["extent"], "sides", {}),
        ("Mul", ["sides", "half_strides"], "halves", {}),
        *corner_nodes(BOXES),
        ("Mul", ["any", "each"], SCORES, {}),
    ]
    return finished_graph(model, nodes, constants)


def _boxes(model: onnx.ModelProto, decoding: Decoding, pixels: PixelSpec, labels: int) -> bytes:
    """The graph with its boxes as corners in pixels of the frame, and its scores as probabilities."""
    softmax = decoding.scores == "softmax"
    boxes, scores = _chosen(model, pixels, labels + softmax)
    nodes = [("Cast", [boxes], "given", {"to": 1}), ("Cast", [scores], "logits" if decoding.scores != "plain" else SCORES, {"to": 1})]
    width, height = pixels.size
    constants: dict[str, Array] = {"unit": np.array([width, height] * 2 if decoding.relative else [1] * 4, np.float32)}
    corners = decoding.form == "corners"
    nodes.append(("Mul", ["given", "unit"], BOXES if corners else "placed", {}))
    if not corners:
        constants |= {"first": np.array([0, 1], np.int64), "last": np.array([2, 3], np.int64), "half": np.array(0.5, np.float32)}
        nodes += [("Gather", ["placed", "first"], "middles", {"axis": 2}), ("Gather", ["placed", "last"], "sides", {"axis": 2})]
        nodes += [("Mul", ["sides", "half"], "halves", {}), *corner_nodes(BOXES)]
    if softmax:
        constants["known"] = np.arange(labels, dtype=np.int64)
        nodes += [("Softmax", ["logits"], "shares", {"axis": 2}), ("Gather", ["shares", "known"], SCORES, {"axis": 2})]
    elif decoding.scores == "sigmoid":
        nodes.append(("Sigmoid", ["logits"], SCORES, {}))
    return finished_graph(model, nodes, constants)


Node = tuple[str, list[str], str, dict[str, int]]  # operator, inputs, output, attributes
Outline = Mapping[str, tuple[int | str, ...]]
PLAIN: Outline = {BOXES: (4,), SCORES: ("C",)}


def corner_nodes(output: str) -> list[Node]:
    return [
        ("Sub", ["middles", "halves"], "upper", {}),
        ("Add", ["middles", "halves"], "lower", {}),
        ("Concat", ["upper", "lower"], output, {"axis": 2}),
    ]


def _chosen(model: onnx.ModelProto, pixels: PixelSpec, classes: int) -> tuple[str, str]:
    """The outputs that hold boxes and scores, by their shapes; those with four classes by their names."""
    shapes = _shapes(model, pixels)
    boxes = [name for name, shape in shapes.items() if len(shape) == 3 and shape[2] == 4]
    if len(boxes) > 1:
        boxes = [name for name in boxes if "box" in name.lower()]
    scores = [name for name, shape in shapes.items() if len(shape) == 3 and shape[2] == classes and name not in boxes]
    if len(boxes) != 1 or len(scores) != 1 or shapes[boxes[0]][1] != shapes[scores[0]][1]:
        found = ", ".join(f"{name.removeprefix(PREFIX)} {list(shape)}" for name, shape in shapes.items())
        raise BadModel(f"the network gives {found}; boxes [N, A, 4] and scores [N, A, {classes}] are needed")
    return boxes[0], scores[0]


def grid_of(pixels: PixelSpec, rows: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The cell, float32 [1, A, 2], and its stride, float32 [1, A, 1], of each row; raises BadModel unless there is a row for each cell."""
    width, height = pixels.size
    for levels in LEVELS:
        fields = [np.mgrid[0 : height // stride, 0 : width // stride][::-1].reshape(2, -1).T for stride in levels]
        if sum(map(len, fields)) == rows:
            strides = np.concatenate([np.full((len(cells), 1), stride) for cells, stride in zip(fields, levels, strict=True)])
            return np.concatenate(fields).astype(np.float32)[None], strides.astype(np.float32)[None]
    cells = sum((height // stride) * (width // stride) for stride in LEVELS[0])
    raise BadModel(f"the network gives {rows} rows for {width}x{height} pixels; a YOLOX has {cells}, one for each cell of its grids")


def finished_graph(model: onnx.ModelProto, nodes: Sequence[Node], constants: Mapping[str, Array], outputs: Outline = PLAIN) -> bytes:
    """The graph's bytes, with more nodes behind it, and its outputs: by name, the shape behind images and boxes."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    finished = onnx.ModelProto()
    finished.CopyFrom(model)
    place = {name: f"decode/{name}" for name in {*constants, *(node[2] for node in nodes)} - {*outputs}}
    for operator, inputs, output, attributes in nodes:
        named = [place.get(name, name) for name in inputs]
        node = helper.make_node(operator, named, [place.get(output, output)], name=f"decode/{output}")
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        finished.graph.node.append(node)
    finished.graph.initializer.extend(numpy_helper.from_array(value, place[name]) for name, value in constants.items())
    del finished.graph.output[:]
    for name, shape in outputs.items():
        finished.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", "A", *shape]))
    return bytes(finished.SerializeToString(deterministic=True))


def _shapes(model: onnx.ModelProto, pixels: PixelSpec) -> dict[str, tuple[int, ...]]:
    """The shapes of the outputs for one image, by name; raises BadModel if it cannot run."""
    import onnx
    from onnx import TensorProto, helper

    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    names = [output.name for output in model.graph.output]
    del probe.graph.output[:]
    for number, name in enumerate(names):
        probe.graph.node.append(helper.make_node("Cast", [name], [f"shape/{number}"], to=TensorProto.FLOAT))
        probe.graph.output.append(helper.make_tensor_value_info(f"shape/{number}", TensorProto.FLOAT, None))
    runtime = OnnxRuntime(probe.SerializeToString())
    try:
        found = runtime(noise(pixels)[:1], runtime.outputs)
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
        raise BadModel(f"the network cannot run on an image of {pixels.size[0]}x{pixels.size[1]}: {error}") from error
    return {name: found[f"shape/{number}"].shape for number, name in enumerate(names)}


def check_detector(model: bytes, pixels: PixelSpec) -> None:
    """Raise BadModel unless a batch gives what its images give alone, and that can be boxes and scores."""
    batch, runtime = noise(pixels), OnnxRuntime(model)
    try:
        together: Outputs = runtime(batch, (BOXES, SCORES))
        alone = [runtime(image[None], (BOXES, SCORES)) for image in batch]
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
        raise BadModel(f"the network cannot run on a batch of {len(batch)} images of {pixels.size[0]}x{pixels.size[1]}: {error}") from error
    for name, close in CLOSE.items():
        each = np.concatenate([one[name] for one in alone])
        if together[name].shape != each.shape:
            found = f"{len(batch)} images give {name} of shape {list(together[name].shape)}, alone {list(each.shape)}"
            raise BadModel(f"{found}; export the network for batches")
        if not np.isfinite(each).all():
            raise BadModel(
                f"{name} are not finite: the network writes them in another way than was said, or is given other pixels than it takes"
            )
        if not np.allclose(together[name], each, rtol=1e-2, atol=close):
            raise BadModel(f"an image gets other {name} in a batch than alone; export the network in inference mode, for batches")
    least, most = float(together[SCORES].min()), float(together[SCORES].max())
    if least < -1e-3 or most > 1 + 1e-3:
        raise BadModel(f"scores go from {least:.2f} to {most:.2f}; they lie between 0 and 1: say what makes them so (sigmoid or softmax)")


def _names(model: onnx.ModelProto) -> str:
    return ", ".join(output.name.removeprefix(PREFIX) for output in model.graph.output)
