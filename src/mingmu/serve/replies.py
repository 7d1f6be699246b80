"""What the routes have in common: where they find the store, how they read a form, and how they answer."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from mingmu.core.errors import BadRequest, UnsupportedBody
from mingmu.registry.jobs import Job
from mingmu.registry.store import Store
from mingmu.serve.bodies import check_json
from mingmu.serve.events import public
from mingmu.serve.service import Call, Service

JSON = "application/json"

Form = TypeVar("Form")


def service_of(request: HTTPConnection) -> Service:
    service: Service = request.app.state.service
    return service


def store_of(request: Request) -> Store:
    return service_of(request).host.store


def json_answer(content: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, JSON)


def accepted(job: Job, **about: str) -> Response:
    """202: a job will do it."""
    return json_answer(about | {"job": public(job)}, 202, {"location": f"/v1/jobs/{job.id}"})


async def submit(service: Service, verb: str, subject: str, arguments: dict[str, Any]) -> Job:
    """Queue a job; raises QueueFull."""
    jobs, most = service.host.store.jobs, service.settings.max_jobs
    return await asyncio.to_thread(lambda: jobs.submit(verb, subject, arguments, most=most))


def form_in(request: Request, call: Call, form: type[Form]) -> Form:
    """A JSON body; raises UnsupportedBody, BadRequest."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON:  # no form of a foreign web page can send this type
        raise UnsupportedBody(f"the content type {media_type[:100]!r} is not read; send {JSON} (curl: -H 'Content-Type: {JSON}')")
    check_json(call.body, 100)
    try:
        return TypeAdapter(form).validate_json(call.body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise BadRequest(f"JSON: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None
