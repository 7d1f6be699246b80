from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest

from mingmu.batch import remote
from mingmu.batch.sources import opened
from mingmu.core.errors import BadRequest, FetchFailed, MingmuError, NotFound, Unreachable
from tests.batch.test_sources import LIMIT, folder_of, names


@pytest.fixture(params=["memory", "s3"])
def bucket(request: pytest.FixtureRequest) -> Iterator[str]:
    """photos/a/2.jpg, photos/1.png, photos/notes.txt and other/3.jpg, once in fsspec's memory and once in S3."""
    url = "memory://bucket" if request.param == "memory" else str(request.getfixturevalue("s3_bucket"))
    files, root = fsspec.core.url_to_fs(url)
    for name in ("photos/a/2.jpg", "photos/1.png", "photos/notes.txt", "other/3.jpg"):
        files.pipe_file(f"{root}/{name}", name.encode())
    yield url
    files.rm([f"{root}/photos", f"{root}/other"], recursive=True)


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder; away.jpg leads somewhere else, status-N.jpg is refused with the status N."""

    refused: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        if self.path == "/photos/away.jpg":
            self.send_response(302)
            self.send_header("Location", "/secret.jpg")
            self.end_headers()
        elif (status := self.path.removeprefix("/photos/status-").removesuffix(".jpg")).isdigit():
            self.refused.append(self.path)
            self.send_error(int(status))
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    folder = folder_of(tmp_path / "site", "photos/a b.jpg", "photos/more/c.png", "photos/away.jpg", "secret.jpg")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_prefix_gives_the_images_below_it_by_name(bucket: str, tmp_path: Path, ending: str) -> None:
    assert names(f"{bucket}/photos{ending}", tmp_path) == ["1.png", "a/2.jpg"]
    assert names(f"{bucket}/photos/a/2.jpg", tmp_path) == ["2.jpg"]
    with opened(f"{bucket}/photos") as source:
        first = next(source.items(tmp_path))
        assert source.read(first.key, LIMIT) == b"photos/1.png"
        assert source.read(first.key, 3) == b"phot"
        with pytest.raises(NotFound):
            source.read("/bucket/photos/gone.jpg", LIMIT)


def test_a_prefix_that_is_not_there_is_an_error(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        names(f"{bucket}/nothing/", tmp_path)


@pytest.mark.parametrize("url", ["nonsense://a/b", "s3://bucket/photos.zip"])
def test_a_url_that_cannot_be_read_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadRequest):
        names(url, tmp_path)


def test_a_web_page_that_lists_files_is_a_folder(site: str, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="aiohttp (extra `http`) is not installed")
    found = names(f"{site}/photos", tmp_path)
    assert found == ["a%20b.jpg", "away.jpg", "more/c.png"]
    with opened(f"{site}/photos") as source:
        keys = {item.path: item.key for item in source.items(tmp_path)}
        assert source.read(keys["a%20b.jpg"], LIMIT) == b"photos/a b.jpg"
        assert b"secret" not in source.read(keys["away.jpg"], LIMIT)  # it would lead out of the prefix


@pytest.mark.parametrize(
    ("status", "error", "attempts"),
    [(401, FetchFailed, 1), (403, FetchFailed, 1), (404, NotFound, 1), (410, FetchFailed, 1), (500, FetchFailed, 3), (503, Unreachable, 3)],
)
def test_only_what_may_pass_is_asked_for_again(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, error: type[MingmuError], attempts: int
) -> None:
    pytest.importorskip("aiohttp", reason="aiohttp (extra `http`) is not installed")
    monkeypatch.setattr(remote, "PAUSE", 0.01)
    Quiet.refused.clear()
    with opened(f"{site}/photos") as source, pytest.raises(error) as raised:
        source.read(f"{site}/photos/status-{status}.jpg", LIMIT)
    assert (type(raised.value), len(Quiet.refused)) == (error, attempts)


def test_a_host_that_is_not_there_is_told_from_an_image_that_is_not_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp", reason="aiohttp (extra `http`) is not installed")
    monkeypatch.setattr(remote, "PAUSE", 0.01)
    with closing(socket.create_server(("127.0.0.1", 0))) as gone:
        port = gone.getsockname()[1]
    with opened(f"http://127.0.0.1:{port}/photos") as source, pytest.raises(Unreachable, match="ClientConnectorError"):
        source.read(f"http://127.0.0.1:{port}/photos/a.jpg", LIMIT)


def test_an_image_that_one_may_not_read_is_not_asked_for_again(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_: object, **__: object) -> bytes:
        raise PermissionError("AccessDenied")

    files, root = fsspec.core.url_to_fs(f"{bucket}/photos", use_listings_cache=False)  # the very one that the source asks
    monkeypatch.setattr(files, "cat_file", forbid)
    monkeypatch.setattr(remote, "PAUSE", 60)
    with opened(f"{bucket}/photos") as source, pytest.raises(FetchFailed, match="PermissionError"):
        source.read(f"{root}/1.png", LIMIT)
