"""The outermost layer: every request gets an id, an answer whatever happens inside, and a log line."""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mingmu.core.errors import NotFound
from mingmu.serve.attendance import ClientGone
from mingmu.serve.problems import Problem
from mingmu.serve.service import Service
from mingmu.serve.telemetry import SWITCHED, Visit

log = logging.getLogger("mingmu.serve")

HEADS = ("http.response.start", "websocket.http.response.start", "websocket.accept")
CLIENT_GONE = 499  # never sent; in logs and metrics, as nginx has it


class Edge:
    """ASGI middleware around all routes."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        visit = scope["visit"] = Visit.of(scope)
        waits = dict(scope["headers"]).get(b"expect", b"").lower() == b"100-continue"  # with its body, until it is asked for

        async def receive_asked() -> Message:
            nonlocal waits
            waits = False
            return await receive()

        async def answer(message: Message) -> None:
            if message["type"] in HEADS:
                visit.status = message.get("status", SWITCHED)
                message["headers"].append((b"x-request-id", visit.id.encode()))
                if self._service.admission.closing or waits:  # it may send the body all the same, or never
                    message["headers"].append((b"connection", b"close"))
            elif message["type"] == "websocket.close" and not visit.status:
                raise NotFound(f"there is no stream at {visit.path}")
            await send(message)

        try:
            await self._app(scope, receive_asked, answer)
        except ClientGone:
            visit.status, visit.kind = CLIENT_GONE, "client-gone"
        except Exception as error:  # noqa: BLE001 - the last net: whatever it is, the client gets an answer
            await self._explain(error, visit, scope, receive, answer)
        finally:
            self._service.telemetry.end(visit)
        return None

    async def _explain(self, error: Exception, visit: Visit, scope: Scope, receive: Receive, answer: Send) -> None:
        problem = Problem.of(error)
        if problem.status == 500:
            log.error("%s", error, exc_info=error, extra={"request_id": visit.id})
        if visit.status:
            raise error  # the answer is under way: all that is left is to break the connection
        visit.kind = problem.kind
        await problem.response(scope["path"], visit.id)(scope, receive, answer)
