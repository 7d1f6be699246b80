"""The Open Inference Protocol, version 2, over REST: what KServe and Triton clients speak.

A model takes either `image`, BYTES [-1] (encoded images), or `pixels`, UINT8 [-1, H, W, 3] (RGB, of exactly the
recognizer's size), and gives `scores`, FP32 [-1, classes], and `labels`, BYTES [-1] (the surest of each image).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response

from mingmu.core.errors import BadRequest
from mingmu.core.head import Scores
from mingmu.core.runtime import Pixels
from mingmu.serve import tensors
from mingmu.serve.attendance import together
from mingmu.serve.host import Seen, Served
from mingmu.serve.service import Call, Service

JSON = "application/json"
HEADER_LENGTH = "inference-header-content-length"


async def live(request: Request) -> Response:
    """The process answers."""
    return _json({"live": True})


async def ready(request: Request) -> Response:
    """Whether requests are taken: 200 after the first real inference, 503 from the moment the service is told to stop."""
    is_ready = _service(request).host.ready
    return _json({"ready": is_ready}, 200 if is_ready else 503)


async def server(request: Request) -> Response:
    """The server's name, version and extensions."""
    from importlib.metadata import version

    return _json({"name": "mingmu", "version": version("mingmu"), "extensions": ["binary_tensor_data", "classification"]})


async def model(request: Request) -> Response:
    """A model's inputs and outputs."""
    service = _service(request)
    served = await service.served(_reference(request), request.scope["visit"])
    versions = await service.host.look_up(service.host.store.versions, served.version.name)
    manifest = served.recognizer.manifest
    width, height = manifest.pixels.size
    return _json(
        {
            "name": served.version.name,
            "versions": [str(version.version) for version in versions],
            "platform": "mingmu_onnx",
            "inputs": [
                {"name": "image", "datatype": "BYTES", "shape": [-1]},
                {"name": "pixels", "datatype": "UINT8", "shape": [-1, height, width, 3]},
            ],
            "outputs": [
                {"name": "scores", "datatype": "FP32", "shape": [-1, len(manifest.labels)]},
                {"name": "labels", "datatype": "BYTES", "shape": [-1]},
            ],
        }
    )


async def model_ready(request: Request) -> Response:
    """Whether a model has proven itself; it is loaded if need be."""
    service = _service(request)
    served = await service.served(_reference(request), request.scope["visit"])
    return _json({"name": served.version.name, "ready": service.host.ready}, 200 if service.host.ready else 503)


async def infer(request: Request) -> Response:
    """Run images or pixels through a model. One bad image fails the request."""
    service = _service(request)
    async with service.call(request, _reference(request)) as call:
        served = await service.served(_reference(request), call.visit)
        wanted = await service.read(call, tensors.read_request, call.body, request.headers.get(HEADER_LENGTH))
        seen = await _see(service, served, call, wanted)
        scores = np.stack([each.reading.scores for each in seen])
        outputs = [_output(served, scores, name, how) for name, how in _requested(wanted.json)]
    head: dict[str, object] = {"model_name": served.version.name, "model_version": str(served.version.version)}
    if wanted.json.id:
        head["id"] = wanted.json.id
    body, header_length = tensors.write_response(head, outputs)
    if header_length is None:
        return Response(body, media_type=JSON)
    return Response(body, headers={HEADER_LENGTH: str(header_length)}, media_type="application/octet-stream")


async def _see(service: Service, served: Served, call: Call, wanted: tensors.Request) -> list[Seen]:
    if len(wanted.json.inputs) != 1:
        raise BadRequest("a request has one input: image or pixels")
    tensor = wanted.json.inputs[0]
    raw, most = wanted.raw.get(tensor.name), service.max_images
    if (tensor.name, tensor.datatype) == ("image", "BYTES"):
        images: Sequence[Any] | Pixels = await service.read(call, tensors.read_images, tensor, raw, most)
        see: Any = partial(service.host.see, turns=call.turns)
    elif (tensor.name, tensor.datatype) == ("pixels", "UINT8"):
        size = served.recognizer.manifest.pixels.size
        images = await service.read(call, tensors.read_pixels, tensor, raw, size, most)
        see = service.host.see_pixels
    else:
        raise BadRequest(f"input {tensor.name!r} {tensor.datatype!r} is unknown; there are image BYTES and pixels UINT8")
    call.visit.images = len(images)

    async def one(index: int) -> Seen:
        try:
            seen: Seen = await see(served, images[index], deadline=call.deadline)
        except BadRequest as error:
            service.telemetry.failed(call.visit, error.kind)
            raise BadRequest(f"image {index}: {error}") from error
        service.telemetry.saw(call.visit, seen)
        return seen

    return await together([one(index) for index in range(len(images))])


def _requested(json: tensors.InferJson) -> list[tuple[str, dict[str, Any]]]:
    """The outputs that are asked for, with their parameters; both if the request names none."""
    binary = json.parameters.get("binary_data_output", False)
    if not json.outputs:
        return [(name, {"binary_data": binary}) for name in ("scores", "labels")]
    return [(output.name, {"binary_data": binary} | output.parameters) for output in json.outputs]


def _output(served: Served, scores: Scores, name: str, how: dict[str, Any]) -> tensors.Output:
    """One output of scores, float32 [n, classes]. `classification` k gives BYTES [n, k], each "score:index:label"."""
    if any(key.startswith("shared_memory") for key in how):
        raise BadRequest(f"output {name!r}: shared memory is not supported")
    labels, binary, top = served.recognizer.manifest.labels, how["binary_data"] is True, how.get("classification", 0)
    if name == "labels":
        return tensors.Output(name, [len(scores)], [labels[i] for i in scores.argmax(axis=1)], binary)
    if name != "scores":
        raise BadRequest(f"output {name!r} is unknown; there are scores and labels")
    if not top:
        return tensors.Output(name, [*scores.shape], scores, binary)
    if type(top) is not int or not 1 <= top <= len(labels):
        raise BadRequest(f"output {name!r}: classification is a number from 1 to {len(labels)}")
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    texts = [f"{row[i]:f}:{i}:{labels[i]}" for row, best in zip(scores, order, strict=True) for i in best]
    return tensors.Output(name, [len(scores), top], texts, binary)


def _reference(request: Request) -> str:
    name, version = request.path_params["name"], request.path_params.get("version")
    return f"{name}@{version}" if version else str(name)


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type=JSON)
