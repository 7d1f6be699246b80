"""What an ONNX graph must be before it may run here: self-contained, standard, bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mingmu.core.errors import BadModel

if TYPE_CHECKING:
    import onnx

MAX_GRAPH_BYTES = 2**30
MAX_NODES = 50_000
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
UNBOUNDED = frozenset({"Loop", "Scan"})  # may run for ever; no network that we serve needs them
MAX_TENSOR_BYTES = 2**31


def parse(data: bytes) -> onnx.ModelProto:
    """Read a graph and check it; raises BadModel, saying what is wrong and what is allowed."""
    import onnx
    from google.protobuf.message import DecodeError

    if len(data) > MAX_GRAPH_BYTES:
        raise BadModel(f"the graph has {len(data)} bytes; the limit is {MAX_GRAPH_BYTES}")
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError) as error:
        raise BadModel(f"not an ONNX file: {error}") from error
    if not model.graph.node:
        raise BadModel("not an ONNX file: it holds no graph")
    _check(model)
    return model


def _check(model: onnx.ModelProto) -> None:
    import onnx

    nodes = 0
    for item in _walk(model):
        if isinstance(item, onnx.TensorProto):
            if item.data_location == onnx.TensorProto.EXTERNAL:
                raise BadModel(f"tensor {item.name!r} lies in another file; save the model with its weights inside")
            continue
        nodes += 1
        if item.domain not in DOMAINS:
            raise BadModel(f"operator {item.op_type!r} is of the domain {item.domain!r}; only standard ONNX operators may run")
        if item.op_type in UNBOUNDED:
            raise BadModel(f"operator {item.op_type!r} may run without end; it is not allowed")
    if nodes > MAX_NODES:
        raise BadModel(f"the graph has {nodes} operators; the limit is {MAX_NODES}")


def check_sizes(model: onnx.ModelProto) -> None:
    """Refuse a graph whose known intermediate tensors exceed 2 GiB for one image; raises BadModel."""
    import onnx

    try:
        shaped = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise BadModel(f"the shapes of the graph do not fit together: {error}") from error
    for value in (value for graph in _graphs(shaped) for value in getattr(graph, "value_info", ())):
        size = _BYTES.get(value.type.tensor_type.elem_type, 4)
        for dim in value.type.tensor_type.shape.dim:
            size *= max(1, dim.dim_value)
        if size > MAX_TENSOR_BYTES:
            raise BadModel(f"tensor {value.name!r} would take {size} bytes for one image; the limit is {MAX_TENSOR_BYTES}")


_BYTES = {2: 1, 3: 1, 4: 2, 5: 2, 7: 8, 9: 1, 10: 2, 11: 8, 13: 8, 14: 8, 15: 16, 16: 2}  # of the types of onnx.TensorProto; 4 for the rest


def _walk(model: onnx.ModelProto) -> Iterator[onnx.NodeProto | onnx.TensorProto]:
    """Every operator and every stored tensor, in subgraphs and local functions too."""
    for graph in _graphs(model):
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for node in graph.node:
            yield node
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto | onnx.FunctionProto]:
    graphs: list[onnx.GraphProto | onnx.FunctionProto] = [model.graph, *model.functions]
    while graphs:
        graph = graphs.pop()
        yield graph
        graphs += [inner for node in graph.node for attribute in node.attribute for inner in (attribute.g, *attribute.graphs)]
