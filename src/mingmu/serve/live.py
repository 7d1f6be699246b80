"""Answers a live picture over a WebSocket: the newest frame is looked at, those that came in the meantime are dropped."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from mingmu.core.errors import BadRequest, DeadlineExceeded, MingmuError, Overloaded, QueueFull, SlowBody, UnsupportedBody
from mingmu.serve.live_protocol import RESTART
from mingmu.serve.problems import Problem
from mingmu.serve.replies import service_of
from mingmu.serve.service import Call, Service
from mingmu.serve.telemetry import Visit

log = logging.getLogger("mingmu.serve")

MOST_STREAMS = 256  # open at a time
DROPPED = "dropped"  # the kind under which metrics count frames that nobody looked at
MAX_REASON = 120  # bytes of a closing reason: RFC 6455, section 5.5
CODES: dict[type[MingmuError], int] = {UnsupportedBody: 1003, SlowBody: 1008, Overloaded: RESTART, QueueFull: 1013}

Look = Callable[[Call], Awaitable[dict[str, Any]]]


class Live:
    """The streams that are open."""

    def __init__(self) -> None:
        self._open = 0

    async def follow(self, socket: WebSocket, look: Look) -> None:
        """Accept a client and answer its frames until it leaves, or the service does. Raises QueueFull, Overloaded, BadRequest."""
        service = service_of(socket)
        _check_origin(socket)
        if service.admission.closing:
            raise Overloaded("the service is shutting down")
        if self._open >= MOST_STREAMS:
            raise QueueFull(f"{self._open} streams are open already; that is the limit")
        self._open += 1
        try:
            await socket.accept()
            await _Stream(socket, service, look).run()
        finally:
            self._open -= 1


def _check_origin(socket: WebSocket) -> None:
    """Let no page of another site ask in the name of whoever looks at it (RFC 6455, section 10.2); programs send no origin."""
    origin = socket.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != socket.headers.get("host", "").lower():
        raise BadRequest(f"a page of {origin[:100]} may open no stream here; only one of this very address may")


@dataclass(frozen=True, slots=True)
class _Frame:
    number: int  # of those that came
    dropped: int  # since the one before that was looked at
    data: bytes
    came: float  # a time of time.monotonic()


class _Newest:
    """The frame that waits: the newest one, for each that comes takes the place of the one before."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._memory = ExitStack()  # what the frame takes
        self._changed = asyncio.Event()
        self._frame: _Frame | None = None
        self._ended = False
        self.count = 0  # frames that came

    def put(self, data: bytes) -> None:
        """Raises QueueFull if there is no memory for it."""
        self.count += 1
        self._memory.close()
        self._memory.enter_context(self._service.admission.budget.hold())(len(data))
        dropped = self._frame.dropped + 1 if self._frame else 0
        self._frame = _Frame(self.count, dropped, data, time.monotonic())
        self._changed.set()

    def end(self) -> None:
        """No frame comes any more."""
        self._ended = True
        self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _Frame:
        await self._changed.wait()
        if self._frame is None:
            raise StopAsyncIteration
        frame, self._frame = self._frame, None
        self.close()
        if not self._ended:
            self._changed.clear()
        return frame

    def close(self) -> None:
        self._memory.close()


class _Stream:
    """One client: at most one of its frames is in work, and one waits."""

    def __init__(self, socket: WebSocket, service: Service, look: Look) -> None:
        self._socket = socket
        self._service = service
        self._look = look
        self._visit: Visit = socket.scope["visit"]
        self._newest = _Newest(service)
        self._busy = False

    async def run(self) -> None:
        reading, answering = asyncio.create_task(self._read()), asyncio.create_task(self._answer_all())
        try:
            await asyncio.wait({reading, answering}, return_when=asyncio.FIRST_EXCEPTION)
            await (reading if reading.done() else answering)
        except MingmuError as error:
            self._visit.kind = error.kind
            self._newest.end()
            await answering
            await self._close(CODES[type(error)], str(error))
        except WebSocketDisconnect:
            pass  # the client left: it waits for no answer
        finally:
            reading.cancel()
            answering.cancel()
            await asyncio.gather(reading, answering, return_exceptions=True)
            self._newest.close()
            self._visit.images = self._newest.count
            self._drop(self._visit.images - self._visit.counted)

    async def _read(self) -> None:
        """Take in frames. Raises WebSocketDisconnect, UnsupportedBody, SlowBody, Overloaded, QueueFull."""
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                if message["code"] == RESTART:  # so LiveProtocol tells it
                    raise Overloaded("the service restarts; connect again")
                raise WebSocketDisconnect(message["code"])
            data = message.get("bytes")
            if data is None:
                raise UnsupportedBody("text is not read; each frame is a binary message that holds an image file")
            self._visit.bytes += len(data)
            self._newest.put(data)

    async def _receive(self) -> Any:
        """The next message; raises SlowBody when none comes, though all before are answered."""
        receiving = asyncio.ensure_future(self._socket.receive())
        timeout = self._service.settings.body_timeout
        try:
            while not (await asyncio.wait({receiving}, timeout=timeout))[0]:
                if not self._busy:
                    raise SlowBody(f"no frame has come for {timeout:g} s (settings: body_timeout)")
            return receiving.result()
        finally:
            receiving.cancel()

    async def _answer_all(self) -> None:
        try:
            async for frame in self._newest:
                self._busy = True
                self._drop(frame.dropped)
                answer = {"frame": frame.number, "dropped": frame.dropped} | await self._answer(frame)
                await self._socket.send_text(orjson.dumps(answer).decode())
                self._busy = False
        except WebSocketDisconnect:
            return  # whoever reads learns of it, too

    async def _answer(self, frame: _Frame) -> dict[str, Any]:
        """The answer to one frame, or the problem that it alone met."""
        visit = Visit(self._visit.id, self._visit.method, self._visit.path, frame.came)
        try:
            found = await self._seen(frame.data, visit)
        except Exception as error:  # whatever it is, the client gets an answer and the stream goes on
            problem = Problem.of(error)
            if problem.status == 500:
                log.error("%s", error, exc_info=error, extra={"request_id": visit.id})
            if not visit.counted:
                self._service.telemetry.failed(visit, problem.kind)
            found = {"type": "error", "error": problem.document(visit.id)}
        self._visit.counted += 1
        return found | {"timing_ms": visit.milliseconds()}

    async def _seen(self, data: bytes, visit: Visit) -> dict[str, Any]:
        service, deadline = self._service, time.monotonic() + self._service.settings.request_timeout
        with service.admission.admitted() as take:
            take(len(data))
            with service.admission.working():
                try:
                    async with asyncio.timeout(deadline - time.monotonic()):
                        return await self._look(Call(data, deadline, take, visit, service.host.turns()))
                except TimeoutError:
                    raise DeadlineExceeded("the frame's deadline passed before its answer was ready") from None

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._service.telemetry.failed(self._visit, DROPPED)

    async def _close(self, code: int, reason: str) -> None:
        try:
            await self._socket.close(code, reason.encode()[:MAX_REASON].decode(errors="ignore"))
        except WebSocketDisconnect:
            return  # the client was faster
