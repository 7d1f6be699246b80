"""The calls of the gRPC service that run no images: health, metadata and the model repository.

Each is given its request and gives the fields of its response.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from mingmu.core.errors import BadRequest, NotFound
from mingmu.serve import inference
from mingmu.serve.rpc.protos import proto
from mingmu.serve.rpc.wire import value_of
from mingmu.serve.service import Service
from mingmu.serve.telemetry import Visit

Fields = dict[str, Any]
Handler = Callable[[Service, Any, Visit], Awaitable[Fields]]


async def check(service: Service, request: Any, visit: Visit) -> Fields:
    """gRPC's health check: whether requests are taken."""
    known = ("", proto("inference").service)
    if request.service not in known:
        raise NotFound(f"no service {request.service[:100]!r}; there is {known[1]}")
    return {"status": "SERVING" if service.ready else "NOT_SERVING"}


async def server_live(service: Service, request: Any, visit: Visit) -> Fields:
    return {"live": True}


async def server_ready(service: Service, request: Any, visit: Visit) -> Fields:
    return {"ready": service.ready}


async def server_metadata(service: Service, request: Any, visit: Visit) -> Fields:
    return {"name": "mingmu", "version": version("mingmu"), "extensions": (*inference.EXTENSIONS, "model_repository")}


async def model_ready(service: Service, request: Any, visit: Visit) -> Fields:
    """Whether a model has proven itself; it is loaded if need be."""
    await service.served(inference.reference(request.name, request.version), visit)
    return {"ready": service.ready}


async def model_metadata(service: Service, request: Any, visit: Visit) -> Fields:
    served = await service.served(inference.reference(request.name, request.version), visit)
    return asdict(await inference.about(service, served))


async def index(service: Service, request: Any, visit: Visit) -> Fields:
    """The recognizers that there are, each at its newest version; READY are those in memory, the others come at their first request."""
    host = service.host
    newest = await host.look_up(lambda: [host.store.resolve(name) for name in host.store.names()])
    models = []
    for found in newest:
        is_ready, problem = host.known(found.name) is not None, host.problems.get(found.name, "")
        if is_ready or not request.ready:
            state = "READY" if is_ready else "UNAVAILABLE"
            models.append({"name": found.name, "version": str(found.version), "state": state, "reason": problem})
    return {"models": models}


async def load(service: Service, request: Any, visit: Visit) -> Fields:
    """Load and prove a model now, not at its first request."""
    if request.parameters:
        given = ", ".join(sorted(request.parameters))[:100]
        raise BadRequest(f"models are loaded as they were sealed, without parameters; there are: {given}")
    await service.served(request.model_name, visit)
    return {}


async def unload(service: Service, request: Any, visit: Visit) -> Fields:
    """Drop a model from memory, in all its versions. Requests in work are answered; the next request loads it again."""
    parameters = {name: value_of(parameter) for name, parameter in request.parameters.items()}
    if parameters.pop("unload_dependents", False) or parameters:
        raise BadRequest("models are unloaded one by one, without parameters; a backbone leaves memory with the last of its heads")
    found = await service.host.look_up(service.host.store.resolve, request.model_name)
    service.host.forget(found.name)
    return {}


CALLS: Mapping[str, Handler] = {
    "ServerLive": server_live,
    "ServerReady": server_ready,
    "ServerMetadata": server_metadata,
    "ModelReady": model_ready,
    "ModelMetadata": model_metadata,
    "RepositoryIndex": index,
    "RepositoryModelLoad": load,
    "RepositoryModelUnload": unload,
}
