from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from starlette.types import Message

from mingmu.core.network import Network
from mingmu.registry.store import Store
from mingmu.serve import live
from mingmu.serve.http import create_app
from mingmu.settings import Settings
from tests import tiny

STREAM = "/v1/recognizers/tiny/stream"


class Socket:
    """A WebSocket in this process: what the client sends goes in, what the service says comes out."""

    def __init__(self, app: FastAPI, path: str, query: str, headers: dict[str, str]) -> None:
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self.taken = asyncio.Event()  # clear it, and the client reads nothing
        self.taken.set()
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._incoming.put_nowait({"type": "websocket.connect"})
        scope: dict[str, Any] = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
        }
        scope |= {"headers": [(name.encode(), value.encode()) for name, value in headers.items()], "subprotocols": [], "app": app}
        scope |= {"scheme": "ws", "extensions": {"websocket.http.response": {}}, "server": ("service", 80), "client": ("client", 1)}
        self.task = asyncio.ensure_future(app(scope, self._incoming.get, self._send))

    async def _send(self, message: Message) -> None:
        await self.taken.wait()
        self.sent.put_nowait(message)

    async def said(self) -> Message:
        return await asyncio.wait_for(self.sent.get(), 10)

    def send(self, *frames: bytes | str) -> None:
        for frame in frames:
            key = "text" if isinstance(frame, str) else "bytes"
            self._incoming.put_nowait({"type": "websocket.receive", key: frame})

    def leave(self, code: int = 1000) -> None:
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": code})

    async def answer(self) -> Any:
        return orjson.loads((await self.said())["text"])


@dataclass
class Service:
    """A service in this process."""

    app: FastAPI

    @asynccontextmanager
    async def stream(self, path: str = STREAM, query: str = "", **headers: str) -> AsyncIterator[Socket]:
        socket = Socket(self.app, path, query, headers)
        try:
            yield socket
        finally:
            socket.leave()
            await asyncio.wait_for(socket.task, 10)

    @property
    def metrics(self) -> str:
        return str(self.app.state.service.telemetry.exposition().decode())


@asynccontextmanager
async def running(data_dir: Path, **settings: Any) -> AsyncIterator[Service]:
    app = create_app(Settings(data_dir=data_dir, threads=2, **settings))
    async with app.router.lifespan_context(app):
        yield Service(app)


@pytest.fixture
async def service(data_dir: Path) -> AsyncIterator[Service]:
    """A service with its default settings."""
    async with running(data_dir) as service:
        yield service


async def test_each_frame_gets_the_answer_that_recognize_gives(service: Service, red_png: bytes, blue_png: bytes) -> None:
    async with service.stream(query="top=1") as socket:
        assert (await socket.said())["type"] == "websocket.accept"
        for number, (picture, label) in enumerate([(red_png, "red"), (blue_png, "blue")], start=1):
            socket.send(picture)
            answer = await socket.answer()
            assert (answer["frame"], answer["dropped"], answer["recognizer"], answer["version"]) == (number, 0, "tiny", 1)
            assert [one["label"] for one in answer["labels"]] == [label]
            assert set(answer["timing_ms"]) == {"decode", "queue", "network", "total"}


async def test_frames_get_boxes_and_drawings_too(data_dir: Path, red_png: bytes) -> None:
    store = Store(data_dir)
    store.publish("quarters", store.add(tiny.seal_detector).digest)
    async with running(data_dir) as service, service.stream("/v1/recognizers/quarters/stream", "threshold=0.5&draw=true") as socket:
        await socket.said()
        socket.send(red_png)
        answer = await socket.answer()
    assert [(box["label"], box["x"], box["width"]) for box in answer["boxes"]] == [("red", 0, 20), ("red", 20, 20)]
    assert answer["drawn"]


async def test_stale_frames_are_dropped_and_the_newest_is_answered(service: Service, red_png: bytes, blue_png: bytes) -> None:
    async with service.stream() as socket:
        await socket.said()
        socket.taken.clear()  # the answer to the first frame is stuck on its way
        socket.send(red_png)
        await asyncio.sleep(0.3)
        socket.send(*[red_png] * 9, blue_png)
        await asyncio.sleep(0.3)
        socket.taken.set()
        first, second = await socket.answer(), await socket.answer()
    assert (first["frame"], first["dropped"]) == (1, 0)
    assert (second["frame"], second["dropped"], second["labels"][0]["label"]) == (11, 9, "blue")
    said = service.metrics
    assert 'mingmu_images_total{kind="dropped",recognizer="tiny"} 9.0' in said
    assert 'mingmu_images_total{kind="",recognizer="tiny"} 2.0' in said


async def test_a_bad_frame_gets_a_problem_and_the_stream_goes_on(service: Service, red_png: bytes) -> None:
    async with service.stream(**{"x-request-id": "abc"}) as socket:
        await socket.said()
        socket.send(b"no image")
        problem = (await socket.answer())["error"]
        assert (problem["kind"], problem["status"], problem["type"]) == ("bad-image", 400, "/problems/bad-image")
        assert problem["request_id"] == "abc"
        socket.send(b"")
        assert (await socket.answer())["error"]["kind"] == "bad-image"
        socket.send(red_png)
        assert (await socket.answer())["labels"][0]["label"] == "red"


async def test_text_ends_the_stream_with_the_reason(service: Service) -> None:
    async with service.stream() as socket:
        await socket.said()
        socket.send("a frame")
        end = await socket.said()
    assert (end["type"], end["code"]) == ("websocket.close", 1003)
    assert "binary" in end["reason"]


async def test_who_sends_no_frame_is_not_kept(data_dir: Path) -> None:
    async with running(data_dir, body_timeout=0.1) as service, service.stream() as socket:
        await socket.said()
        end = await socket.said()
    assert (end["code"], end["reason"]) == (1008, "no frame has come for 0.1 s (settings: body_timeout)")


async def test_a_new_version_answers_the_next_frame(data_dir: Path, red_png: bytes) -> None:
    async with running(data_dir, reload_interval=0.05) as service, service.stream() as socket:
        await socket.said()
        socket.send(red_png)
        assert (await socket.answer())["version"] == 1
        store = Store(data_dir)
        network = Network.open(store.add(tiny.seal_backbone))
        store.publish("tiny", store.add(lambda folder: tiny.seal_tiny(folder, network, labels=("rot", "green", "blue"))).digest)
        for _ in range(100):
            await asyncio.sleep(0.05)
            socket.send(red_png)
            answer = await socket.answer()
            if answer["version"] == 2:
                break
        assert (answer["version"], answer["labels"][0]["label"]) == (2, "rot")


@pytest.mark.parametrize(
    ("path", "query", "headers", "status", "kind"),
    [
        ("/v1/recognizers/nobody/stream", "", {}, 404, "not-found"),
        ("/v1/nothing", "", {}, 404, "not-found"),
        (STREAM, "top=0", {}, 400, "bad-request"),
        (STREAM, "bottom=1", {}, 400, "bad-request"),
        (STREAM, "coverage=0.9", {}, 422, "no-coverage"),
        (STREAM, "", {"host": "service", "origin": "https://elsewhere.example"}, 400, "bad-request"),
    ],
)
async def test_what_cannot_be_streamed_is_refused_before_it_begins(
    service: Service, path: str, query: str, headers: dict[str, str], status: int, kind: str
) -> None:
    async with service.stream(path, query, **headers) as socket:
        start, body = await socket.said(), await socket.said()
    assert (start["type"], start["status"]) == ("websocket.http.response.start", status)
    assert orjson.loads(body["body"])["kind"] == kind


async def test_a_page_of_the_same_address_may_open_a_stream(service: Service) -> None:
    async with service.stream(host="Service:8600", origin="http://service:8600") as socket:
        assert (await socket.said())["type"] == "websocket.accept"


async def test_there_is_a_limit_to_open_streams(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_STREAMS", 1)
    async with service.stream() as first:
        await first.said()
        async with service.stream() as second:
            start = await second.said()
            assert (start["status"], dict(start["headers"])[b"retry-after"]) == (429, b"1")
    async with service.stream() as third:
        assert (await third.said())["type"] == "websocket.accept"


async def test_a_full_service_refuses_a_frame_and_keeps_the_stream(data_dir: Path, red_png: bytes) -> None:
    async with running(data_dir, max_queue=1) as service, service.stream() as socket:
        await socket.said()
        with service.app.state.service.admission.working():
            socket.send(red_png)
            assert (await socket.answer())["error"]["kind"] == "queue-full"
        socket.send(red_png)
        assert "labels" in await socket.answer()


async def test_a_frame_in_work_is_answered_before_the_service_leaves(data_dir: Path, red_png: bytes) -> None:
    async with running(data_dir) as service, service.stream() as socket:
        await socket.said()
        socket.send(red_png)
        await asyncio.sleep(0)
        service.app.state.service.admission.close()
        socket.leave(1012)  # as the server tells it
        answer, end = await socket.answer(), await socket.said()
    assert answer["frame"] == 1
    assert (end["type"], end["code"]) == ("websocket.close", 1012)


async def test_a_client_that_leaves_takes_its_frames_along(service: Service, red_png: bytes) -> None:
    async with service.stream() as socket:
        await socket.said()
        socket.taken.clear()
        socket.send(*[red_png] * 3)
        socket.leave()
        await asyncio.wait_for(socket.task, 10)
    assert 'status="101"' in service.metrics
    await asyncio.wait_for(service.app.state.service.admission.emptied(), 5)  # nobody is in any more
