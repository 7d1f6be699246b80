"""One process that serves: uvicorn with uvloop and httptools, bounded heads, and a shutdown that loses no request."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import cast

import uvicorn
from fastapi import FastAPI

from mingmu.core.cpus import plain_products
from mingmu.core.errors import BadSettings, MingmuError
from mingmu.serve.company import Company
from mingmu.serve.http import create_app
from mingmu.serve.live_protocol import LiveProtocol
from mingmu.serve.protocol import Protocol
from mingmu.serve.server import announce, load_certificate, tls_context
from mingmu.serve.telemetry import Telemetry, count_in
from mingmu.settings import Settings

log = logging.getLogger("mingmu.serve")

FAREWELL = 0.3  # seconds in which kept connections are told, with their next answer, that they end
BACKLOG = 2048


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve in this process alone until a signal says stop."""
    plain_products()
    Server(create_app(settings), settings).serve_on([listener])


def work(settings: Settings, channel: socket.socket, number: int, folder: Path) -> None:
    """Serve what comes over the channel of a supervisor, as the worker of that number among those who count in `folder`."""
    plain_products()
    count_in(folder, number)
    app = create_app(settings, company=Company.joined(folder, number, settings.workers))
    app.state.service.telemetry.sum_up(folder, number)
    Worker(app, settings, channel).serve_on([])


class Server(uvicorn.Server):
    """uvicorn, except for how it says hello and goodbye."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        config = uvicorn.Config(
            app.state.express,
            loop="uvloop" if sys.platform != "win32" else "asyncio",
            http=Protocol,
            ws=LiveProtocol,
            ws_max_size=settings.max_image_bytes,
            ws_per_message_deflate=False,  # pictures are packed already
            ws_ping_interval=None,  # who sends no frame is not kept for long
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=int(max(1, settings.body_timeout)),
            timeout_graceful_shutdown=settings.drain_timeout,  # type: ignore[arg-type]  # seconds, given to asyncio.wait_for
        )
        config.load()
        config.ssl = tls_context(settings)
        super().__init__(config)
        self._app = app
        self._settings = settings

    def serve_on(self, listeners: list[socket.socket]) -> None:
        """Serve until a signal says stop; raises BadArtifact, Unproven, BadSettings."""
        try:
            self.run(listeners)
        except SystemExit:
            raise self._app.state.failure or MingmuError("the service could not start; its log says why") from None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sys.platform != "win32":
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._renew_certificate)
        self.hello(sockets or [])

    def hello(self, listeners: Sequence[socket.socket]) -> None:
        """Say that requests may come."""
        announce(self._settings, listeners[0])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Refuse newcomers at once. The signal is not raised again, so that the process exits with 0."""
        self._app.state.service.admission.close()
        self.force_exit = self.should_exit and sig == signal.SIGINT  # Ctrl-C again: now
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.sleep(FAREWELL)
        await self.farewell(sockets)

    async def farewell(self, sockets: list[socket.socket] | None) -> None:
        """Take no more connections, and wait for the answers that are due."""
        await super().shutdown(sockets)

    def _renew_certificate(self) -> None:
        context = self.config.ssl
        if context is None:
            return log.info("there is no certificate to read again")
        try:
            tls_context(self._settings)  # files that do not fit each other would leave the one in use broken
        except BadSettings as error:
            log.error("the certificate stays as it was", extra={"problem": str(error)})
        else:
            load_certificate(context, self._settings)
            log.info("the certificate has been read again")


class Worker(Server):
    """A server whose connections a supervisor accepts and hands over; the end of the channel says that no more will come."""

    def __init__(self, app: FastAPI, settings: Settings, channel: socket.socket) -> None:
        super().__init__(app, settings)
        self._telemetry: Telemetry = app.state.service.telemetry
        self._channel = channel
        self._untold = b""
        self._opening: set[asyncio.Task[None]] = set()
        self._taken = 0  # connections, since the start
        self._ended = 0  # of them, as far as the supervisor has been told
        self._until = 0.0
        self.leaving = False

    def hello(self, listeners: Sequence[socket.socket]) -> None:
        self._channel.setblocking(False)
        asyncio.get_running_loop().add_reader(self._channel, self._take)
        self.tell("ready")

    def tell(self, *words: str) -> None:
        """Say something to the supervisor; what cannot be said now is said the next time."""
        self._untold += " ".join(words).encode() + b"\n"
        with suppress(OSError):  # it is busy, or gone; `_take` learns of that
            self._untold = self._untold[self._channel.send(self._untold) :]

    def tell_ended(self) -> None:
        """Say how many connections have ended, if that has changed."""
        ended = self._taken - len(self._opening) - len(self.server_state.connections)
        if ended != self._ended:
            self._ended = ended
            self.tell("ended", str(ended))

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:
            self._telemetry.look()
        self.tell_ended()
        over = self.leaving and (not (self._opening or self.server_state.connections) or time.monotonic() > self._until)
        return await super().on_tick(counter) or over

    async def farewell(self, sockets: list[socket.socket] | None) -> None:
        self.tell("leaving")
        await super().farewell(sockets)

    def _take(self) -> None:
        """Open the connections that have been handed over."""
        while True:
            try:
                said, descriptors, _, _ = socket.recv_fds(self._channel, 1, 1)
            except BlockingIOError:
                return None
            except OSError:
                said, descriptors = b"", []
            if not said:
                return self._leave()
            self._taken += 1
            if not descriptors:
                continue  # this process has too many files open; the connection is gone
            task = asyncio.create_task(self._open(socket.socket(fileno=descriptors[0])))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        timeout = self._settings.body_timeout if self.config.ssl else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Dealt(self), connection, ssl=self.config.ssl, ssl_handshake_timeout=timeout
            )
        except OSError:  # gone before it began, or no TLS
            connection.close()

    def _leave(self) -> None:
        """Close each connection with its next answer; streams may come back elsewhere at once."""
        asyncio.get_running_loop().remove_reader(self._channel)
        self.leaving, self._until = True, time.monotonic() + self._settings.drain_timeout
        for connection in [*self.server_state.connections]:
            if not isinstance(connection, Dealt):
                connection.shutdown()


class Dealt(Protocol):
    """A connection that was handed over."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker.config, worker.server_state, worker.lifespan.state)
        self._worker = worker

    def on_headers_complete(self) -> None:
        before = self.cycle
        super().on_headers_complete()
        if self._worker.leaving and self.cycle is not before:
            self.cycle.keep_alive = False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.loop.call_soon(self._worker.tell_ended)  # once for all that ended together; the next ones are dealt out by it

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        if self._worker.leaving:
            cast(LiveProtocol, self.transport.get_protocol()).shutdown()


def failed(channel: socket.socket, error: MingmuError) -> None:
    """Tell the supervisor why this worker cannot serve."""
    channel.setblocking(True)
    with suppress(OSError):
        channel.sendall(f"failed {json.dumps(str(error))}\n".encode())
