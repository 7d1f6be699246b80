"""Reads and writes the messages of the Open Inference Protocol, version 2, with its binary tensor extension.

A message is JSON; tensors may follow it as raw bytes, in the order in which the JSON names them. The header
Inference-Header-Content-Length then says where the JSON ends.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from mingmu.core.errors import BadRequest
from mingmu.serve.bodies import check_json, from_base64

MAX_JSON_VALUES = 2**20  # seven pictures of 224x224 pixels


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


@dataclass(frozen=True, slots=True)
class Request:
    """An inference request, and the raw bytes of those inputs that came as such."""

    json: InferJson
    raw: dict[str, bytes]


def read_request(body: bytes, header_length: str | None) -> Request:
    """Take a body apart; raises BadRequest."""
    end = len(body)
    if header_length is not None:
        if not header_length.isdecimal() or int(header_length) > len(body):
            raise BadRequest(f"Inference-Header-Content-Length is {header_length[:20]!r}; the body has {len(body)} bytes")
        end = int(header_length)
    json = body[:end]
    check_json(json, MAX_JSON_VALUES + MAX_JSON_VALUES // 2)  # nested tensors have a bracket for every pixel
    try:
        parsed = InferJson.model_validate(orjson.loads(json))
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"JSON: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise BadRequest(f"JSON: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None
    raw, at = {}, end
    for tensor in parsed.inputs:
        size = _binary_size(tensor)
        if size is not None:
            raw[tensor.name] = body[at : at + size]
            at += size
    if at != len(body):
        raise BadRequest(f"the inputs name {at - end} bytes of binary data; {len(body) - end} follow the JSON")
    return Request(parsed, raw)


def _binary_size(tensor: TensorJson) -> int | None:
    if any(name.startswith("shared_memory") for name in tensor.parameters):
        raise BadRequest(f"input {tensor.name!r}: shared memory is not supported")
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        return None
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise BadRequest(f"input {tensor.name!r}: binary_data_size is a number of bytes")
    if tensor.data is not None:
        raise BadRequest(f"input {tensor.name!r} has both data and binary_data_size")
    return size


def read_images(tensor: TensorJson, raw: bytes | None, max_images: int) -> list[bytes]:
    """Encoded images from a BYTES tensor [n]: length-prefixed (4 bytes, little endian) as binary, base64 in JSON."""
    if len(tensor.shape) != 1:
        raise BadRequest(f"input {tensor.name!r} has the shape {tensor.shape}; it is [n], n encoded images")
    _check_count(tensor, max_images)
    if raw is not None:
        elements = _elements(raw, tensor.name)
    else:
        if not isinstance(tensor.data, list) or not all(isinstance(text, str) for text in tensor.data):
            raise BadRequest(f"input {tensor.name!r}: data is a list of images in base64")
        elements = [from_base64(text, f"image {i}") for i, text in enumerate(tensor.data)]
    if len(elements) != tensor.shape[0]:
        raise BadRequest(f"input {tensor.name!r} has the shape {tensor.shape} but {len(elements)} elements")
    return elements


def _elements(raw: bytes, name: str) -> list[bytes]:
    elements, at = [], 0
    while at < len(raw):
        length = int.from_bytes(raw[at : at + 4], "little")
        elements.append(raw[at + 4 : at + 4 + length])
        at += 4 + length
    if at != len(raw):
        raise BadRequest(f"input {name!r}: its last element is cut short")
    return elements


def read_pixels(tensor: TensorJson, raw: bytes | None, size: tuple[int, int], max_images: int) -> NDArray[np.uint8]:
    """Pixels, uint8 [n, height, width, 3], from a UINT8 tensor; `size` is (width, height)."""
    wanted = [size[1], size[0], 3]
    if tensor.shape[1:] != wanted:
        raise BadRequest(f"input {tensor.name!r} has the shape {tensor.shape}; this model takes {[-1, *wanted]}")
    _check_count(tensor, max_images)
    values = raw if raw is not None else _values(tensor)
    if len(values) != math.prod(tensor.shape):
        raise BadRequest(f"input {tensor.name!r} has the shape {tensor.shape} but {len(values)} values")
    return np.frombuffer(values, np.uint8).reshape(tensor.shape)


def _values(tensor: TensorJson) -> bytes:
    """The numbers of a tensor in JSON, nested or flat. NumPy never sees them: it would make texts of them all if one were a text."""
    values = tensor.data
    while isinstance(values, list) and values and isinstance(values[0], list):
        if any(not isinstance(row, list) or len(row) != len(values[0]) for row in values):
            raise BadRequest(f"input {tensor.name!r}: data is ragged")
        values = [*chain.from_iterable(values)]
    if not isinstance(values, list) or any(type(value) is not int or not 0 <= value <= 255 for value in values):
        raise BadRequest(f"input {tensor.name!r}: data holds whole numbers from 0 to 255")
    return bytes(values)


def _check_count(tensor: TensorJson, max_images: int) -> None:
    if not 1 <= tensor.shape[0] <= max_images:
        allowed = f"1 to {max_images} are allowed (settings: max_images, max_queue)"
        raise BadRequest(f"input {tensor.name!r} holds {tensor.shape[0]} images; {allowed}")


@dataclass(frozen=True, slots=True)
class Output:
    """A tensor of the answer: FP32 as an array, BYTES as strings."""

    name: str
    shape: list[int]
    values: NDArray[np.float32] | Sequence[str]
    binary: bool

    @property
    def datatype(self) -> str:
        return "FP32" if isinstance(self.values, np.ndarray) else "BYTES"

    def raw(self) -> bytes:
        """The values as binary data."""
        if isinstance(self.values, np.ndarray):
            return np.ascontiguousarray(self.values, dtype="<f4").tobytes()
        return b"".join(struct.pack("<I", len(text)) + text for text in (value.encode() for value in self.values))


def write_response(head: dict[str, object], outputs: Sequence[Output]) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of its JSON where tensors follow it."""
    listed, raws = [], []
    for output in outputs:
        entry: dict[str, object] = {"name": output.name, "datatype": output.datatype, "shape": output.shape}
        if output.binary:
            raws.append(output.raw())
            entry["parameters"] = {"binary_data_size": len(raws[-1])}
        else:
            entry["data"] = output.values.ravel() if isinstance(output.values, np.ndarray) else [*output.values]
        listed.append(entry)
    json = orjson.dumps(head | {"outputs": listed}, option=orjson.OPT_SERIALIZE_NUMPY)
    return b"".join((json, *raws)), len(json) if raws else None
