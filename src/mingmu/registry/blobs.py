"""Blobs: bytes by their SHA-256, each kept once, in a local folder or at any URL that fsspec can reach.

<root>/ab/cdef…    the blob whose SHA-256 is abcdef…
<root>/aside/      local folders only: work in progress; nothing in here counts
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mingmu.core.errors import BadArtifact, BadSettings, MissingExtra, NotFound

SHA256 = re.compile(r"[0-9a-f]{64}")
CHUNK = 2**20
REMOTE_REFRESH = 12 * 3600.0  # seconds; a remote blob that is older is written anew when put again, so that gc sees it in use


@dataclass(frozen=True, slots=True)
class Blob:
    """One blob, as a listing shows it."""

    sha256: str
    size: int  # bytes
    modified: float  # seconds since 1970; putting the same bytes again counts


class Blobs:
    """A store of blobs. Several processes may use it at once."""

    def __init__(self, url: str) -> None:
        """Open `url`: a folder, or something like s3://bucket/prefix. Raises BadSettings, MissingExtra."""
        import fsspec
        from fsspec.implementations.local import LocalFileSystem

        try:
            self._fs, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            raise MissingExtra(f"blobs_url {url}: {error}; for S3: pip install 'mingmu[s3]'") from error
        except ValueError as error:
            raise BadSettings(f"blobs_url {url}: {error}") from error
        self._folder = Path(self._root) if isinstance(self._fs, LocalFileSystem) else None
        self._aside = self._folder / "aside" if self._folder else None
        if self._aside:
            self._aside.mkdir(parents=True, exist_ok=True)

    def put(self, data: bytes) -> str:
        """Keep some bytes; gives their SHA-256 in hexadecimal. The same bytes again cost nothing."""
        sha256 = hashlib.sha256(data).hexdigest()
        return sha256 if self._renew(sha256) else self.put_stream(io.BytesIO(data))

    def put_stream(self, stream: IO[bytes]) -> str:
        """Keep what a stream gives, whatever its length; gives its SHA-256."""
        hasher = hashlib.sha256()
        handle, name = tempfile.mkstemp(dir=self._aside)
        try:
            with open(handle, "wb") as part:  # noqa: PTH123 - a handle, not a path
                while chunk := stream.read(CHUNK):
                    hasher.update(chunk)
                    part.write(chunk)
                part.flush()
                os.fsync(handle)
            self._keep(Path(name), hasher.hexdigest())
        finally:
            Path(name).unlink(missing_ok=True)
        return hasher.hexdigest()

    def get(self, sha256: str) -> bytes:
        """The bytes with this SHA-256; raises NotFound, or BadArtifact where they were changed."""
        with self.open(sha256) as stream:
            return stream.read()

    def open(self, sha256: str) -> IO[bytes]:
        """The bytes as a stream, which raises BadArtifact at its end if they were changed; raises NotFound."""
        try:
            raw = self._fs.open(self._path(sha256), "rb")
        except FileNotFoundError:
            raise NotFound(f"no blob {sha256[:12]}… in {self._root}") from None
        return io.BufferedReader(_Verified(raw, sha256), CHUNK)

    def exists(self, sha256: str) -> bool:
        """Whether a blob is there."""
        return bool(self._fs.exists(self._path(sha256)))

    def delete(self, sha256: str, *, unless_after: float = math.inf) -> bool:
        """Forget a blob, unless somebody put it after this time; whether it was forgotten."""
        path = self._path(sha256)
        try:
            if self._aside:
                return _discard(Path(path), self._aside / sha256, unless_after)
            if _modified(self._fs.info(path)) > unless_after:
                return False
            self._fs.rm_file(path)
        except FileNotFoundError:
            return False
        return True

    def __iter__(self) -> Iterator[Blob]:
        """All blobs, in no order."""
        for path, info in self._fs.find(self._root, detail=True).items():
            sha256 = "".join(path.rsplit("/", 2)[-2:])
            if SHA256.fullmatch(sha256):
                yield Blob(sha256, info["size"], _modified(info))

    def sweep(self, before: float) -> int:
        """Remove work aside that nobody has touched since; gives how much."""
        abandoned = [path for path in self._aside.iterdir() if path.stat().st_mtime < before] if self._aside else []
        for path in abandoned:
            path.unlink(missing_ok=True)
        return len(abandoned)

    def _path(self, sha256: str) -> str:
        if not SHA256.fullmatch(sha256):
            raise NotFound(f"{sha256[:80]!r} is no SHA-256")
        return f"{self._root}/{sha256[:2]}/{sha256[2:]}"

    def _renew(self, sha256: str) -> bool:
        """Whether a blob is there already; if so it counts as put just now."""
        path = self._path(sha256)
        try:
            if self._folder:
                os.utime(path)
                return True
            return _modified(self._fs.info(path)) > time.time() - REMOTE_REFRESH
        except FileNotFoundError:
            return False

    def _keep(self, part: Path, sha256: str) -> None:
        path = self._path(sha256)
        if self._renew(sha256):
            return
        if self._folder:
            Path(path).parent.mkdir(exist_ok=True)
            part.chmod(0o644)
            part.replace(path)
        else:
            self._fs.put_file(str(part), path)


class _Verified(io.RawIOBase):
    """A stream that checks its SHA-256 when it has been read to the end."""

    def __init__(self, raw: IO[bytes], sha256: str) -> None:
        self._raw = raw
        self._sha256 = sha256
        self._hasher = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._raw.read(len(buffer))
        if not data and self._hasher.hexdigest() != self._sha256:
            raise BadArtifact(f"blob {self._sha256[:12]}… was changed: its bytes have the SHA-256 {self._hasher.hexdigest()[:12]}…")
        self._hasher.update(data)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _discard(path: Path, aside: Path, unless_after: float) -> bool:
    """Move the file away, look again, and put it back if it was renewed meanwhile: no lock needed."""
    if path.stat().st_mtime > unless_after:
        return False
    path.rename(aside)
    if aside.stat().st_mtime > unless_after:
        aside.rename(path)
        return False
    aside.unlink()
    return True


def _modified(info: dict[str, Any]) -> float:
    """When a file was written, in seconds since 1970; file systems disagree on the word and the type."""
    value = next(info[key] for key in ("mtime", "LastModified", "created") if key in info)
    return float(value) if isinstance(value, int | float) else float(value.timestamp())
