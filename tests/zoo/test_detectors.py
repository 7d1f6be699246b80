from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from mingmu.core.artifact import Array
from mingmu.core.errors import BadModel
from mingmu.core.manifest import Manifest
from mingmu.core.pixels import PixelSpec
from mingmu.core.runtime import OnnxRuntime, Outputs
from mingmu.zoo.adopt import Normalisation
from mingmu.zoo.detectors import Decoding, adopt_detector
from tests.tiny import LABELS, ORIGIN

SPEC = PixelSpec(size=(64, 32), fit="letterbox")
CELLS = 8 * 4 + 4 * 2 + 2 * 1
YOLOX, BOXES = Decoding("yolox"), Decoding("boxes")
RNG = np.random.default_rng(3)


def network(outputs: dict[str, NDArray[np.float32]], *, batch: int | str = "N", reshape: bool = False, mixes: bool = False) -> ModelProto:
    """A network [N, 3, 32, 64] that gives the same outputs [A, K] for every picture, but for what is far too small to matter."""
    axes = [0, 1, 2, 3] if mixes else [1, 2, 3]
    nodes: list[NodeProto] = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=axes, keepdims=1),
        helper.make_node("Mul", ["mean", "factor"], ["little"]),
        helper.make_node("Reshape", ["little", "column"], ["shaped"]),
    ]
    constants: dict[str, Array] = {"factor": np.array(1e-7, np.float32), "column": np.array([1 if reshape else 0, 1, 1], np.int64)}
    for name, values in outputs.items():
        constants[f"{name}_values"] = values[None].astype(np.float32)
        nodes.append(helper.make_node("Add", ["shaped", f"{name}_values"], [name]))
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 32, 64])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7)


def adopted(model: ModelProto, decoding: Decoding, labels: tuple[str, ...] = LABELS, pixels: PixelSpec = SPEC) -> tuple[bytes, Manifest]:
    return adopt_detector(
        model.SerializeToString(), decoding, name="mine", labels=labels, normalisation=Normalisation(), pixels=pixels, origin=ORIGIN
    )


def outputs_of(model: ModelProto, decoding: Decoding) -> Outputs:
    graph, manifest = adopted(model, decoding)
    assert (manifest.task, manifest.detect is not None, manifest.labels) == ("detect", True, LABELS)
    found = OnnxRuntime(graph)(np.zeros((3, 32, 64, 3), np.uint8), ("boxes", "scores"))
    assert len(found["boxes"]) == len(found["scores"]) == 3
    return {name: values[2] for name, values in found.items()}


def yolox_rows() -> NDArray[np.float32]:
    return np.concatenate([RNG.normal(0, 1, (CELLS, 4)), RNG.uniform(0, 1, (CELLS, 4))], axis=1).astype(np.float32)


def test_rows_of_yolox_are_decoded_as_its_authors_do() -> None:
    rows = yolox_rows()
    found = outputs_of(network({"y": rows}), YOLOX)
    at = 0
    for stride in (8, 16, 32):
        for row in range(32 // stride):
            for column in range(64 // stride):
                x, y = (rows[at, 0] + column) * stride, (rows[at, 1] + row) * stride
                width, height = np.exp(rows[at, 2]) * stride, np.exp(rows[at, 3]) * stride
                expected = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
                np.testing.assert_allclose(found["boxes"][at], expected, rtol=1e-4, atol=1e-3)
                np.testing.assert_allclose(found["scores"][at], rows[at, 4] * rows[at, 5:], atol=1e-5)
                at += 1


def test_a_network_exported_for_one_picture_serves_batches() -> None:
    rows = yolox_rows()
    found = outputs_of(network({"y": rows}, batch=1, reshape=True), YOLOX)
    np.testing.assert_allclose(found["scores"], rows[:, 4:5] * rows[:, 5:], atol=1e-5)


CORNERS = np.array([[0, 0, 32, 16], [16, 8, 64, 32]], np.float32)
SHARES = np.array([[0.1, 0.8, 0.1], [0.5, 0.0, 0.2]], np.float32)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("form", ["corners", "centre"])
def test_boxes_become_corners_in_pixels(form: str, relative: bool) -> None:
    boxes = CORNERS / [64, 32, 64, 32] if relative else CORNERS
    if form == "centre":
        boxes = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)
    decoding = Decoding("boxes", "centre" if form == "centre" else "corners", relative)
    found = outputs_of(network({"scores": SHARES, "boxes": boxes.astype(np.float32)}), decoding)
    np.testing.assert_allclose(found["boxes"], CORNERS, atol=1e-3)
    np.testing.assert_allclose(found["scores"], SHARES, atol=1e-5)


def test_logits_become_scores_as_in_detr() -> None:
    logits = np.array([[2, -1, 0, 1], [0, 3, -2, 5]], np.float32)
    sigmoid = outputs_of(network({"l": logits[:, :3], "pred_boxes": CORNERS}), replace(BOXES, scores="sigmoid"))
    np.testing.assert_allclose(sigmoid["scores"], 1 / (1 + np.exp(-logits[:, :3])), atol=1e-5)
    softmax = outputs_of(network({"l": logits, "pred_boxes": CORNERS}), replace(BOXES, scores="softmax"))
    powers = np.exp(logits)
    np.testing.assert_allclose(softmax["scores"], (powers / powers.sum(axis=1, keepdims=True))[:, :3], atol=1e-5)


def test_other_outputs_and_names_do_no_harm() -> None:
    found = outputs_of(network({"hidden": np.zeros((2, 7), np.float32), "s": SHARES, "b": CORNERS}), BOXES)
    np.testing.assert_allclose(found["boxes"], CORNERS, atol=1e-3)


def test_four_classes_are_not_taken_for_boxes() -> None:
    scores = np.full((2, 4), 0.25, np.float32)
    graph, _ = adopted(network({"scores": scores, "boxes": CORNERS}), BOXES, labels=("a", "b", "c", "d"))
    found = OnnxRuntime(graph)(np.zeros((1, 32, 64, 3), np.uint8), ("boxes", "scores"))
    np.testing.assert_allclose(found["boxes"][0], CORNERS, atol=1e-3)


YOLO = {"y": yolox_rows()}
PLAIN = {"scores": SHARES, "boxes": CORNERS}


@pytest.mark.parametrize(
    ("model", "decoding", "labels", "complaint"),
    [
        (network(YOLO), YOLOX, ("a",), r"\[1, 42, 8\]; \[N, A, 6\] is needed"),
        (network(YOLO), BOXES, LABELS, r"boxes \[N, A, 4\] and scores \[N, A, 3\] are needed"),
        (network(PLAIN), YOLOX, LABELS, "2 outputs"),
        (network(PLAIN), BOXES, ("a", "b"), r"scores \[N, A, 2\] are needed"),
        (network(PLAIN), BOXES, ("a", "b", "a"), "labels repeat"),
        (network({"scores": SHARES, "boxes": CORNERS[:1]}), BOXES, LABELS, "are needed"),
        (network({"y": yolox_rows()[:-1]}), YOLOX, LABELS, "41 rows for 64x32 pixels; a YOLOX has 42"),
        (network({"y": yolox_rows() * np.array([1, 1, 100, 100, 1, 1, 1, 1], np.float32)}), YOLOX, LABELS, "boxes are not finite"),
        (network({"scores": SHARES * 9, "boxes": CORNERS}), BOXES, LABELS, "sigmoid or softmax"),
        (network(YOLO, mixes=True, batch=1), YOLOX, LABELS, "batch"),
        (network({"scores": SHARES * np.nan, "boxes": CORNERS}), BOXES, LABELS, "scores are not finite"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(
    model: ModelProto, decoding: Decoding, labels: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(BadModel, match=complaint):
        adopted(model, decoding, labels)


def test_a_size_that_contradicts_the_graph_is_refused() -> None:
    with pytest.raises(BadModel, match="64x32 pixels, not 64x64"):
        adopted(network(YOLO), YOLOX, pixels=PixelSpec(size=(64, 64)))
