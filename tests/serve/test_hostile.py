"""What hostile input gets: one clear 4xx in bounded time and memory, and the next good request is answered."""

from __future__ import annotations

import asyncio
import io
import struct
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from mingmu.core.pixels import Pixels, encode_png
from mingmu.serve.bodies import Budget, read_body
from mingmu.settings import Settings
from mingmu.tasks.locate import MOST
from tests import tiny_text
from tests.serve.conftest import RECOGNIZE, Serve

JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=b"}
PART = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG whose header promises more than is there."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def jpeg(width: int = 64, height: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((width, height), 60).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


HOSTILE = {
    "no body": (b"", {}, 400, "bad-request"),
    "one byte": (b"\xff", {}, 400, "bad-image"),
    "rubbish": (b"\x00\x01" * 5000, {}, 400, "bad-image"),
    "a cut JPEG": (jpeg()[:200], {}, 400, "bad-image"),
    "an SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', {"content-type": "image/svg+xml"}, 415, "unsupported-image"),
    "a pixel bomb": (png_that_claims(16_000, 16_000), {}, 413, "image-too-large"),
    "a 60,000-pixel side": (png_that_claims(60_000, 1), {}, 413, "image-too-large"),
    "an HTML page": (b"<html>", {"content-type": "text/html"}, 415, "unsupported-body"),
    "a web form": (b"a=b", {"content-type": "application/x-www-form-urlencoded"}, 415, "unsupported-body"),
    "a compressed body": (zlib.compress(bytes(100)), {"content-encoding": "deflate"}, 415, "unsupported-body"),
    "JSON that is none": (b"{", JSON, 400, "bad-request"),
    "JSON that is not UTF-8": (b'{"images":[{"base64":"\xff"}]}', JSON, 400, "bad-request"),
    "deep JSON": (b"[" * 500_000, JSON, 400, "bad-request"),
    "deep JSON inside": (b'{"images":' + b"[" * 500_000, JSON, 400, "bad-request"),
    "JSON of another form": (b'{"image": "x"}', JSON, 400, "bad-request"),
    "JSON with odd numbers": (b'{"images":[{"base64":"AA=="}],"top":1e999}', JSON, 400, "bad-request"),
    "no images": (b'{"images":[]}', JSON, 400, "bad-request"),
    "an image that is nothing": (b'{"images":[{}]}', JSON, 400, "bad-request"),
    "too many images": (b'{"images":[' + b",".join([b'{"base64":"AA=="}'] * 5) + b"]}", JSON, 400, "bad-request"),
    "millions of images": (b'{"images":[' + b"{}," * 5_000_000 + b"{}]}", JSON, 400, "bad-request"),
    "bad base64": (b'{"images":[{"base64":"!!!"}]}', JSON, 400, "bad-request"),
    "a data URL as base64": (b'{"images":[{"base64":"data:image/png;base64,AAAA"}]}', JSON, 400, "bad-request"),
    "a URL": (b'{"images":[{"url":"http://169.254.169.254/latest/meta-data"}]}', JSON, 403, "forbidden-url"),
    "a form without boundary": (b"x", {"content-type": "multipart/form-data"}, 400, "bad-request"),
    "a form with a huge boundary": (b"x", {"content-type": "multipart/form-data; boundary=" + "b" * 5000}, 400, "bad-request"),
    "a form of rubbish": (b"rubbish", FORM, 400, "bad-request"),
    "a form that is cut short": (PART + b"data", FORM, 400, "bad-request"),
    "a form of too many files": ((PART + b"\r\n") * 5 + b"--b--\r\n", FORM, 400, "bad-request"),
    "a form of millions of parts": (b"--b\r\n" * 5_000_000, FORM, 400, "bad-request"),
    "a form of near boundaries": (PART + b"\r\n--" * 5_000_000, FORM, 400, "bad-request"),
    "a form without files": (b'--b\r\nContent-Disposition: form-data; name="top"\r\n\r\n5\r\n--b--\r\n', FORM, 400, "bad-request"),
    "a form with endless headers": (b"--b\r\n" + b"X-A: b\r\n" * 50_000, FORM, 400, "bad-request"),
    "an empty file in a form": (PART + b"\r\n--b--\r\n", FORM, 400, "bad-image"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_input_is_refused_and_disturbs_nobody(serve: Serve, red_png: bytes, name: str) -> None:
    body, headers, status, kind = HOSTILE[name]
    async with serve(max_images=4) as client:
        started = time.monotonic()
        response = await client.post(RECOGNIZE, content=body, headers=headers)
        assert time.monotonic() - started < 2
        assert (response.status_code, response.json()["kind"]) == (status, kind)
        assert len(response.content) < 4000
        assert (await client.post(RECOGNIZE, content=red_png)).status_code == 200


@pytest.fixture
def readers(data_dir: Path) -> None:
    tiny_text.publish_text(data_dir)
    tiny_text.publish_plates(data_dir)


def squares() -> Pixels:
    """As many lines as tiny networks tell apart."""
    grid = np.zeros((3000, 3000, 3), np.uint8)
    grid.reshape(8, 375, 8, 375, 3)[:, :200, :, :200] = np.random.default_rng(0).integers(150, 256, (8, 1, 8, 1, 3))
    return grid


PICTURES = {
    "one white pixel": np.full((1, 1, 3), 255, np.uint8),
    "one black pixel": np.zeros((1, 1, 3), np.uint8),
    "all white": np.full((4000, 4000, 3), 255, np.uint8),
    "all black": np.zeros((4000, 4000, 3), np.uint8),
    "as wide as can be": np.full((1, 16_000, 3), 255, np.uint8),
    "as high as can be": np.full((16_000, 1, 3), 255, np.uint8),
    "noise": np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8),
    "many lines": squares(),
}


@pytest.mark.usefixtures("readers")
@pytest.mark.parametrize("recognizer", ["lines", "cars"])
@pytest.mark.parametrize("name", PICTURES)
async def test_odd_pictures_are_read_in_bounded_time_and_memory(serve: Serve, recognizer: str, name: str) -> None:
    image = encode_png(PICTURES[name])
    async with serve(request_timeout=280) as client:  # on the slowest machine
        path = f"/v1/recognizers/{recognizer}/recognize"
        await client.post(path, content=tiny_text.picture())  # it is loaded now
        tracemalloc.start()
        response = await client.post(path, content=image)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert response.status_code == 200, response.text
        answer = response.json()["answers"][0]
        assert len(answer[answer["type"]]) <= MOST
        assert most < 300e6
        answer = (await client.post(path, content=tiny_text.picture("GR"))).json()["answers"][0]
        assert [each["text"] for each in answer[answer["type"]]] == ["GR"]


@pytest.mark.usefixtures("readers")
@pytest.mark.parametrize("recognizer", ["lines", "cars"])
@pytest.mark.parametrize("name", ["one byte", "rubbish", "a cut JPEG", "an SVG", "a pixel bomb", "a 60,000-pixel side"])
async def test_what_is_no_picture_is_refused_by_readers_too(serve: Serve, recognizer: str, name: str) -> None:
    body, headers, status, kind = HOSTILE[name]
    async with serve() as client:
        response = await client.post(f"/v1/recognizers/{recognizer}/recognize", content=body, headers=headers)
        assert (response.status_code, response.json()["kind"]) == (status, kind)


@pytest.mark.usefixtures("readers")
async def test_many_lines_are_given_up_when_the_time_is_over(serve: Serve) -> None:
    image, path = encode_png(PICTURES["many lines"]), "/v1/recognizers/lines/recognize"
    async with serve() as client:
        await client.post(path, content=tiny_text.picture())
        late = await client.post(path, content=image, headers={"x-request-timeout-ms": "100"})
        assert (late.status_code, late.json()["kind"]) == (504, "deadline-exceeded")
        assert (await client.post(path, content=tiny_text.picture())).status_code == 200


async def test_odd_and_doubled_headers_do_no_harm(client: httpx.AsyncClient, red_png: bytes) -> None:
    odd = [(b"content-type", b"image/png"), (b"content-type", b"text/html"), (b"x-odd", b"\x80\xff"), (b"cookie", b"=" * 9000)]
    assert (await client.post(RECOGNIZE, content=red_png, headers=odd)).status_code == 200


async def test_a_body_that_says_it_is_too_large_is_not_read(serve: Serve) -> None:
    async def never_asked_for() -> AsyncIterator[bytes]:
        raise RuntimeError("the body was read")
        yield b""

    async with serve(max_body_bytes=1000) as client:
        response = await client.post(RECOGNIZE, content=never_asked_for(), headers={"content-length": "1001"})
    assert (response.status_code, response.json()["kind"]) == (413, "body-too-large")
    assert response.headers["connection"] == "close"


async def test_a_body_that_grows_too_large_is_dropped_at_once(serve: Serve) -> None:
    sent = 0

    async def flood() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100
            yield bytes(100)

    async with serve(max_body_bytes=1000) as client:
        response = await client.post(RECOGNIZE, content=flood())
    assert (response.status_code, response.json()["kind"]) == (413, "body-too-large")
    assert sent == 1100


async def test_a_slow_body_is_given_up(serve: Serve) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.02)

    async with serve(body_timeout=0.1) as client:
        response = await client.post(RECOGNIZE, content=trickle())
        assert (response.status_code, response.json()["kind"]) == (408, "slow-body")
        assert response.headers["connection"] == "close"
        hurried = await client.post(RECOGNIZE, content=trickle(), headers={"x-request-timeout-ms": "50"})
        assert (hurried.status_code, hurried.json()["kind"]) == (504, "deadline-exceeded")


async def test_bodies_together_have_a_limit_too(tmp_path: Path) -> None:
    settings, budget = Settings(data_dir=tmp_path), Budget(1000)

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": bytes(600), "more_body": False}

    with budget.hold() as take:
        assert len(await read_body(receive, {}, settings, take, time.monotonic() + 9)) == 600
        with budget.hold() as another, pytest.raises(Exception, match="memory set aside"):
            await read_body(receive, {}, settings, another, time.monotonic() + 9)
    with budget.hold() as take:
        take(1000)
