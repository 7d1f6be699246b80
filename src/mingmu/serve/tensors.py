"""The tensors of inference requests and answers, however they came in: the Open Inference Protocol's BYTES, UINT8 and FP32."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mingmu.core.errors import BadRequest

THINGS = ("boxes", "scores", "labels")
OUTPUTS: Mapping[str, tuple[str, ...]] = {  # by task
    "classify": ("scores", "labels"),
    **dict.fromkeys(("detect", "read", "text", "plates"), THINGS),
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input.

    BYTES are a list of elements, or bytes in which each element follows its length (4 bytes, little endian);
    UINT8 are bytes, one a value. The data of other datatypes is not read, for no model takes them.
    """

    name: str
    datatype: str
    shape: Sequence[int]
    data: bytes | Sequence[bytes] = b""


@dataclass(frozen=True, slots=True)
class Asked:
    """An output that is asked for."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inference:
    """An inference request, whatever protocol it came by."""

    inputs: Sequence[Tensor]
    outputs: Sequence[Asked]  # none: all that the model has
    id: str = ""
    how: Mapping[str, Any] = field(default_factory=dict)  # the parameters of outputs that are not named

    def asked(self, task: str) -> Sequence[Asked]:
        """The outputs that a model of a task shall give."""
        return self.outputs or [Asked(name, self.how) for name in OUTPUTS[task]]


@dataclass(frozen=True, slots=True)
class Output:
    """A tensor of the answer: FP32 as an array, BYTES as strings."""

    name: str
    shape: list[int]
    values: NDArray[np.float32] | Sequence[str]
    how: Mapping[str, Any] = field(default_factory=dict)  # the parameters it was asked for with

    @property
    def datatype(self) -> str:
        return "FP32" if isinstance(self.values, np.ndarray) else "BYTES"

    def raw(self) -> bytes:
        """The values as binary data."""
        if isinstance(self.values, np.ndarray):
            return np.ascontiguousarray(self.values, dtype="<f4").tobytes()
        return b"".join(struct.pack("<I", len(text)) + text for text in (value.encode() for value in self.values))


def images_in(tensor: Tensor, max_images: int) -> list[bytes]:
    """Encoded images from a BYTES tensor [n]."""
    if len(tensor.shape) != 1:
        raise BadRequest(f"input {tensor.name!r} has the shape {[*tensor.shape]}; it is [n], n encoded images")
    _check_count(tensor, max_images)
    count = tensor.shape[0]
    elements = _elements(tensor.data, tensor.name, count) if isinstance(tensor.data, bytes) else [*tensor.data]
    if len(elements) != count:
        raise BadRequest(f"input {tensor.name!r} has the shape [{count}] but {len(elements)} elements")
    return elements


def _elements(raw: bytes, name: str, count: int) -> list[bytes]:
    elements: list[bytes] = []
    at = 0
    while at < len(raw) and len(elements) < count:
        length = int.from_bytes(raw[at : at + 4], "little")
        elements.append(raw[at + 4 : at + 4 + length])
        at += 4 + length
    if at > len(raw):
        raise BadRequest(f"input {name!r}: its last element is cut short")
    if at < len(raw):
        raise BadRequest(f"input {name!r} has the shape [{count}] but more elements")
    return elements


def pixels_in(tensor: Tensor, size: tuple[int, int], max_images: int) -> NDArray[np.uint8]:
    """Pixels, uint8 [n, height, width, 3], from a UINT8 tensor; `size` is (width, height)."""
    wanted = [size[1], size[0], 3]
    if [*tensor.shape[1:]] != wanted:
        raise BadRequest(f"input {tensor.name!r} has the shape {[*tensor.shape]}; this model takes {[-1, *wanted]}")
    _check_count(tensor, max_images)
    if not isinstance(tensor.data, bytes) or len(tensor.data) != math.prod(tensor.shape):
        raise BadRequest(f"input {tensor.name!r} has the shape {[*tensor.shape]} but {len(tensor.data)} values")
    return np.frombuffer(tensor.data, np.uint8).reshape(tensor.shape)


def _check_count(tensor: Tensor, max_images: int) -> None:
    if not 1 <= tensor.shape[0] <= max_images:
        allowed = f"1 to {max_images} are allowed (settings: max_images, max_queue)"
        raise BadRequest(f"input {tensor.name!r} holds {tensor.shape[0]} images; {allowed}")


def bytes_in(values: Any, where: str) -> tuple[list[int], bytes]:
    """The shape and the values of a UINT8 tensor from nested or flat lists of JSON.

    Each step is one call for all values: a loop in Python would hold up everyone else for ten times as long. The types are
    looked at before NumPy sees the values, for it would make texts of them all if one were a text.
    """
    if not isinstance(values, list):
        raise BadRequest(f"{where} is no list of numbers")
    shape = [len(values)]
    while values and isinstance(values[0], list):
        shape.append(len(values[0]))
        if {*map(type, values)} != {list} or {*map(len, values)} != {shape[-1]}:
            raise BadRequest(f"{where} is ragged")
        values = [*chain.from_iterable(values)]
    if {*map(type, values)} <= {int, float}:
        numbers = np.array(values, np.float64)
        whole = numbers.clip(0, 255).astype(np.uint8)
        if (whole == numbers).all():
            return shape, whole.tobytes()
    raise BadRequest(f"{where} holds whole numbers from 0 to 255; the network normalises them itself")
