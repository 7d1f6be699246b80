"""The folder of a batch that is not over. A process killed at any moment leaves one from which the next goes on.

    list      an item a line, in the order of the rows: what there was to look at when the batch began
    begun     what it is about: recognizer, input, options; written last, so that the list is whole where it is there
    rows      the row of each item so far, a JSON line each
    result    the same in the format that was asked for; in the making
    lock      whoever holds it works here

The number of whole rows is the place to go on from: nothing is looked at twice, nothing is left out. Rows are counted in
portions, each looked at together, so that a batch that was cut short gives the very scores of one that was not.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import orjson

from mingmu.batch.rows import path_of
from mingmu.batch.sources import Item, Source
from mingmu.core.errors import BadRequest, Conflict

if TYPE_CHECKING:
    from filelock import FileLock

PORTION = 8  # images that go through the network together; measured: small ones on a thread per core are the fastest
SYNCED_AFTER = 1.0  # seconds that a power cut may cost

Wait = Callable[[], object]  # takes its time


@dataclass(frozen=True)
class Work:
    """An unfinished batch, held by this process."""

    folder: Path
    images: int  # all that are to be looked at
    done: int  # when it was opened

    @classmethod
    @contextmanager
    def open(cls, folder: Path, source: Source, about: Mapping[str, Any], restart: bool, wait: Wait | None = None) -> Iterator[Self]:
        """Go on with what lies in a folder, or begin. What was not begun leaves nothing behind.

        Raises Conflict where another process is at it, unless `wait` is to be called until that one has let go, and where what lies
        there is about something else.
        """
        lock = _locked(folder, wait)
        try:
            images = _begin(folder, source, about, restart)
            yield cls(folder, images, _cut(folder, images))
        finally:
            if not (folder / "begun").exists():
                _remove(folder)
            lock.release()

    def portions(self) -> Iterator[list[Item]]:
        """What is still to be looked at."""
        with (self.folder / "list").open("rb") as lines:
            items = (Item(*json.loads(line)) for line in islice(lines, self.done, None))
            while portion := list(islice(items, PORTION)):
                yield portion

    @contextmanager
    def appending(self) -> Iterator[Appender]:
        """Where rows are added; on the disk at the end."""
        with self.rows.open("ab") as file:
            appender = Appender(file.fileno())
            try:
                yield appender
            finally:
                os.fsync(file.fileno())

    @property
    def rows(self) -> Path:
        return self.folder / "rows"

    @property
    def result(self) -> Path:
        return self.folder / "result"

    def remove(self) -> None:
        """Forget it: it is over."""
        (self.folder / "begun").unlink()  # first: what follows may be cut short


def discard(folder: Path) -> None:
    """Remove an unfinished batch, unless another process works there."""
    with suppress(Conflict):
        lock = _locked(folder, None)
        _remove(folder)
        lock.release()


class Appender:
    """Adds rows so that a killed process loses none, and a power cut those of a second."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._synced = time.monotonic()

    def __call__(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._handle, left) :]
        if time.monotonic() - self._synced > SYNCED_AFTER:
            os.fsync(self._handle)
            self._synced = time.monotonic()


def _locked(folder: Path, wait: Wait | None) -> FileLock:
    from filelock import FileLock, Timeout

    while True:
        folder.mkdir(parents=True, exist_ok=True)  # whoever was here before may have removed it
        lock = FileLock(folder / "lock")
        try:
            lock.acquire(timeout=0)
            return lock
        except Timeout:
            if wait is None:
                raise Conflict(f"another process works in {folder.name}; wait for it, or end it") from None
            wait()


def _remove(folder: Path) -> None:
    """Remove a folder whose lock we hold: that comes last, or another process would begin before the rest is gone."""
    for file in [*folder.iterdir()]:
        if file.name != "lock":
            file.unlink()
    shutil.rmtree(folder, ignore_errors=True)  # unless another has begun in it by now


def _begin(folder: Path, source: Source, about: Mapping[str, Any], restart: bool) -> int:
    """The number of images; lists them first where that was not done yet, or shall be done again."""
    begun = folder / "begun"
    if restart:
        begun.unlink(missing_ok=True)
    if begun.exists():
        known = json.loads(begun.read_bytes())
        images: int = known.pop("images")
        if changed := [f"{name} was {known.get(name)!r}, now {about.get(name)!r}" for name in about if known.get(name) != about.get(name)]:
            raise Conflict(f"{folder.name} holds another batch: {'; '.join(changed)}. Ask for the same again, or begin anew with --restart")
        return images
    (folder / "rows").unlink(missing_ok=True)
    images = _list(folder / "list", source.items(folder))
    _write(begun, json.dumps({**about, "images": images}).encode())
    return images


def _list(file: Path, items: Iterator[Item]) -> int:
    count = 0
    with file.open("w", encoding="ascii") as lines:
        for item in items:
            lines.write(json.dumps(item) + "\n")
            count += 1
        lines.flush()
        os.fsync(lines.fileno())
    if not count:
        raise BadRequest("there are no images in it; a batch takes the files whose names end like those of images")
    return count


def _cut(folder: Path, images: int) -> int:
    """How many rows are there in whole portions; what comes after them is cut off."""
    done = count = end = at = 0
    with (folder / "rows").open("ab+") as rows, (folder / "list").open("rb") as items:
        rows.seek(0)
        for line, item in zip(rows, items, strict=False):
            if not _is_about(line, Item(*json.loads(item))):
                break
            at += len(line)
            count += 1
            if count % PORTION == 0 or count == images:
                done, end = count, at
        rows.truncate(end)
    return done


def _is_about(line: bytes, item: Item) -> bool:
    """Whether a line is a whole row, of this item; after a power cut anything may stand there."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return line.endswith(b"\n") and isinstance(row, dict) and row.get("path") == path_of(item)


def _write(file: Path, data: bytes) -> None:
    """Write a file so that it is there as a whole or not at all."""
    part = file.with_suffix(".part")
    with part.open("wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())
    part.replace(file)
