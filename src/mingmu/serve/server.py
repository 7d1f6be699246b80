"""Runs the service on a socket: uvicorn with uvloop and httptools, bounded heads, and a shutdown that loses no request."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from types import FrameType

import orjson
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from mingmu.core.errors import BadSettings, MingmuError
from mingmu.core.logs import log_as_json
from mingmu.serve.http import create_app
from mingmu.serve.problems import KINDS, MEDIA_TYPE, Problem
from mingmu.serve.telemetry import Telemetry, Visit
from mingmu.settings import Settings

MAX_HEAD_BYTES = 65_536
MAX_LEFT_OVER = 16 * 2**20  # bytes of a body that are read after the answer has been given
FAREWELL = 0.3  # seconds in which kept connections are told, with their next answer, that they end
BACKLOG = 2048


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; requests that were let in get their answers. Raises BadSettings, BadArtifact, Unproven."""
    log_as_json(settings.log_level)
    listener = listen(settings.host, settings.port)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http=protocol(settings.body_timeout, app.state.service.telemetry),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=int(max(1, settings.body_timeout)),
        timeout_graceful_shutdown=settings.drain_timeout,  # type: ignore[arg-type]  # seconds, given to asyncio.wait_for
    )
    server = Server(config, app)
    try:
        server.run([listener])
    except SystemExit:
        raise app.state.failure or MingmuError("the service could not start; its log says why") from None
    finally:
        listener.close()


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address, bound but not yet listening; raises BadSettings."""
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, number)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise BadSettings(f"cannot listen on {host} port {port}: {error.strerror} (settings: host, port)") from error
    return listener


class Server(uvicorn.Server):
    """uvicorn, except for how it says hello and goodbye."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._host = app.state.host

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        address, port = self.servers[0].sockets[0].getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        print(f"Mingmu is ready on http://{shown}:{port}", file=sys.stderr, flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Refuse newcomers at once. The signal is not raised again, so that the process exits with 0."""
        self._host.close()
        self.force_exit = self.should_exit and sig == signal.SIGINT  # Ctrl-C again: now
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.sleep(FAREWELL)
        await super().shutdown(sockets)


def protocol(head_timeout: float, telemetry: Telemetry) -> type[HttpToolsProtocol]:
    """uvicorn's HTTP/1.1, with a limit for the time from the end of one request to the end of the next one's head,
    a limit for the size of a head, and problem documents for what is not HTTP.

    A request may be answered before its body is in. What is left of the body is then read and thrown away, within
    limits: a connection that is closed while its client still sends would take the answer along.
    """

    class BoundedHead(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None  # runs while no request is in work
        _in_body = False  # the head of a message is in, its body is not
        _head_bytes = 0  # of the head that is coming in
        _left_over = 0  # bytes of body that came after the answer
        _fault = "bad-request"

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._start_timer()

        def data_received(self, data: bytes) -> None:
            if not self._in_body:
                self._head_bytes += len(data)
            elif self._timer is not None:
                self._left_over += len(data)
            super().data_received(data)
            if self.transport.is_closing():
                return
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse("head-too-large")
            elif self._left_over > MAX_LEFT_OVER:
                self.transport.close()

        def on_headers_complete(self) -> None:
            if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD_BYTES:
                self._fault = "head-too-large"
                raise ValueError  # ends the parsing, and calls send_400_response
            self._head_bytes, self._in_body = 0, True
            self._stop_timer()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            super().on_message_complete()
            self._head_bytes, self._left_over, self._in_body = 0, 0, False
            if self._timer is not None:  # the answer has gone out before
                self._start_timer()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.cycle.response_complete:  # otherwise the next request has come in already
                self._start_timer()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def send_400_response(self, msg: str) -> None:
            self._refuse(self._fault)

        def _start_timer(self) -> None:
            self._stop_timer()
            self._timer = self.loop.call_later(head_timeout, self.transport.close)

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _refuse(self, kind: str) -> None:
            problem = Problem(KINDS[kind].status, kind, f"This is no HTTP request that can be read: {KINDS[kind].meaning}")
            visit = Visit(os.urandom(8).hex(), method="", path="", status=problem.status, kind=kind)
            cycle: RequestResponseCycle | None = self.cycle  # None before the first request
            if cycle is None or cycle.response_complete:  # otherwise it would come in the midst of another answer
                body = orjson.dumps(problem.document(visit.id))
                head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nx-request-id: {visit.id}\r\nconnection: close\r\n\r\n"
                self.transport.write(STATUS_LINE[problem.status] + head.encode() + body)
            self.transport.close()
            telemetry.end(visit)

    return BoundedHead
