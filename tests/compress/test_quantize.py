from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mingmu.compress.quantize import quantize
from mingmu.core.errors import BadModel
from mingmu.core.runtime import OnnxRuntime, Pixels
from tests import tiny


def convolutional() -> bytes:
    """A small convolution over pixels; its features are the mean of each channel of the result."""
    random = np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weight"], ["convolved"]),
        helper.make_node("Relu", ["convolved"], ["positive"]),
        helper.make_node("ReduceMean", ["positive"], ["features"], axes=[2, 3], keepdims=0),
    ]
    constants = {"scale": np.array(1 / 255, np.float32), "weight": random.normal(0, 1, (16, 3, 3, 3)).astype(np.float32)}
    outputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 16])]
    return tiny.model(nodes, constants, ["N", 8, 8, 3], outputs)


def photos(count: int, seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


def test_a_quantised_graph_gives_nearly_the_same_from_weights_of_eight_bits() -> None:
    graph = convolutional()
    smaller = quantize(graph, photos(20, 0))
    weights = [tensor.data_type for tensor in onnx.load_model_from_string(smaller).graph.initializer if len(tensor.dims) == 4]
    assert weights == [TensorProto.INT8]
    exact, rough = (OnnxRuntime(each)(photos(5, 1), ("features",))["features"] for each in (graph, smaller))
    assert not np.array_equal(exact, rough)
    np.testing.assert_allclose(rough, exact, atol=0.03)


def test_a_graph_of_an_older_version_of_onnx_is_quantised_too() -> None:
    older = onnx.load_model_from_string(convolutional())
    older.opset_import[0].version = 11
    rough = OnnxRuntime(quantize(older.SerializeToString(), photos(20, 0)))(photos(5, 1), ("features",))["features"]
    np.testing.assert_allclose(rough, OnnxRuntime(convolutional())(photos(5, 1), ("features",))["features"], atol=0.03)


def test_photos_are_taken_one_at_a_time() -> None:
    taken = []

    def one_by_one() -> Iterator[Pixels]:
        for i, frame in enumerate(photos(3, 0)):
            taken.append(i)
            yield frame

    quantize(convolutional(), one_by_one())
    assert taken == [0, 1, 2]


def test_what_cannot_be_quantised_is_said() -> None:
    with pytest.raises(BadModel, match="cannot be quantised"):
        quantize(convolutional(), [])
    with pytest.raises(BadModel, match="cannot be quantised"):
        quantize(b"no graph", photos(1, 0))
