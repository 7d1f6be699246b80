"""uvicorn's HTTP/1.1, within limits."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from httptools import HttpParserError, HttpParserUpgrade
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from mingmu.serve.problems import KINDS, MEDIA_TYPE, Problem
from mingmu.serve.service import Service
from mingmu.serve.telemetry import Visit, new_id

MAX_HEAD_BYTES = 65_536
MAX_LEFT_OVER = 16 * 2**20  # bytes of a body that are read after the answer has been given


class Protocol(HttpToolsProtocol):
    """One connection, with a limit for the time from the end of one request to the end of the next one's head,
    a limit for the size of a head and of trailers, and problem documents for what is not HTTP.

    A request may ask for another protocol, as curl and Java do for HTTP/2. It gets WebSocket; what else it asks for is
    ignored (RFC 9110, section 7.8).

    A request may be answered before its body is in. What is left of the body is then read and thrown away, within
    limits: a connection that is closed while its client still sends would take the answer along.
    """

    _timer: asyncio.TimerHandle | None = None  # runs while no request is in work
    _in_body = False  # the head of a message is in, its body is not
    _declined = False  # the message that is coming in asks for a protocol that it does not get
    _head_bytes = 0  # that came since the last message, or since the last part of a body: of a head, or of trailers
    _left_over = 0  # bytes of body that came after the answer
    _fault = "bad-request"

    def __init__(self, config: Config, *rest: Any, **more: Any) -> None:
        super().__init__(config, *rest, **more)
        self._service: Service = config.app.state.service  # type: ignore[union-attr]  # the application that `run` made

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Corked(transport, self.loop))  # type: ignore[arg-type]  # all of a transport that is used
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._head_bytes += len(data)
        if self._in_body and self._timer is not None:
            self._left_over += len(data)
        try:
            self._parse(data)
        except HttpParserError:
            return self._refuse(self._fault)
        if self.transport.is_closing():
            return None
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse("head-too-large")
        elif self._left_over > MAX_LEFT_OVER:
            self.transport.close()
        return None

    def _parse(self, data: bytes | memoryview) -> None:
        while data:
            try:
                return self.parser.feed_data(data)
            except HttpParserUpgrade as upgrade:  # the parser takes a head like this for the end of HTTP
                if self._should_upgrade():
                    return self.handle_websocket_upgrade()
                if not self._declined:
                    return None  # CONNECT
                data = memoryview(data)[upgrade.args[0] :]
            self._declined = False
            self.parser.feed_data(self._head_without_upgrade())
        return None

    def _head_without_upgrade(self) -> bytes:
        first = b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        lines = [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([first, *lines, b"", b""])

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:  # otherwise it is a trailer; nobody here asks for those
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD_BYTES:
            self._fault = "head-too-large"
            raise ValueError  # ends the parsing
        if self.parser.should_upgrade() and not self._should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._declined = True
            return
        self._stop_timer()
        super().on_headers_complete()
        self._head_bytes, self._in_body = 0, True

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._declined:
            return
        super().on_message_complete()
        self._head_bytes, self._left_over, self._in_body = 0, 0, False
        if self._timer is not None:  # the answer has gone out before
            self._start_timer()

    def on_response_complete(self) -> None:
        self.transport.flush()  # type: ignore[attr-defined]  # before the request is counted and logged
        super().on_response_complete()
        if self.cycle.response_complete:  # otherwise the next request has come in already
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self._service.settings.body_timeout, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, kind: str) -> None:
        problem = Problem(KINDS[kind].status, kind, f"This is no HTTP request that can be read: {KINDS[kind].meaning}")
        visit = Visit(new_id(), method="", path="", status=problem.status, kind=kind)
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        if self._in_body:  # then it is the request that is in work
            unanswered = not (self.pipeline or self.cycle.response_started)
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        else:
            unanswered = cycle is None or cycle.response_complete
        if unanswered:  # otherwise it would come in the midst of another answer
            body = orjson.dumps(problem.document(visit.id))
            head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nx-request-id: {visit.id}\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[problem.status] + head.encode() + body)
        self.transport.close()
        self._service.telemetry.end(visit)


class Corked:
    """A transport that holds what is written until the answer is complete, or the event loop's turn ends: the head of an
    answer and its body go in one packet, and with one call of the system."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send soon."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)

    def close(self) -> None:
        """Send what is held, then close."""
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """Send what is held now."""
        if self._held:
            self._transport.write(b"".join(self._held))
            self._held.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
