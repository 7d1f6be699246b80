"""The routes by which jobs are followed and cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mingmu.core.errors import BadRequest, NotFound
from mingmu.serve.events import Streams, public
from mingmu.serve.queries import Page
from mingmu.serve.replies import json_answer, store_of


def jobs(request: Request) -> Response:
    """The jobs, the newest first."""
    page = Page.of(request)
    found = store_of(request).jobs.newest(page.number, page.wanted)
    return json_answer(page.show("jobs", found, public, lambda job: job.id))


def job(request: Request) -> Response:
    """How a job stands, or what came of it."""
    return json_answer(public(store_of(request).jobs.get(_number(request))))


async def job_events(request: Request) -> Response:
    """What happens to a job, as server-sent events; `end` is the last and holds the job."""
    streams: Streams = request.app.state.streams
    number, after = _number(request), request.headers.get("last-event-id", "0")
    if not (after.isascii() and after.isdecimal() and len(after) <= 9):
        raise BadRequest(f"Last-Event-ID is {after[:20]!r}; it is the id of an event")
    await asyncio.to_thread(store_of(request).jobs.get, number)
    return streams.response(number, int(after))


def cancel_job(request: Request) -> Response:
    """Ask that a job ends; one that runs takes a moment to do so."""
    return json_answer(public(store_of(request).jobs.cancel(_number(request))))


ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/v1/jobs", jobs),
    ("GET", "/v1/jobs/{id}", job),
    ("DELETE", "/v1/jobs/{id}", cancel_job),
    ("GET", "/v1/jobs/{id}/events", job_events),
]


def _number(request: Request) -> int:
    given = request.path_params["id"]
    if not (given.isascii() and given.isdecimal() and len(given) <= 9):
        raise NotFound(f"no job {given[:20]!r}; a job is named by its number")
    return int(given)
