"""What outlasts a power cut, and what is there as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, would outlast a power cut."""
    if path.is_dir() and os.name != "posix":  # there a folder cannot be flushed, and need not be
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def private_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that only its owner may read, and that takes its place when the block ends; after an error, what was there before is there.

    A pipe or a device is written as it is.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as there:
            yield there
        return
    place = path.resolve()  # a link keeps pointing to it
    handle, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)  # mode 600
    aside = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        aside.replace(place)
    except BaseException:
        aside.unlink()
        raise
