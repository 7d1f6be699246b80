"""What all doors share that take tensors: images or pixels in, scores and labels out, whatever the protocol.

A model takes either `image`, BYTES [-1] (encoded images), or `pixels`, UINT8 [-1, H, W, 3] (RGB, of exactly the
recognizer's size), and gives `scores`, FP32 [-1, classes], and `labels`, BYTES [-1] (the surest of each image).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mingmu.core.errors import BadRequest
from mingmu.core.head import Scores
from mingmu.core.runtime import Pixels
from mingmu.serve.attendance import together
from mingmu.serve.host import Seen, Served
from mingmu.serve.service import Call, Service
from mingmu.serve.tensors import OUTPUTS, Inference, Output, Tensor, images_in, pixels_in

EXTENSIONS = ("binary_tensor_data", "classification")


@dataclass(frozen=True, slots=True)
class Described:
    """A tensor that a model takes or gives; -1 is any number of images."""

    name: str
    datatype: str
    shape: list[int]


@dataclass(frozen=True, slots=True)
class About:
    """A model's inputs, of which a request has one, and outputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: tuple[Described, ...]
    outputs: tuple[Described, ...]


async def about(service: Service, served: Served) -> About:
    """What a model takes and gives."""
    versions = await service.host.look_up(service.host.store.versions, served.version.name)
    manifest = served.recognizer.manifest
    width, height = manifest.pixels.size
    return About(
        served.version.name,
        [str(version.version) for version in versions],
        "mingmu_onnx",
        (Described("image", "BYTES", [-1]), Described("pixels", "UINT8", [-1, height, width, 3])),
        (Described("scores", "FP32", [-1, len(manifest.labels)]), Described("labels", "BYTES", [-1])),
    )


def reference(name: str, version: str | None) -> str:
    """How a model and its version, or alias, are written as one."""
    return f"{name}@{version}" if version else name


async def infer(service: Service, call: Call, served: Served, wanted: Inference) -> list[Output]:
    """Run one request's images or pixels through a model; raises BadRequest."""
    scores = await see(service, call, served, _given(wanted.inputs, served, service.max_images))
    return [_output(served, scores, asked.name, asked.parameters) for asked in wanted.outputs]


async def see(service: Service, call: Call, served: Served, images: Sequence[bytes] | Pixels) -> Scores:
    """The scores, float32 [n, classes], of encoded images, or of uint8 [n, H, W, 3]. One bad image fails the request."""
    call.visit.images = len(images)

    async def one(index: int) -> Seen:
        image = images[index]
        try:
            if isinstance(image, bytes):
                seen = await service.host.see(served, image, deadline=call.deadline, turns=call.turns)
            else:
                seen = await service.host.see_pixels(served, image, deadline=call.deadline)
        except BadRequest as error:
            service.telemetry.failed(call.visit, error.kind)
            raise type(error)(f"image {index}: {error}") from error
        service.telemetry.saw(call.visit, seen)
        return seen

    return np.stack([seen.reading.scores for seen in await together([one(index) for index in range(len(images))])])


def _given(inputs: Sequence[Tensor], served: Served, max_images: int) -> Sequence[bytes] | Pixels:
    if len(inputs) != 1:
        raise BadRequest("a request has one input: image or pixels")
    tensor = inputs[0]
    if (tensor.name, tensor.datatype) == ("image", "BYTES"):
        return images_in(tensor, max_images)
    if (tensor.name, tensor.datatype) == ("pixels", "UINT8"):
        return pixels_in(tensor, served.recognizer.manifest.pixels.size, max_images)
    raise BadRequest(f"input {tensor.name[:100]!r} {tensor.datatype[:100]!r} is unknown; there are image BYTES and pixels UINT8")


def _output(served: Served, scores: Scores, name: str, how: Mapping[str, Any]) -> Output:
    """One output of scores, float32 [n, classes]. `classification` k gives BYTES [n, k], each "score:index:label"."""
    check_memory(f"output {name[:100]!r}", how)
    labels, top = served.recognizer.manifest.labels, how.get("classification", 0)
    if name == "labels":
        return Output(name, [len(scores)], [labels[i] for i in scores.argmax(axis=1)])
    if name != "scores":
        raise BadRequest(f"output {name[:100]!r} is unknown; there are {' and '.join(OUTPUTS)}")
    if not top:
        return Output(name, [*scores.shape], scores)
    if type(top) is not int or not 1 <= top <= len(labels):
        raise BadRequest(f"output {name!r}: classification is a number from 1 to {len(labels)}")
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    texts = [f"{row[i]:f}:{i}:{labels[i]}" for row, best in zip(scores, order, strict=True) for i in best]
    return Output(name, [len(scores), top], texts)


def check_memory(where: str, parameters: Mapping[str, Any]) -> None:
    """Raise BadRequest where a tensor is to lie in memory that is shared with the client."""
    if any(name.startswith("shared_memory") for name in parameters):
        raise BadRequest(f"{where}: shared memory is not supported")
