"""Tells what happens to a job as it happens: server-sent events (HTML Standard, section 9.2)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import orjson
from starlette.responses import StreamingResponse

from mingmu.core.errors import QueueFull
from mingmu.registry.jobs import Job, Jobs
from mingmu.serve.admission import Admission

MOST_STREAMS = 64  # at a time
AT_ONCE = 200  # events
PAUSE = 0.25  # seconds between looks
HEARTBEAT = 10.0  # seconds of silence until a comment says that we are still there
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}  # nginx would hold events back


def public(job: Job) -> dict[str, Any]:
    """A job as clients see it."""
    error = None if job.error is None else dict(job.error)
    shown = {"id": job.id, "verb": job.verb, "subject": job.subject, "state": job.state, "cancelling": job.cancelling}
    shown |= {"attempts": job.attempts, "step": job.step, "share": job.share, "result": job.result, "error": error}
    return shown | {"created": job.created, "started": job.started, "finished": job.finished}


class Streams:
    """The streams that are open; each ends with its job, with its client, or with the service."""

    def __init__(self, jobs: Jobs, admission: Admission) -> None:
        self._jobs = jobs
        self._admission = admission
        self._open = 0

    def response(self, number: int, after: int) -> StreamingResponse:
        """What happened to a job since an event, and what still happens. Raises QueueFull."""
        if self._open >= MOST_STREAMS:
            raise QueueFull(f"{self._open} clients already follow jobs; that is the limit. Ask for the job itself now and then")
        return StreamingResponse(self._counted(number, after), media_type="text/event-stream", headers=HEADERS)

    async def _counted(self, number: int, after: int) -> AsyncGenerator[bytes]:
        self._open += 1
        try:
            async with aclosing(_events(self._jobs, self._admission, number, after)) as events:
                async for event in events:
                    yield event
        finally:
            self._open -= 1


async def _events(jobs: Jobs, admission: Admission, number: int, after: int) -> AsyncGenerator[bytes]:
    revision, said = -1, time.monotonic()
    while not admission.closing:
        seen, revision = revision, await asyncio.to_thread(jobs.revision)
        if revision != seen:
            job = await asyncio.to_thread(jobs.get, number)  # before its events: of a job that is over, all are there
            while events := await asyncio.to_thread(jobs.events, number, after, AT_ONCE):
                for event in events:
                    yield _event(event.kind, event.data, event.id)
                after, said = events[-1].id, time.monotonic()
            if job.over:
                yield _event("end", public(job))
                return
        if time.monotonic() - said > HEARTBEAT:
            yield b": still here\n\n"
            said = time.monotonic()
        await asyncio.sleep(PAUSE)


def _event(kind: str, data: Mapping[str, Any], number: int | None = None) -> bytes:
    line = b"" if number is None else b"id: %d\n" % number
    return line + b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps(data))
