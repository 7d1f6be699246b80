"""Reads and writes the messages of the Open Inference Protocol, version 2, over REST, with its binary tensor extension.

A message is JSON; tensors may follow it as raw bytes, in the order in which the JSON names them. The header
Inference-Header-Content-Length then says where the JSON ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from mingmu.core.errors import BadRequest
from mingmu.serve.bodies import check_json, from_base64
from mingmu.serve.inference import check_memory
from mingmu.serve.tensors import Asked, Inference, Output, Tensor, bytes_in

MAX_JSON_VALUES = 2**19  # three pictures of 224x224 pixels; Python's lock is held for a tenth of a second to read them
BINARY = "binary_data"


class TensorJson(BaseModel):
    """An input tensor."""

    model_config = ConfigDict(strict=True)

    name: str
    datatype: str
    shape: Annotated[list[int], FailFast(), Field(min_length=1, max_length=8)]
    parameters: dict[str, Any] = {}
    data: Any = None


class RequestedJson(BaseModel):
    """An output that is asked for."""

    model_config = ConfigDict(strict=True)

    name: str
    parameters: dict[str, Any] = {}


class InferJson(BaseModel):
    """The JSON of an inference request."""

    model_config = ConfigDict(strict=True)

    id: str = ""
    parameters: dict[str, Any] = {}
    inputs: Annotated[list[TensorJson], FailFast(), Field(min_length=1, max_length=8)]
    outputs: Annotated[list[RequestedJson], FailFast(), Field(max_length=8)] = []


def read_request(body: bytes, header_length: str | None) -> Inference:
    """Take a body apart; raises BadRequest. Each output's parameter `binary_data` says whether it follows the JSON."""
    end = len(body)
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdecimal() and len(header_length) <= 20 and int(header_length) <= len(body)):
            raise BadRequest(f"Inference-Header-Content-Length is {header_length[:20]!r}; the body has {len(body)} bytes")
        end = int(header_length)
    parsed = _parse(body[:end])
    inputs, at = [], end
    for tensor in parsed.inputs:
        size = _binary_size(tensor)
        data = _data(tensor) if size is None else body[at : at + size]
        inputs.append(Tensor(tensor.name, tensor.datatype, tensor.shape, data))
        at += size or 0
    if at != len(body):
        raise BadRequest(f"the inputs name {at - end} bytes of binary data; {len(body) - end} follow the JSON")
    default = {BINARY: parsed.parameters.get("binary_data_output", False)}
    return Inference(inputs, [Asked(each.name, default | each.parameters) for each in parsed.outputs], parsed.id, default)


def _parse(json: bytes) -> InferJson:
    check_json(json, MAX_JSON_VALUES + MAX_JSON_VALUES // 2)  # nested tensors have a bracket for every pixel
    try:
        return InferJson.model_validate(orjson.loads(json))
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"JSON: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise BadRequest(f"JSON: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None


def _binary_size(tensor: TensorJson) -> int | None:
    check_memory(f"input {tensor.name[:100]!r}", tensor.parameters)
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        return None
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise BadRequest(f"input {tensor.name!r}: binary_data_size is a number of bytes")
    if tensor.data is not None:
        raise BadRequest(f"input {tensor.name!r} has both data and binary_data_size")
    return size


def _data(tensor: TensorJson) -> bytes | list[bytes]:
    if tensor.datatype == "UINT8":
        return bytes_in(tensor.data, f"input {tensor.name!r}: data")[1]
    if tensor.datatype != "BYTES":
        return b""
    if not isinstance(tensor.data, list) or not all(isinstance(text, str) for text in tensor.data):
        raise BadRequest(f"input {tensor.name!r}: data is a list of images in base64")
    return [from_base64(text, f"image {i}") for i, text in enumerate(tensor.data)]


def write_response(head: dict[str, object], outputs: Sequence[Output]) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of its JSON where tensors follow it."""
    listed, raws = [], []
    for output in outputs:
        entry: dict[str, object] = {"name": output.name, "datatype": output.datatype, "shape": output.shape}
        if output.how.get(BINARY) is True:
            raws.append(output.raw())
            entry["parameters"] = {"binary_data_size": len(raws[-1])}
        else:
            entry["data"] = output.values.ravel() if isinstance(output.values, np.ndarray) else [*output.values]
        listed.append(entry)
    json = orjson.dumps(head | {"outputs": listed}, option=orjson.OPT_SERIALIZE_NUMPY)
    return b"".join((json, *raws)), len(json) if raws else None
