"""Tiny videos, made by the library that reads them."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np

CODECS = {".mp4": "mp4v", ".avi": "FFV1", ".mkv": "FFV1", ".webm": "VP80"}
RGB = {"red": (250, 10, 10), "green": (10, 250, 10), "blue": (10, 10, 250)}


def make(path: Path, colours: tuple[str, ...] = ("red", "green", "blue"), *, size: tuple[int, int] = (64, 48)) -> Path:
    """A video of 10 frames a second that shows each colour for one second."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # as the reader sets it; it is read once
    import cv2

    codec = cv2.VideoWriter.fourcc(*CODECS[path.suffix])
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, 10, size)
    for colour in colours:
        for _ in range(10):
            writer.write(np.full((size[1], size[0], 3), RGB[colour][::-1], np.uint8))
    writer.release()
    return path


def turned(path: Path) -> Path:
    """The MP4 with a note that it is to be shown a quarter turn clockwise (ISO 14496-12, section 8.3.2)."""
    data = bytearray(path.read_bytes())
    matrix = data.find(b"tkhd") + 44
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path
