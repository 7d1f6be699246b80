"""A folder as a zip that is never anywhere as a whole: it is made as it is sent."""

from __future__ import annotations

import asyncio
import io
import os
import zipfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from mingmu.client.progress import Progress
from mingmu.core.errors import BadRequest

PIECE = 2**18  # bytes that are read, and sent, at a time
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first day that a zip knows: nobody needs to know when a photo was changed
STEP = "uploading"


@dataclass(frozen=True)
class Archive:
    """What is to be sent; can be gone through again when a request has to be repeated."""

    source: Path
    files: tuple[tuple[str, Path], ...]  # name in the archive, file; empty: the source is an archive itself
    size: int  # bytes of all files
    progress: Progress

    @classmethod
    def of(cls, source: str | os.PathLike[str], progress: Progress) -> Archive:
        """Look through a folder, or take an archive as it is. Links are left out. Raises BadRequest, OSError."""
        source = Path(source)
        if not source.is_dir():
            return cls(source, (), source.stat().st_size, progress)
        found = sorted(path for path in source.rglob("*") if path.is_file() and not path.is_symlink())
        if not found:
            raise BadRequest(f"there are no files in {source}")
        files = tuple((path.relative_to(source).as_posix(), path) for path in found)
        return cls(source, files, sum(path.stat().st_size for path in found), progress)

    def __iter__(self) -> Iterator[bytes]:
        done = 0
        for piece in self._zip() if self.files else _pieces(self.source):
            done += len(piece)
            yield piece
            self.progress(STEP, min(1.0, done / max(1, self.size)))

    async def aside(self) -> AsyncIterator[bytes]:
        """The same, for those who must not wait for a disk."""
        pieces = iter(self)
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece

    def _zip(self) -> Iterator[bytes]:
        out = _Outbox()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:  # photos are compressed already
            for name, path in self.files:
                with archive.open(zipfile.ZipInfo(name, EPOCH), "w", force_zip64=path.stat().st_size >= 2**31) as entry:
                    for piece in _pieces(path):
                        entry.write(piece)
                        if len(out.waiting) >= PIECE:
                            yield out.take()
        yield out.take()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


class _Outbox(io.RawIOBase):
    """Where the zip is written to: it cannot go back, and holds only what was not yet sent."""

    def __init__(self) -> None:
        self.waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self.waiting += piece
        return len(piece)

    def take(self) -> bytes:
        taken = bytes(self.waiting)
        self.waiting.clear()
        return taken
