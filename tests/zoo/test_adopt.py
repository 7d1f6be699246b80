from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from mingmu.core.artifact import Artifact
from mingmu.core.errors import BadModel
from mingmu.core.manifest import Manifest
from mingmu.core.network import Network
from mingmu.core.pixels import PixelSpec
from mingmu.core.recognizer import Recognizer
from mingmu.core.sealing import seal_network
from mingmu.tasks import task_named
from mingmu.zoo.adopt import Normalisation, adopt, input_size
from tests.tiny import LABELS, ORIGIN

RGB_01 = Normalisation()
WEIGHT = np.array([[4, -1, 0], [-2, 5, 1], [0, 1, 3]], np.float32)  # [channel, class]


def classifier(
    *,
    layout: str = "NCHW",
    channels: int = 3,
    size: int | str = 6,
    batch: int | str = "N",
    ending: str | None = None,
    dtype: int = TensorProto.FLOAT,
    classes: int = 3,
) -> ModelProto:
    """Logits = mean of each channel times WEIGHT."""
    shape: list[int | str] = [batch, channels, size, size] if layout == "NCHW" else [batch, size, size, channels]
    weight = WEIGHT[:channels, :classes].astype(helper.tensor_dtype_to_np_dtype(dtype))
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["means"], axes=[2, 3] if layout == "NCHW" else [1, 2], keepdims=0),
        helper.make_node("MatMul", ["means", "w"], ["y" if ending is None else "logits"]),
    ]
    if ending is not None:
        nodes.append(helper.make_node(ending, ["logits"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", dtype, [batch, classes])],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def adopted(
    model: ModelProto, normalisation: Normalisation = RGB_01, *, labels: tuple[str, ...] = LABELS, pixels: PixelSpec | None = None
) -> tuple[bytes, Manifest]:
    data = model.SerializeToString()
    spec = pixels or PixelSpec(size=input_size(data))
    return adopt(data, name="mine", labels=labels, normalisation=normalisation, pixels=spec, origin=ORIGIN)


def scores(model: tuple[bytes, Manifest], folder: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    graph, manifest = model
    sealed: Artifact = seal_network(folder, manifest, graph)
    network = Network.open(sealed)
    recognizer = Recognizer(sealed, network, task_named("classify"))
    recognizer.prove()
    return np.asarray(network.runtime(pixels, ["scores"])["scores"])


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (4, 6, 6, 3), dtype=np.uint8)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("ending", [None, "Softmax", "LogSoftmax"])
def test_scores_are_the_softmax_of_the_networks_own_logits(
    layout: str, ending: str | None, tmp_path: Path, pixels: NDArray[np.uint8]
) -> None:
    normalisation = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    normalised = (pixels / 255.0 - normalisation.mean) / normalisation.std
    expected = softmax(normalised.mean(axis=(1, 2)) @ WEIGHT)
    found = scores(adopted(classifier(layout=layout, ending=ending), normalisation), tmp_path, pixels)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_networks_that_take_0_to_255_and_bgr_are_served(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    normalisation = Normalisation(mean=(104, 117, 123), std=(58.0,), scale=255, channels="bgr")
    normalised = (pixels[..., ::-1] - np.array(normalisation.mean)) / 58.0
    expected = softmax(normalised.mean(axis=(1, 2)) @ WEIGHT)
    np.testing.assert_allclose(scores(adopted(classifier(), normalisation), tmp_path, pixels), expected, atol=1e-5)


def test_a_network_with_one_grey_channel_is_served(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    grey = (pixels / 255.0) @ [0.299, 0.587, 0.114]
    expected = softmax(grey.mean(axis=(1, 2))[:, None] @ WEIGHT[:1].astype(np.float64))
    np.testing.assert_allclose(scores(adopted(classifier(channels=1)), tmp_path, pixels), expected, atol=1e-5)


def test_a_half_precision_network_is_served(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    expected = softmax((pixels / 255.0).mean(axis=(1, 2)) @ WEIGHT)
    found = scores(adopted(classifier(dtype=TensorProto.FLOAT16)), tmp_path, pixels)
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_a_free_input_size_is_taken_from_the_caller() -> None:
    model = classifier(size="side")
    assert adopted(model, pixels=PixelSpec(size=(10, 10)))[1].pixels.size == (10, 10)
    with pytest.raises(BadModel, match="size"):
        adopted(model)


def test_a_size_that_contradicts_the_graph_is_refused() -> None:
    with pytest.raises(BadModel, match="6x6 pixels, not 10x10"):
        adopted(classifier(), pixels=PixelSpec(size=(10, 10)))


def test_names_that_clash_with_ours_do_no_harm(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    model = classifier()
    for node in model.graph.node:
        node.input[:] = ["pixels" if name == "x" else "scores" if name == "means" else name for name in node.input]
        node.output[:] = ["scores" if name == "means" else name for name in node.output]
    model.graph.input[0].name = "pixels"
    expected = softmax((pixels / 255.0).mean(axis=(1, 2)) @ WEIGHT)
    np.testing.assert_allclose(scores(adopted(model), tmp_path, pixels), expected, atol=1e-5)


def test_old_files_that_list_their_weights_as_inputs_are_served() -> None:
    model = classifier()
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 3]))
    assert adopted(model)[1].labels == LABELS


def test_a_fixed_batch_that_can_run_no_other_is_refused() -> None:
    model = classifier(batch=1)
    shape = numpy_helper.from_array(np.array([3], np.int64), "one_row")
    model.graph.initializer.append(shape)
    model.graph.node.insert(1, helper.make_node("Reshape", ["means", "one_row"], ["row"]))
    model.graph.node[2].input[0] = "row"
    with pytest.raises(BadModel, match="batch"):
        adopted(model)


@pytest.mark.parametrize(
    ("model", "labels", "complaint"),
    [
        (classifier(), ("a", "b"), "3 scores but there are 2 labels"),
        (classifier(), ("a", "b", "a"), "labels repeat"),
        (classifier(classes=1), ("a",), "at least 2 labels"),
        (classifier(ending="Sigmoid"), LABELS, "sigmoid"),
        (classifier(channels=2), LABELS, r"\[N, 3, H, W\]"),
        (classifier(dtype=TensorProto.DOUBLE), LABELS, "DOUBLE"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(model: ModelProto, labels: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(BadModel, match=complaint):
        adopted(model, labels=labels)


def test_a_graph_with_two_outputs_is_refused() -> None:
    model = classifier()
    model.graph.output.append(helper.make_tensor_value_info("means", TensorProto.FLOAT, ["N", 3]))
    with pytest.raises(BadModel, match="2 outputs"):
        adopted(model)


@pytest.mark.parametrize(
    ("normalisation", "complaint"),
    [
        (Normalisation(std=(0.0,)), "above 0"),
        (Normalisation(scale=0), "scale is 0"),
        (Normalisation(mean=(127.0,)), "scale 255"),
        (Normalisation(mean=(0.1, 0.2)), "2 values"),
        (Normalisation(mean=(float("nan"),)), "mean is .*finite"),
        (Normalisation(std=(1.0, float("inf"), 1.0)), "std is .*finite"),
        (Normalisation(scale=float("inf")), "scale is .*finite"),
    ],
)
def test_a_normalisation_that_cannot_be_meant_is_refused(normalisation: Normalisation, complaint: str) -> None:
    with pytest.raises(BadModel, match=complaint):
        adopted(classifier(), normalisation)
