"""The way of the requests that come most often: from the socket to their endpoint, past the framework's layers.

What the framework would do for them (find the route, take the path apart, turn errors into answers) costs as much time as
all the rest of the service; the edge answers errors anyway.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]

RECOGNIZE = re.compile(r"/v1/recognizers/([^/]+)/recognize")


class Express:
    """ASGI: `POST /v1/recognizers/{name}/recognize` goes to `direct`, everything else through the framework."""

    def __init__(self, framework: FastAPI, direct: ASGIApp) -> None:
        self.state = framework.state
        self._framework = framework
        self._direct = direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and (found := RECOGNIZE.fullmatch(scope["path"])):
            scope["app"], scope["path_params"] = self._framework, {"name": found[1]}
            return await self._direct(scope, receive, send)
        return await self._framework(scope, receive, send)


def direct(endpoint: Endpoint) -> ASGIApp:
    """An endpoint as an ASGI application of its own."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await endpoint(Request(scope, receive))
        await response(scope, receive, send)

    return app
