"""Adopts a foreign ONNX network that makes vectors of faces: uint8 pixels in front, vectors of length 1 behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import JsonValue, ValidationError

from mingmu.core import graph
from mingmu.core.artifact import Array
from mingmu.core.errors import BadModel
from mingmu.core.manifest import Manifest, Origin, digest_of, first_complaint
from mingmu.core.pixels import PixelSpec
from mingmu.core.runtime import FEATURES
from mingmu.zoo.adopt import Normalisation, check_size, input_of, prepended, width_of

if TYPE_CHECKING:
    import onnx

FEWEST = 16  # numbers of a vector: with fewer, people are hardly told apart


def adopt_embedder(model: bytes, *, name: str, normalisation: Normalisation, pixels: PixelSpec, origin: Origin) -> tuple[bytes, Manifest]:
    """A graph and a manifest, ready to be sealed, from an ONNX network that takes aligned faces; raises BadModel, saying what does not fit.

    It has one float input, as a classifier has, and one output [N, F], of any length. How alike strangers look to it is not known yet.
    """
    parsed = graph.parse(model)
    source = input_of(parsed)
    check_size(source, pixels)
    if pixels.size[0] != pixels.size[1]:
        raise BadModel(f"the graph takes {pixels.size[0]}x{pixels.size[1]} pixels; faces are aligned to squares")
    if len(parsed.graph.output) != 1:
        names = ", ".join(output.name for output in parsed.graph.output)
        raise BadModel(f"the graph has {len(parsed.graph.output)} outputs ({names}); an embedding has one")
    wrapped = prepended(parsed, source, normalisation)
    width = width_of(_finished(wrapped, None), pixels, FEATURES)
    if width < FEWEST:
        raise BadModel(f"the network gives {width} numbers; a vector of a face has at least {FEWEST}")
    made_by: dict[str, JsonValue] = {"how": "mingmu import", "model_sha256": digest_of(model)}
    try:
        manifest = Manifest(kind="model", name=name, task="embed", pixels=pixels, origin=origin, made_by=made_by)
    except ValidationError as error:
        raise BadModel(first_complaint(error)) from error
    return _finished(wrapped, width), manifest


def unit_nodes(vectors: str) -> list[tuple[str, list[str], str]]:
    """Operator, inputs and output of what gives vectors [N, F] the length 1; `ones` is float32 [F, 1]."""
    return [
        ("Mul", [vectors, vectors], "squares"),
        ("MatMul", ["squares", "ones"], "squared_length"),
        ("Sqrt", ["squared_length"], "length"),
        ("Div", [vectors, "length"], FEATURES),
    ]


def appended(model: onnx.ModelProto, nodes: list[tuple[str, list[str], str]], constants: dict[str, Array], width: int | str) -> None:
    """Put nodes behind a graph, which then gives `features` float32 [N, width]."""
    from onnx import TensorProto, helper, numpy_helper

    model.graph.node.extend(helper.make_node(operator, inputs, [output]) for operator, inputs, output in nodes)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", width]))


def _finished(wrapped: onnx.ModelProto, width: int | None) -> bytes:
    """The graph's bytes; the vectors are as the network gives them, or of length 1 where their width is known."""
    import onnx
    from onnx import TensorProto, helper

    finished = onnx.ModelProto()
    finished.CopyFrom(wrapped)
    finished.graph.node.append(helper.make_node("Cast", [wrapped.graph.output[0].name], ["floats_out"], to=TensorProto.FLOAT))
    finished.graph.node.append(helper.make_node("Flatten", ["floats_out"], ["flat" if width else FEATURES], axis=1))
    if width:
        appended(finished, unit_nodes("flat"), {"ones": np.ones((width, 1), np.float32)}, width)
    else:
        appended(finished, [], {}, "F")
    return bytes(finished.SerializeToString(deterministic=True))
