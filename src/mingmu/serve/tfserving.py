"""TensorFlow Serving's REST API, so that its clients need another address and nothing else.

An instance is an encoded image, `{"b64": …}`, or pixels, [H, W, 3] whole numbers from 0 to 255, of exactly the
recognizer's size; either may be named, `{"image_bytes": {"b64": …}}`, by whatever name its model had for it. The signature
`serving_default` gives the scores alone; `classification` gives `scores` and `classes`, which names them, in the same order.
Of a detector, `serving_default` gives `boxes` (left, top, right, bottom in pixels of the image), `scores` and `classes` of what it
found, and there is no other signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from mingmu.core.errors import BadRequest
from mingmu.core.recognizer import Reading
from mingmu.core.runtime import Pixels
from mingmu.registry.store import Version
from mingmu.serve import inference
from mingmu.serve.bodies import JSON, check_json, from_base64
from mingmu.serve.host import Host, Served
from mingmu.serve.oip_json import MAX_JSON_VALUES
from mingmu.serve.replies import service_of
from mingmu.serve.tensors import Tensor, bytes_in, pixels_in

Signature = Literal["serving_default", "classification"]
AVAILABLE = {"error_code": "OK", "error_message": ""}


class PredictJson(BaseModel):
    """A request for scores: `instances` gets them row by row, `inputs` column by column."""

    model_config = ConfigDict(strict=True, extra="forbid")

    signature_name: Signature = "serving_default"
    instances: list[Any] | None = None
    inputs: list[Any] | dict[str, list[Any]] | None = None


class ClassifyJson(BaseModel):
    """A request for labels and their scores; each example has one feature, the image."""

    model_config = ConfigDict(strict=True, extra="forbid")

    signature_name: Signature = "classification"
    context: Annotated[dict[str, Any], Field(max_length=0)] = {}
    examples: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request, and its images or pixels."""

    said: PredictJson | ClassifyJson
    images: Sequence[bytes] | Pixels


async def predict(request: Request) -> Response:
    """The scores of images or pixels, as TensorFlow Serving gives them. One bad image fails the request."""
    served, said, readings = await _run(request, PredictJson)
    key, names = "outputs" if said.instances is None else "predictions", served.recognizer.manifest.labels
    if served.recognizer.manifest.finds:
        things = [asdict(inference.things_in(served.recognizer.interpret(reading))) for reading in readings]
        for each in things:
            each["classes"] = each.pop("labels")
        return _json({key: things if key == "predictions" else {name: [each[name] for each in things] for name in things[0]}})
    scores = inference.scores_of(readings)
    if said.signature_name == "serving_default":
        return _json({key: scores})
    if key == "outputs":
        return _json({key: {"scores": scores, "classes": [names] * len(scores)}})
    return _json({key: [{"scores": row, "classes": names} for row in scores]})


async def classify(request: Request) -> Response:
    """The labels of images or pixels, the surest first, as TensorFlow Serving gives them. One bad image fails the request."""
    served, _, readings = await _run(request, ClassifyJson)
    scores = inference.scores_of(readings)
    names = served.recognizer.manifest.labels
    order = np.argsort(-scores, axis=1, kind="stable")
    return _json({"results": [[(names[i], row[i]) for i in best] for row, best in zip(scores.tolist(), order.tolist(), strict=True)]})


async def status(request: Request) -> Response:
    """The versions of a model. One that does not prove itself is not available, and says why."""
    host, about = service_of(request).host, request.path_params
    if reference := about.get("version") or about.get("label"):
        versions = [await host.look_up(host.store.resolve, inference.reference(about["name"], reference))]
    else:
        await host.look_up(host.store.resolve, about["name"])  # raises NotFound
        versions = [*reversed(await host.look_up(host.store.versions, about["name"]))]
    newest = (await host.look_up(host.store.resolve, about["name"])).version
    return _json({"model_version_status": [_status(host, version, version.version == newest) for version in versions]})


def _status(host: Host, version: Version, is_newest: bool) -> dict[str, Any]:
    problem = host.problems.get(version.name) if is_newest else None
    state, how = ("END", {"error_code": "INTERNAL", "error_message": problem}) if problem else ("AVAILABLE", AVAILABLE)
    return {"version": str(version.version), "state": state, "status": how}


async def metadata(request: Request) -> Response:
    """A model's signatures: what it takes and gives."""
    served = await service_of(request).served(_reference(request), request.scope["visit"])
    spec = {"name": served.version.name, "signature_name": "", "version": str(served.version.version)}
    manifest = served.recognizer.manifest
    finds, classes = manifest.finds, _tensor("classes", "DT_STRING", -1, -1)
    scores = _tensor("scores", "DT_FLOAT", -1, -1 if finds else len(manifest.labels))
    signatures = {
        "serving_default": _signature({"scores": scores}, "tensorflow/serving/predict"),
        "classification": _signature({"scores": scores, "classes": classes}, "tensorflow/serving/classify"),
    }
    if finds:
        found = {"boxes": _tensor("boxes", "DT_FLOAT", -1, -1, 4), "scores": scores, "classes": classes}
        signatures = {"serving_default": _signature(found, "tensorflow/serving/predict")}
    return _json({"model_spec": spec, "metadata": {"signature_def": {"signature_def": signatures}}})


def _signature(outputs: dict[str, Any], method: str) -> dict[str, Any]:
    return {"inputs": {"image_bytes": _tensor("image_bytes", "DT_STRING", -1)}, "outputs": outputs, "method_name": method}


def _tensor(name: str, dtype: str, *shape: int) -> dict[str, Any]:
    dimensions = [{"size": str(size), "name": ""} for size in shape]
    return {"dtype": dtype, "tensor_shape": {"dim": dimensions, "unknown_rank": False}, "name": f"{name}:0"}


async def _run(request: Request, form: type[PredictJson | ClassifyJson]) -> tuple[Served, Any, list[Reading]]:
    service = service_of(request)
    async with service.call(request, _reference(request)) as call:
        served = await service.served(_reference(request), call.visit)
        size = served.recognizer.manifest.pixels.size
        wanted = await service.read(call, _read, call.body, form, size, service.max_images)
        if served.recognizer.manifest.finds and wanted.said.signature_name != "serving_default":
            raise BadRequest(f"{served.version.name} finds places, it is no classifier; ask :predict, with the signature serving_default")
        return served, wanted.said, await inference.see(service, call, served, wanted.images)


def _read(body: bytes, form: type[PredictJson | ClassifyJson], size: tuple[int, int], max_images: int) -> Wanted:
    """Take a body apart; raises BadRequest. The content type is not looked at: TensorFlow Serving's clients send any."""
    check_json(body, MAX_JSON_VALUES + MAX_JSON_VALUES // 2)
    try:
        said = form.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"JSON: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise BadRequest(f"JSON: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None
    where, given = _instances(said)
    if not 1 <= len(given) <= max_images:
        raise BadRequest(f"{where} holds {len(given)} images; 1 to {max_images} are allowed (settings: max_images, max_queue)")
    if all(isinstance(each, dict) and each.keys() == {"b64"} and isinstance(each["b64"], str) for each in given):
        return Wanted(said, [from_base64(each["b64"], f"{where}.{i}.b64") for i, each in enumerate(given)])
    if not all(isinstance(each, list) for each in given):
        raise BadRequest(f'{where} holds images, all as {{"b64": …}}, or all as pixels in nested lists')
    shape, values = bytes_in(given, where)
    return Wanted(said, pixels_in(Tensor(where, "UINT8", shape, values), size, max_images))


def _instances(said: PredictJson | ClassifyJson) -> tuple[str, list[Any]]:
    """Where the images are, and what is there, without the name of the input."""
    if isinstance(said, ClassifyJson):
        return "examples", [_unnamed(each, f"examples.{i}") for i, each in enumerate(said.examples)]
    if (said.instances is None) == (said.inputs is None):
        raise BadRequest("a request has either instances or inputs")
    if said.instances is not None:
        return "instances", [_unnamed(each, f"instances.{i}") for i, each in enumerate(said.instances)]
    return "inputs", _unnamed(said.inputs, "inputs")


def _unnamed(value: Any, where: str) -> Any:
    """What is under the one name of an object; what has no name stays as it is. Raises BadRequest for several names."""
    if not isinstance(value, dict) or value.keys() == {"b64"}:
        return value
    if len(value) != 1:
        raise BadRequest(f"{where} names {len(value)} inputs; there is one, the image")
    return next(iter(value.values()))


def _reference(request: Request) -> str:
    about = request.path_params
    return inference.reference(about["name"], about.get("version") or about.get("label"))


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), media_type=JSON)


MODEL = "/v1/models/{name}"
ENDPOINTS = (("GET", "", status), ("GET", "/metadata", metadata), ("POST", ":predict", predict), ("POST", ":classify", classify))
ROUTES: list[tuple[str, str, Any]] = [
    (method, path + end, endpoint)
    for path in (MODEL, MODEL + "/versions/{version}", MODEL + "/labels/{label}")
    for method, end, endpoint in ENDPOINTS
]
