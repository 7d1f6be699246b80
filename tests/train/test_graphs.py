"""Networks that are read from a graph: they give what it gave, and go on learning."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from mingmu.core.errors import BadModel
from mingmu.train.nets.graphs import Graph

RANDOM = np.random.default_rng(0)


def graph_of(*nodes: onnx.NodeProto, constants: dict[str, np.ndarray], output: str = "found") -> onnx.ModelProto:
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, 8, 6])
    found = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    model = helper.make_model(helper.make_graph(nodes, "tiny", [pixels], [found], stored), opset_imports=[helper.make_opsetid("", 11)])
    model.ir_version = 8
    return model


def reader() -> onnx.ModelProto:
    """Columns, whose number of pictures is known when it runs."""
    make = helper.make_node
    return graph_of(
        make("Conv", ["pixels", "weight", "bias"], ["seen"], strides=[2, 2], auto_pad="SAME_UPPER", kernel_shape=[3, 3]),
        make("BatchNormalization", ["seen", "scale", "offset", "mean", "variance"], ["even"], epsilon=1e-5),
        make("HardSigmoid", ["even"], ["gate"], alpha=0.2, beta=0.5),
        make("Mul", ["even", "gate"], ["bent"]),
        make("MaxPool", ["bent"], ["largest"], kernel_shape=[2, 2], strides=[1, 1], auto_pad="SAME_UPPER"),
        make("AveragePool", ["largest"], ["pooled"], kernel_shape=[4, 1], strides=[4, 1]),
        make("Shape", ["pooled"], ["shape"]),
        make("Slice", ["shape", "zero", "two", "zero"], ["count"]),
        make("Concat", ["count", "rest"], ["flat_shape"], axis=0),
        make("Reshape", ["pooled", "flat_shape"], ["flat"]),
        make("Transpose", ["flat"], ["columns"], perm=[0, 2, 1]),
        make("ReduceMean", ["columns"], ["level"], axes=[-1]),
        make("Sub", ["columns", "level"], ["centred"]),
        make("MatMul", ["centred", "matrix"], ["logits"]),
        make("Softmax", ["logits"], ["found"], axis=2),
        constants={
            "weight": RANDOM.normal(size=(4, 3, 3, 3)).astype(np.float32),
            "bias": RANDOM.normal(size=4).astype(np.float32),
            **{name: RANDOM.uniform(0.5, 1.5, 4).astype(np.float32) for name in ("scale", "offset", "mean", "variance")},
            "matrix": RANDOM.normal(size=(4, 5)).astype(np.float32),
            "zero": np.array([0]),
            "two": np.array([2]),
            "rest": np.array([-1]),
        },
    )


def test_it_gives_what_the_graph_gives_for_any_number_of_pictures() -> None:
    model = reader()
    net, session = Graph(model, "found"), onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for count in (1, 3):
        pixels = RANDOM.normal(size=(count, 3, 8, 6)).astype(np.float32)
        ours = net(torch.from_numpy(pixels)).detach().numpy()
        assert ours.shape == (count, 3, 5)
        assert np.allclose(ours, session.run(["found"], {"pixels": pixels})[0], atol=1e-5)


def test_what_is_stored_learns() -> None:
    net = Graph(reader(), "logits")
    net(torch.rand(2, 3, 8, 6)).pow(2).sum().backward()
    gradients = [weight.grad for weight in net.parameters()]
    assert sum(gradient is not None and bool(gradient.any()) for gradient in gradients) >= 5  # all but what was measured of batches


def test_an_operator_that_is_not_known_is_named() -> None:
    model = graph_of(helper.make_node("Tanh", ["pixels"], ["found"]), constants={})
    with pytest.raises(BadModel, match="cannot learn here: Tanh"):
        Graph(model, "found")


def test_what_lies_behind_is_left_out() -> None:
    model = graph_of(helper.make_node("Relu", ["pixels"], ["middle"]), helper.make_node("Tanh", ["middle"], ["found"]), constants={})
    assert float(Graph(model, "middle")(torch.full((1, 3, 8, 6), -1.0)).sum()) == 0
