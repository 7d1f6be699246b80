from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, load_model_from_string, numpy_helper

from mingmu.core import graph
from mingmu.core.artifact import Array
from mingmu.core.errors import BadModel
from mingmu.core.runtime import OnnxRuntime
from tests import tiny


def changed() -> ModelProto:
    return load_model_from_string(tiny.backbone_graph())


def test_a_plain_graph_passes() -> None:
    graph.check_sizes(graph.parse(tiny.backbone_graph()))


@pytest.mark.parametrize("junk", [b"", b"not onnx", b"\x80\x04N.", b"PK\x03\x04", tiny.backbone_graph()[:40]])
def test_junk_is_not_an_onnx_file(junk: bytes) -> None:
    with pytest.raises(BadModel, match="ONNX"):
        graph.parse(junk)


def test_weights_in_another_file_are_refused() -> None:
    model = changed()
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(BadModel, match="another file"):
        graph.parse(model.SerializeToString())


def test_weights_in_another_file_are_found_inside_a_node_too() -> None:
    model = changed()
    tensor = TensorProto(name="hidden", data_location=TensorProto.EXTERNAL, data_type=TensorProto.FLOAT, dims=[1])
    tensor.external_data.add(key="location", value="../weights")
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))
    with pytest.raises(BadModel, match="hidden"):
        graph.parse(model.SerializeToString())


def test_an_operator_of_a_foreign_domain_is_refused() -> None:
    model = changed()
    model.graph.node.append(helper.make_node("Evil", ["map"], ["x"], domain="com.example"))
    with pytest.raises(BadModel, match=r"com\.example"):
        graph.parse(model.SerializeToString())


def test_a_loop_is_refused() -> None:
    model = changed()
    body = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["x"], body=body))
    with pytest.raises(BadModel, match="without end"):
        graph.parse(model.SerializeToString())


def test_a_graph_with_too_many_operators_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MAX_NODES", 3)
    with pytest.raises(BadModel, match="limit is 3"):
        graph.parse(tiny.backbone_graph())


def test_a_graph_with_a_giant_intermediate_is_refused() -> None:
    nodes = [
        helper.make_node("Expand", ["one", "shape"], ["giant"]),
        helper.make_node("ReduceSum", ["giant"], ["scores"], keepdims=0),
    ]
    constants: dict[str, Array] = {"one": np.ones((1, 1), np.float32), "shape": np.array([100_000, 100_000], np.int64)}
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [])]
    with pytest.raises(BadModel, match="giant"):
        OnnxRuntime(tiny.model(nodes, constants, ["N", 8, 8, 3], outputs))


def test_a_graph_whose_input_is_not_pixels_cannot_run() -> None:
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 8, 8, 3])]
    model = tiny.model([helper.make_node("Identity", ["pixels"], ["scores"])], {}, ["N", 8, 8, 3], outputs, TensorProto.FLOAT)
    with pytest.raises(BadModel, match="uint8"):
        OnnxRuntime(model)


def test_a_giant_of_doubles_and_one_inside_a_branch_are_refused() -> None:
    expand = helper.make_node("Expand", ["one", "shape"], ["giant"])
    total = helper.make_node("ReduceSum", ["giant"], ["sum"], keepdims=0)
    constants: dict[str, Array] = {"one": np.ones((1, 1)), "shape": np.array([20_000, 20_000], np.int64), "yes": np.array(True)}
    inner = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    branch = helper.make_graph([expand, total], "branch", [], [helper.make_tensor_value_info("sum", TensorProto.DOUBLE, [])], inner)
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [])]
    flat = [expand, total, helper.make_node("Cast", ["sum"], ["scores"], to=TensorProto.FLOAT)]
    nested = [
        helper.make_node("If", ["yes"], ["either"], then_branch=branch, else_branch=branch),
        helper.make_node("Cast", ["either"], ["scores"], to=TensorProto.FLOAT),
    ]
    for nodes, stored in ((flat, constants), (nested, {"yes": constants["yes"]})):  # 3.2 GB; as floats they would pass
        with pytest.raises(BadModel, match="giant"):
            graph.check_sizes(graph.parse(tiny.model(nodes, stored, ["N", 8, 8, 3], outputs)))


def test_a_graph_that_gives_nothing_or_no_floats_cannot_run() -> None:
    nodes = [helper.make_node("Cast", ["pixels"], ["words"], to=TensorProto.STRING)]
    words = [helper.make_tensor_value_info("words", TensorProto.STRING, ["N", 8, 8, 3])]
    with pytest.raises(BadModel, match="float32 outputs"):
        OnnxRuntime(tiny.model(nodes, {}, ["N", 8, 8, 3], words))
    with pytest.raises(BadModel):
        OnnxRuntime(tiny.model(nodes, {}, ["N", 8, 8, 3], []))


def test_a_device_that_onnx_runtime_was_not_built_for_or_does_not_find_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(BadModel, match="built without CUDAExecutionProvider"):
        OnnxRuntime(tiny.backbone_graph(), provider="cuda")
    session = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *given, providers: session(*given, providers=["CPUExecutionProvider"]))
    with pytest.raises(BadModel, match="finds no device for CUDAExecutionProvider"):
        OnnxRuntime(tiny.backbone_graph(), provider="cuda")
