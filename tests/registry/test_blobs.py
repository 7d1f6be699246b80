from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from mingmu.core.errors import BadArtifact, BadSettings, NotFound
from mingmu.registry.blobs import REMOTE_REFRESH, Blobs

HOUR = 3600.0


@pytest.fixture(params=["folder", "memory", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Blobs]:
    """Once in a local folder, once in a file system that has no folders of its own, and once in S3."""
    if request.param == "s3":
        yield Blobs(f"{request.getfixturevalue('s3_bucket')}/prefix")
        return
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield Blobs(str(tmp_path / "blobs") if request.param == "folder" else "memory://bucket/prefix")
    memory.store.clear()


@pytest.mark.parametrize("data", [b"", b"a picture", bytes(3 * 2**20 + 1)], ids=["empty", "short", "long"])
def test_what_was_put_comes_back(blobs: Blobs, data: bytes) -> None:
    sha256 = blobs.put(data)
    assert sha256 == hashlib.sha256(data).hexdigest()
    assert blobs.put_stream(io.BytesIO(data)) == sha256
    assert blobs.exists(sha256)
    assert blobs.get(sha256) == data
    with blobs.open(sha256) as stream:
        assert stream.read(5) == data[:5]
    assert [(blob.sha256, blob.size) for blob in blobs] == [(sha256, len(data))]
    assert abs(next(iter(blobs)).modified - time.time()) < HOUR


def test_what_is_deleted_is_gone(blobs: Blobs) -> None:
    sha256 = blobs.put(b"a picture")
    assert blobs.delete(sha256)
    assert not blobs.delete(sha256)
    assert not blobs.exists(sha256)
    assert list(blobs) == []
    with pytest.raises(NotFound):
        blobs.get(sha256)


def test_what_was_put_lately_is_not_deleted_with_the_old(blobs: Blobs) -> None:
    sha256 = blobs.put(b"a picture")
    assert not blobs.delete(sha256, unless_after=time.time() - HOUR)
    assert blobs.get(sha256) == b"a picture"


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "0" * 63, "0" * 65, "A" * 64, "0" * 62 + "/0"])
def test_only_a_sha256_leads_to_a_blob(blobs: Blobs, name: str) -> None:
    for call in (blobs.get, blobs.exists, blobs.delete):
        with pytest.raises(NotFound, match="SHA-256"):
            call(name)


def test_a_blob_that_was_changed_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path))
    sha256 = blobs.put(b"a picture")
    (tmp_path / sha256[:2] / sha256[2:]).write_bytes(b"a Picture")
    with pytest.raises(BadArtifact, match="changed"):
        blobs.get(sha256)


def test_putting_again_makes_a_blob_young(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path))
    sha256 = blobs.put(b"a picture")
    os.utime(tmp_path / sha256[:2] / sha256[2:], (0, 0))
    blobs.put(b"a picture")
    assert not blobs.delete(sha256, unless_after=time.time() - HOUR)


def test_putting_again_elsewhere_makes_a_blob_young_once_it_has_grown_old(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs.put(b"a picture")
    first = next(iter(blobs)).modified
    while first.is_integer() and time.time() < first + 1:  # S3 tells whole seconds
        time.sleep(0.05)
    monkeypatch.setattr("mingmu.registry.blobs.time.time", lambda: first + REMOTE_REFRESH + 1)
    blobs.put(b"a picture")
    assert next(iter(blobs)).modified > first


def test_a_stream_that_breaks_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError("the line went dead")

    with pytest.raises(OSError, match="dead"):
        blobs.put_stream(Broken())
    assert list(blobs) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_work_aside_is_swept_when_it_is_old(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path))
    (tmp_path / "aside/left").touch()
    assert blobs.sweep(time.time() - HOUR) == 0
    assert blobs.sweep(time.time() + HOUR) == 1


def test_a_url_of_no_known_kind_is_a_bad_setting() -> None:
    with pytest.raises(BadSettings, match="blobs_url"):
        Blobs("nonsense://bucket")
