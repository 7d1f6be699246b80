"""What all doors share that take tensors: images or pixels in, scores and labels out, whatever the protocol.

A model takes either `image`, BYTES [-1] (encoded images), or `pixels`, UINT8 [-1, H, W, 3] (RGB, of exactly the
recognizer's size). A classifier gives `scores`, FP32 [-1, classes], and `labels`, BYTES [-1] (the surest of each image). A
detector gives what it found, the surest first: `boxes`, FP32 [-1, things, 4] (left, top, right, bottom in pixels of the image),
`scores`, FP32 [-1, things], and `labels`, BYTES [-1, things]; a reader of text or plates likewise, its labels are the texts. Images with
fewer things than others are filled up with zeros and empty labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mingmu.core.answers import Answer, Labels
from mingmu.core.errors import BadRequest
from mingmu.core.head import Scores
from mingmu.core.manifest import Manifest
from mingmu.core.recognizer import Reading
from mingmu.core.runtime import Pixels
from mingmu.serve.attendance import together
from mingmu.serve.host import Seen, Served
from mingmu.serve.service import Call, Service
from mingmu.serve.tensors import OUTPUTS, Asked, Inference, Output, Tensor, images_in, pixels_in

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
        _described(manifest),
    )


def _described(manifest: Manifest) -> tuple[Described, ...]:
    if manifest.finds:
        return Described("boxes", "FP32", [-1, -1, 4]), Described("scores", "FP32", [-1, -1]), Described("labels", "BYTES", [-1, -1])
    return Described("scores", "FP32", [-1, len(manifest.labels)]), Described("labels", "BYTES", [-1])


def reference(name: str, version: str | None) -> str:
    """How a model and its version, or alias, are written as one."""
    return f"{name}@{version}" if version else name


async def infer(service: Service, call: Call, served: Served, wanted: Inference) -> list[Output]:
    """Run one request's images or pixels through a model; raises BadRequest."""
    readings = await see(service, call, served, _given(wanted.inputs, served, service.max_images))
    asked = wanted.asked(served.recognizer.manifest.task)
    if served.recognizer.manifest.finds:
        return _things(served, readings, asked)
    scores = scores_of(readings)
    return [_output(served, scores, each.name, each.parameters) for each in asked]


def scores_of(readings: Sequence[Reading]) -> Scores:
    """What a classifier read, float32 [n, classes]."""
    return np.stack([reading.scores for reading in readings])


async def see(service: Service, call: Call, served: Served, images: Sequence[bytes] | Pixels) -> list[Reading]:
    """What is read off encoded images, or off uint8 [n, H, W, 3]. One bad image fails the request."""
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

    return [seen.reading for seen in await together([one(index) for index in range(len(images))])]


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
        return Output(name, [len(scores)], [labels[i] for i in scores.argmax(axis=1)], how)
    if name != "scores":
        raise BadRequest(f"output {name[:100]!r} is unknown; there are {' and '.join(OUTPUTS['classify'])}")
    if not top:
        return Output(name, [*scores.shape], scores, how)
    if type(top) is not int or not 1 <= top <= len(labels):
        raise BadRequest(f"output {name!r}: classification is a number from 1 to {len(labels)}")
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    texts = [f"{row[i]:f}:{i}:{labels[i]}" for row, best in zip(scores, order, strict=True) for i in best]
    return Output(name, [len(scores), top], texts, how)


def _things(served: Served, readings: Sequence[Reading], asked: Sequence[Asked]) -> list[Output]:
    """The outputs of a detector."""
    found = [things_in(served.recognizer.interpret(reading)) for reading in readings]
    most = max(len(things.scores) for things in found)
    boxes, scores = np.zeros((len(found), most, 4), np.float32), np.zeros((len(found), most), np.float32)
    labels: list[str] = []
    for i, things in enumerate(found):
        boxes[i, : len(things.scores)], scores[i, : len(things.scores)] = things.boxes, things.scores
        labels += [*things.labels, *[""] * (most - len(things.labels))]
    outputs: dict[str, tuple[list[int], NDArray[np.float32] | list[str]]] = {
        "boxes": ([*boxes.shape], boxes),
        "scores": ([*scores.shape], scores),
        "labels": ([*scores.shape], labels),
    }
    for each in asked:
        check_memory(f"output {each.name[:100]!r}", each.parameters)
        if each.name not in outputs:
            raise BadRequest(f"output {each.name[:100]!r} is unknown; there are {', '.join(outputs)}")
        if each.parameters.get("classification"):
            raise BadRequest(f"output {each.name!r}: a detector has no classification; its labels are an output of their own")
    return [Output(each.name, *outputs[each.name], each.parameters) for each in asked]


@dataclass(frozen=True, slots=True)
class Things:
    """What a detector found in one image, the surest first."""

    boxes: NDArray[np.float32]  # [n, 4] left, top, right, bottom in pixels of the image
    scores: list[float]
    labels: list[str]


def things_in(answer: Answer) -> Things:
    boxes = () if isinstance(answer, Labels) else answer.boxes
    corners = [(box.x, box.y, box.x + box.width, box.y + box.height) for box in boxes]
    return Things(np.array(corners, np.float32).reshape(-1, 4), [box.score for box in boxes], [box.label for box in boxes])


def check_memory(where: str, parameters: Mapping[str, Any]) -> None:
    """Raise BadRequest where a tensor is to lie in memory that is shared with the client."""
    if any(name.startswith("shared_memory") for name in parameters):
        raise BadRequest(f"{where}: shared memory is not supported")
