"""Takes inference messages of the gRPC service apart, in bounded memory, and puts the answers together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from mingmu.core.errors import BadRequest
from mingmu.registry.store import Version
from mingmu.serve.inference import check_memory, reference
from mingmu.serve.rpc.protos import proto
from mingmu.serve.tensors import Asked, Inference, Output, Tensor

MAX_MESSAGE_BYTES = 65_536  # of all requests but those for inference
MAX_FIELDS = 1024  # besides one for each image
MAX_TYPED_BYTES = 2**21  # of the numbers of one tensor, unless they are sent raw

Room = Mapping[int, "int | Room"]
FEW = 4096  # bytes of a field that is not named below
ALL = 2**31
ROOM: Room = {5: {5: {1: MAX_TYPED_BYTES, 4: MAX_TYPED_BYTES, 8: ALL}}, 7: ALL}  # of inputs.contents.*_contents, raw_input_contents


@dataclass(frozen=True, slots=True)
class Received:
    """A request for inference."""

    reference: str
    inference: Inference
    raw: bool  # its tensors were sent as raw bytes, so the answer's are too


def message_in(data: bytes, kind: Any) -> Any:
    """A message of this class; raises BadRequest."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise BadRequest(f"the message has {len(data)} bytes; one of this kind has {MAX_MESSAGE_BYTES} at most")
    return _parse(data, kind)


def _parse(data: bytes, kind: Any) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise BadRequest(f"the message is no {kind.DESCRIPTOR.name}: {error}") from None


def read_infer(data: bytes, max_images: int) -> Received:
    """Take a ModelInferRequest apart; raises BadRequest.

    A few bytes of protobuf can stand for very much memory, so its fields are counted before it is parsed.
    """
    _check(memoryview(data), ROOM, MAX_FIELDS + max_images)
    message = _parse(data, proto("inference").messages["ModelInferRequest"])
    raw = [*message.raw_input_contents]
    if raw and len(raw) != len(message.inputs):
        raise BadRequest(f"raw_input_contents has {len(raw)} elements for {len(message.inputs)} inputs; it has one for each")
    inputs = [_tensor(tensor, raw[i] if raw else None) for i, tensor in enumerate(message.inputs)]
    asked = [Asked(output.name, _parameters(output)) for output in message.outputs]
    return Received(reference(message.model_name, message.model_version), Inference(inputs, asked, message.id), bool(raw))


def _check(data: memoryview, room: Room, left: int) -> int:
    """Raise BadRequest where a message has more or longer fields than a good request; gives how many it might have had more."""
    at = 0
    while at < len(data):
        if not left:
            raise BadRequest(f"the message has more than {MAX_FIELDS} fields; large tensors are sent as raw_input_contents")
        left -= 1
        key, at = _varint(data, at)
        number, kind = divmod(key, 8)
        match kind:
            case 0:
                _, at = _varint(data, at)
            case 1 | 5:
                at += 8 if kind == 1 else 4
            case 2:
                size, at = _varint(data, at)
                most = room.get(number, FEW)
                if not isinstance(most, int):
                    left = _check(data[at : at + size], most, left)
                elif size > most:
                    raise BadRequest(
                        f"field {number} of the message has {size} bytes; the limit is {most}; large tensors are sent as raw_input_contents"
                    )
                at += size
            case _:
                raise BadRequest("the message is no ModelInferRequest: it has fields of an unknown kind")
    return left


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of up to ten bytes, seven bits in each, and where it ends."""
    value = 0
    for shift, byte in enumerate(data[at : at + 10]):
        value |= (byte & 127) << 7 * shift
        if byte < 128:
            return value, at + shift + 1
    raise BadRequest("the message is no ModelInferRequest: it is cut short")


def _tensor(tensor: Any, raw: bytes | None) -> Tensor:
    check_memory(f"input {tensor.name[:100]!r}", _parameters(tensor))
    if not 1 <= len(tensor.shape) <= 8:
        raise BadRequest(f"input {tensor.name[:100]!r} has {len(tensor.shape)} dimensions; it has 1 to 8")
    if raw is not None and tensor.HasField("contents"):
        raise BadRequest(f"input {tensor.name[:100]!r} has both contents and raw_input_contents")
    data = _typed(tensor) if raw is None else raw
    return Tensor(tensor.name, tensor.datatype, [*tensor.shape], data)


def _typed(tensor: Any) -> bytes | list[bytes]:
    """The values of a tensor that are not sent raw."""
    if tensor.datatype == "BYTES":
        return [*tensor.contents.bytes_contents]
    if tensor.datatype != "UINT8":
        return b""
    values = np.fromiter(tensor.contents.uint_contents, np.uint32)
    if values.max(initial=0) > 255:
        raise BadRequest(f"input {tensor.name[:100]!r}: uint_contents holds whole numbers from 0 to 255")
    return values.astype(np.uint8).tobytes()


def _parameters(message: Any) -> dict[str, Any]:
    return {name: value_of(parameter) for name, parameter in message.parameters.items()}


def value_of(parameter: Any) -> Any:
    """What an InferParameter or a ModelRepositoryParameter holds."""
    chosen = parameter.WhichOneof("parameter_choice")
    return getattr(parameter, chosen) if chosen else None


def infer_response(received: Received, version: Version, outputs: Sequence[Output]) -> Any:
    """A ModelInferResponse; its tensors are raw if those of the request were."""
    response = proto("inference").messages["ModelInferResponse"]
    message = response(model_name=version.name, model_version=str(version.version), id=received.inference.id)
    for output in outputs:
        tensor = message.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        if received.raw:
            message.raw_output_contents.append(output.raw())
        elif isinstance(output.values, np.ndarray):
            tensor.contents.fp32_contents.extend(output.values.ravel().tolist())
        else:
            tensor.contents.bytes_contents.extend(value.encode() for value in output.values)
    return message
