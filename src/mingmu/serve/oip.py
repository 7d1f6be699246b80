"""The Open Inference Protocol, version 2, over REST: what KServe and Triton clients speak."""

from __future__ import annotations

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response

from mingmu.serve import inference
from mingmu.serve.oip_json import read_request, write_response
from mingmu.serve.replies import JSON, json_answer, service_of

HEADER_LENGTH = "inference-header-content-length"


async def live(request: Request) -> Response:
    """The process answers."""
    return json_answer({"live": True})


async def ready(request: Request) -> Response:
    """Whether requests are taken: 200 after the first real inference, 503 from the moment the service is told to stop."""
    is_ready = service_of(request).ready
    return json_answer({"ready": is_ready}, 200 if is_ready else 503)


async def server(request: Request) -> Response:
    """The server's name, version and extensions."""
    from importlib.metadata import version

    return json_answer({"name": "mingmu", "version": version("mingmu"), "extensions": inference.EXTENSIONS})


async def model(request: Request) -> Response:
    """A model's inputs and outputs."""
    service = service_of(request)
    about = await inference.about(service, await service.served(_reference(request), request.scope["visit"]))
    return json_answer(asdict(about))


async def model_ready(request: Request) -> Response:
    """Whether a model has proven itself; it is loaded if need be."""
    service = service_of(request)
    served = await service.served(_reference(request), request.scope["visit"])
    return json_answer({"name": served.version.name, "ready": service.ready}, 200 if service.ready else 503)


async def infer(request: Request) -> Response:
    """Run images or pixels through a model. One bad image fails the request."""
    service = service_of(request)
    async with service.call(request, _reference(request)) as call:
        served = await service.served(_reference(request), call.visit)
        wanted = await service.read(call, read_request, call.body, request.headers.get(HEADER_LENGTH))
        outputs = await inference.infer(service, call, served, wanted)
    head: dict[str, object] = {"model_name": served.version.name, "model_version": str(served.version.version)}
    body, header_length = write_response(head | ({"id": wanted.id} if wanted.id else {}), outputs)
    if header_length is None:
        return Response(body, media_type=JSON)
    return Response(body, headers={HEADER_LENGTH: str(header_length)}, media_type="application/octet-stream")


def _reference(request: Request) -> str:
    return inference.reference(request.path_params["name"], request.path_params.get("version"))
