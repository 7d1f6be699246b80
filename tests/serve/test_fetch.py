from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from mingmu.core.errors import FetchFailed, ForbiddenUrl
from mingmu.serve.fetch import Fetcher, is_public, parse
from mingmu.serve.http import create_app
from mingmu.settings import Settings
from tests.serve.conftest import RECOGNIZE, running

PUBLIC = "93.184.216.34"
NAMES = {
    "photos.example": [PUBLIC],
    "six.example": ["2606:2800:220:1::1"],
    "inside.example": ["10.0.0.7"],
    "both.example": [PUBLIC, "127.0.0.1"],
    "down.example": ["198.41.0.4", PUBLIC],
}


async def resolve(host: str, port: int) -> list[str]:
    return NAMES.get(host, [host])


def fetcher(tmp_path: Path, answer: Callable[[httpx.Request], httpx.Response], **settings: object) -> Fetcher:
    transport = httpx.MockTransport(answer)
    return Fetcher(Settings(data_dir=tmp_path, fetch_urls=True, **settings), resolve, transport)  # type: ignore[arg-type]


def photo(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, stream=httpx.ByteStream(b"photo"), headers={"content-type": "image/png"})


def never(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"{request.url} was asked for")


def ignore(count: int) -> None:
    pass


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "198.18.0.1",
        "192.0.2.1",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::808:808",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2001:db8::1",
        "2001:0:7f00:1::",
        "2001:0:808:808:0:0:80ff:fffe",
        "fec0::1",
        "100::1",
        "localhost",
        "",
    ],
)
def test_an_address_that_is_not_of_the_public_internet_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"])
def test_an_address_of_the_public_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://photos.example/a",
        "gopher://photos.example",
        "data:image/png;base64,AA",
        "photos.example/a",
        "//photos.example",
        "http://",
        "http://user:secret@photos.example/",
        "http://user@photos.example/",
        "http://photos.example:22/",
        "http://a\x00b/",
        "",
    ],
)
def test_a_url_of_the_wrong_form_is_forbidden(url: str) -> None:
    with pytest.raises(ForbiddenUrl):
        parse(url)


@pytest.mark.parametrize(
    "host", ["inside.example", "both.example", "127.0.0.1", "[::1]", "[::ffff:169.254.169.254]", "169.254.169.254", "0x7f.1", "2130706433"]
)
async def test_a_host_with_any_address_that_is_not_public_is_never_asked(tmp_path: Path, host: str) -> None:
    with pytest.raises(ForbiddenUrl, match="not a public address"):
        await fetcher(tmp_path, never)(f"http://{host}/a.png", ignore)


async def test_the_connection_goes_to_the_address_that_was_checked(tmp_path: Path) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return photo(request)

    counts: list[int] = []
    assert await fetcher(tmp_path, answer)("https://photos.example/a.png?b=c", counts.append) == b"photo"
    assert str(asked[0].url) == f"https://{PUBLIC}/a.png?b=c"
    assert asked[0].headers["host"] == "photos.example"
    assert asked[0].extensions["sni_hostname"] == "photos.example"
    assert asked[0].headers["accept-encoding"] == "identity"
    assert sum(counts) == 5
    await fetcher(tmp_path, answer)("http://six.example/", ignore)
    assert str(asked[1].url) == "http://[2606:2800:220:1::1]/"


async def test_the_next_address_is_tried_when_one_does_not_answer(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host != PUBLIC:
            raise httpx.ConnectError("down")
        return photo(request)

    assert await fetcher(tmp_path, answer)("http://down.example/", ignore) == b"photo"


@pytest.mark.parametrize(
    "location", ["http://inside.example/", "http://127.0.0.1/", "file:///etc/passwd", "//inside.example/a", "http://photos.example:8080/"]
)
async def test_a_redirect_is_checked_like_the_first_url(tmp_path: Path, location: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.host == PUBLIC
        return httpx.Response(302, headers={"location": location})

    with pytest.raises(ForbiddenUrl):
        await fetcher(tmp_path, answer)("http://photos.example/", ignore)


async def test_a_redirect_within_the_rules_is_followed(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return photo(request) if request.url.path == "/b" else httpx.Response(302, headers={"location": "/b"})

    assert await fetcher(tmp_path, answer)("http://photos.example/a", ignore) == b"photo"


IMAGE = {"content-type": "image/png"}


@pytest.mark.parametrize(
    ("response", "says"),
    [
        (httpx.Response(302, headers={"location": "/again"}), "redirects"),
        (httpx.Response(302, headers={"location": "http://[::zz]:port/"}), "could not be fetched"),
        (httpx.Response(404, headers=IMAGE), "404"),
        (httpx.Response(200, content=b"<html>", headers={"content-type": "text/html"}), "text/html"),
        (httpx.Response(200, content=b"?"), "no content type"),
        (httpx.Response(200, stream=httpx.ByteStream(bytes(1001)), headers=IMAGE), "larger than 1000"),
        (httpx.Response(200, stream=httpx.ByteStream(bytes(1001)), headers=IMAGE | {"content-encoding": "br"}), "compressed"),
    ],
)
async def test_an_answer_that_is_no_image_is_a_failure(tmp_path: Path, response: httpx.Response, says: str) -> None:
    with pytest.raises(FetchFailed, match=says):
        await fetcher(tmp_path, lambda _: response, max_image_bytes=1000)("http://photos.example/", ignore)


async def test_a_fetch_has_a_time_limit(tmp_path: Path) -> None:
    async def stuck(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError

    slow = Fetcher(Settings(data_dir=tmp_path, fetch_urls=True, fetch_timeout=0.05), resolve, httpx.MockTransport(stuck))
    with pytest.raises(FetchFailed, match="did not arrive"):
        await slow("http://photos.example/", ignore)


async def test_urls_are_off_unless_the_operator_allows_them(tmp_path: Path) -> None:
    with pytest.raises(ForbiddenUrl, match="fetch_urls"):
        await Fetcher(Settings(data_dir=tmp_path), resolve, httpx.MockTransport(never))("http://photos.example/", ignore)


async def test_images_by_url_are_recognized(data_dir: Path, red_png: bytes) -> None:
    async def fetch(url: str, take: Callable[[int], None]) -> bytes:
        if url.endswith("gone"):
            raise FetchFailed("the URL answered 404")
        return red_png

    async with running(create_app(Settings(data_dir=data_dir), fetch=fetch)) as client:
        images = [{"url": "http://photos.example/red"}, {"url": "http://photos.example/gone"}]
        answers = (await client.post(RECOGNIZE, json={"images": images})).json()["answers"]
        assert answers[0]["labels"][0]["label"] == "red"
        assert answers[1]["error"]["kind"] == "fetch-failed"
        alone = await client.post(RECOGNIZE, json={"images": images[1:]})
        assert (alone.status_code, alone.json()["kind"]) == (422, "fetch-failed")


@pytest.mark.parametrize("address", ["http://xn--a/", "http://xn--\u00fc/"])
def test_a_host_name_that_cannot_be_decoded_is_refused(address: str) -> None:
    with pytest.raises(ForbiddenUrl):
        parse(address)
