"""What a training leaves on the disk: whether it fits there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def no_room(what: str, needed: int, folder: Path, error: Exception) -> OSError:
    """The error that so many bytes could not be written into a folder, with what it has left."""
    free = shutil.disk_usage(folder).free
    return OSError(f"{what} cannot be written to {folder}: {needed / 1e6:.1f} MB are needed, {free / 1e6:.1f} MB are free ({error})")


def reserve(file: Path, what: str) -> None:
    """Have the disk set aside all bytes of a sparse file: one that is mapped into memory meets a full disk as a signal, and dies of it.

    Raises OSError where they do not fit, and removes the file.
    """
    size = file.stat().st_size
    try:
        if hasattr(os, "posix_fallocate"):  # macOS has none
            with file.open("r+b") as opened:
                os.posix_fallocate(opened.fileno(), 0, size)
    except OSError as error:
        file.unlink()
        raise no_room(what, size, file.parent, error) from error
