"""What all routes share: the host, who is let in, the metrics, and the way a request comes in."""

from __future__ import annotations

import asyncio
import gc
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from starlette.requests import Request

from mingmu.core.answers import ANY
from mingmu.core.errors import BadRequest
from mingmu.serve.admission import Admission
from mingmu.serve.attendance import attended
from mingmu.serve.bodies import Take, read_body
from mingmu.serve.fetch import Fetch
from mingmu.serve.host import Host, Served
from mingmu.serve.telemetry import Telemetry, Visit
from mingmu.settings import Settings

TIMEOUT_HEADER = "x-request-timeout-ms"
MAX_TIMEOUT_MS = 600_000
SMALL_BODY = 65_536  # bytes; to take one apart costs less than to hand it to another thread

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has been let in, with its body read."""

    body: bytes
    deadline: float  # a time of time.monotonic()
    take: Take  # takes memory for more bytes
    visit: Visit
    turns: asyncio.Semaphore  # of its images at the decoders


@dataclass(frozen=True, slots=True)
class Service:
    """One service: everything its routes need."""

    settings: Settings
    host: Host
    telemetry: Telemetry
    admission: Admission
    fetch: Fetch
    # One thread: several would hold Python's lock in turn, and the event loop would wait for all of them
    _reader: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, 1, thread_name_prefix="read"))

    @property
    def ready(self) -> bool:
        """Whether requests are answered now."""
        return self.host.ready and not self.admission.closing

    @property
    def max_images(self) -> int:
        """Most images in one request: no more than may wait, or it would be refused for ever."""
        return min(self.settings.max_images, self.settings.max_queue)

    @asynccontextmanager
    async def call(self, request: Request, reference: str = "") -> AsyncIterator[Call]:
        """Let a request in, read its body, and run the block while its client is there and its time lasts.

        The client's own deadline counts from the arrival of the request's head, so it covers a slow upload too;
        the default one counts from the end of the body, for until then the time is the client's. The recognizer of
        `reference` is noted even for a request that is refused, if it is known already.
        """
        visit: Visit = request.scope["visit"]
        if known := self.host.known(reference):
            visit.meets(known)
        with self.admission.admitted() as take:
            deadline = visit.arrived + timeout_of(request.headers)
            body = await read_body(request.receive, request.headers, self.settings, take, deadline)
            visit.bytes = len(body)
            if deadline == math.inf:
                deadline = time.monotonic() + self.settings.request_timeout
            with self.admission.working():
                async with attended(request.receive, deadline):
                    yield Call(body, deadline, take, visit, self.host.turns())

    async def read(self, call: Call, parse: Callable[..., T], *args: object) -> T:
        """What `parse` makes of a request's JSON; large ones are taken apart beside the event loop, one after the other."""
        if len(call.body) <= SMALL_BODY:
            return parse(*args)
        return await asyncio.get_running_loop().run_in_executor(self._reader, _undisturbed, parse, args)

    async def served(self, reference: str, visit: Visit) -> Served:
        """The recognizer that a request asks for; noted for its log line. Raises Conflict for one that answers nothing by itself."""
        served = await self.host.served(reference)
        visit.meets(served)
        served.recognizer.check(ANY)
        return served


def _undisturbed(parse: Callable[..., T], args: tuple[object, ...]) -> T:
    """Call `parse` without garbage collections: JSON has no cycles, and to look for some takes longer than all the rest."""
    gc.disable()
    try:
        return parse(*args)
    finally:
        gc.enable()


def timeout_of(headers: Mapping[str, str]) -> float:
    """The seconds a client gives its request; infinity if it does not say."""
    given = headers.get(TIMEOUT_HEADER)
    if given is None:
        return math.inf
    if not (given.isascii() and given.isdecimal() and len(given) <= 6 and 1 <= int(given) <= MAX_TIMEOUT_MS):
        raise BadRequest(f"X-Request-Timeout-Ms is {given[:20]!r}; it is a whole number from 1 to {MAX_TIMEOUT_MS}")
    return int(given) / 1e3
