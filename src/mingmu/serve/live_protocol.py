"""uvicorn's WebSocket (RFC 6455), within limits."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

from uvicorn import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from mingmu.core.errors import QueueFull
from mingmu.serve.service import Service

MAX_FRAGMENTS = 1024  # of one message; empty ones would cost memory, and count for nothing
LINGER = 2.0  # seconds in which a client may read why its connection ends
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
RESTART = 1012  # close code: the service restarts


class LiveProtocol(WebSocketsSansIOProtocol):
    """One connection, whose unread messages count in the memory of all bodies, and whose client must read what it is sent.

    A connection that ends by an error is kept a moment longer, and what still comes is thrown away: one that is closed while
    its client still sends would take the reason along.
    """

    _stuck: asyncio.TimerHandle | None = None  # runs while the client does not read

    def __init__(self, config: Config, *rest: Any, **more: Any) -> None:
        super().__init__(config, *rest, **more)
        self._service: Service = config.app.state.service  # type: ignore[union-attr]  # the application that `serve` made
        self._memory = ExitStack()  # what the message that is coming in takes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(0)  # so that whatever the client has not taken pauses the writing

    def connection_lost(self, exc: Exception | None) -> None:
        self._memory.close()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.conn.parser_exc is not None:
            return  # it has been told that the connection ends
        super().data_received(data)
        if not self.handshake_initiated:  # its head came in one piece, so nothing of it is missing
            self.transport.write(b"".join(self.conn.data_to_send()) or BAD_REQUEST)
            self.transport.close()
        self._memory.close()
        try:
            self._memory.enter_context(self._service.admission.budget.hold())(len(self.conn.reader.buffer) + sum(map(len, self.frames)))
        except QueueFull as error:
            self._fail(CloseCode.TRY_AGAIN_LATER, str(error))

    def handle_cont(self, event: Frame) -> None:
        super().handle_cont(event)
        if len(self.frames) > MAX_FRAGMENTS:
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"a message has more than {MAX_FRAGMENTS} fragments")

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:  # answers to pings that nobody reads would pile up
            self.conn.data_to_send()

    def handle_parser_exception(self) -> None:
        if self.close_timer is None:
            closing = self.conn.close_sent
            self.queue.put_nowait({"type": "websocket.disconnect", "code": closing.code if closing else 1006, "reason": ""})
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.frames = []
            self.close_timer = self.loop.call_later(LINGER, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self.loop.call_later(self._service.settings.body_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def shutdown(self) -> None:
        """The service stops: whoever answers this connection accepts it, gives the answer that is due, and closes it."""
        if not (self.close_sent or self.disconnected):
            self.queue.put_nowait({"type": "websocket.disconnect", "code": RESTART})
        else:
            super().shutdown()

    def _fail(self, code: CloseCode, reason: str) -> None:
        self.conn.fail(code, reason)
        self.handle_parser_exception()
