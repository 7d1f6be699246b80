"""Runs the service on a socket: uvicorn with uvloop and httptools, bounded heads, and a shutdown that loses no request."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from mingmu.core.errors import BadSettings, MingmuError
from mingmu.core.logs import log_as_json
from mingmu.serve.http import create_app
from mingmu.serve.protocol import Protocol
from mingmu.settings import Settings

FAREWELL = 0.3  # seconds in which kept connections are told, with their next answer, that they end
BACKLOG = 2048


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; requests that were let in get their answers. Raises BadSettings, BadArtifact, Unproven."""
    log_as_json(settings.log_level)
    listener = listen(settings.host, settings.port)
    app = create_app(settings)
    config = uvicorn.Config(
        app.state.express,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http=Protocol,
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
