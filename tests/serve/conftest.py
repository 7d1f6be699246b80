"""The service in this process, without sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from mingmu.serve.http import create_app
from mingmu.settings import Settings

Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]

RECOGNIZE = "/v1/recognizers/tiny/recognize"


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app that has been started."""
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


@pytest.fixture
def serve(data_dir: Path) -> Serve:
    """Start the service with some settings of its own: `async with serve(max_images=2) as client`."""
    return lambda **settings: running(create_app(Settings(data_dir=data_dir, threads=2, **settings)))


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service with its default settings."""
    async with serve() as client:
        yield client
