"""Videos to pictures: the one place where a video file is decoded (the extra `video`: OpenCV, with FFmpeg inside).

What counts is the content of a file, never its name: FFmpeg would take playlists, too, which name further files.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

import numpy as np

from mingmu.core.duration import seconds_in
from mingmu.core.errors import BadImage, BadRequest, MissingExtra
from mingmu.core.pixels import Limits, Pixels

if TYPE_CHECKING:
    from cv2 import VideoCapture

HEAD = 512  # bytes that tell a video from other files
MILLISECOND = 0.001  # as fine as times are told
STILL_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}  # of ISO media files: pictures
MOVIE_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # one of them begins an MP4 or QuickTime file
SIGNATURES = (
    b"FLV\x01",
    b"OggS",
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG video
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF: WMV
)
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # Matroska, WebM: RFC 8794, RFC 9559
MOST_BOXES = 1_000_000  # that are counted; a recording in pieces has some two a second
TS_PACKET = 188  # bytes of an MPEG transport stream's packet, which begins with 0x47


@dataclass(frozen=True, slots=True)
class Every:
    """How often a video is looked at: once in so many seconds, or once in so many frames."""

    seconds: float = math.inf
    frames: float = math.inf

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a time, as `0.5s` or `1m30s`, or frames, as `10f`. Raises BadRequest."""
        frames = re.fullmatch(r"([0-9]{1,9})f", text)
        step = cls(frames=int(frames[1])) if frames else cls(seconds=seconds_in(text))
        if step.frames < 1 or step.seconds < MILLISECOND:
            raise BadRequest(f"{text!r} is no step in a video; write a time as in 0.5s (at least {MILLISECOND:g}s), or frames as in 10f")
        return step


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture of a video."""

    seconds: float  # from its beginning
    pixels: Pixels  # uint8 [H, W, 3], RGB, upright


def is_video(head: bytes) -> bool:
    """Whether the first `HEAD` bytes are those of a video that may be decoded."""
    if head[4:8] in MOVIE_BOXES:
        return head[4:8] != b"ftyp" or head[8:12] not in STILL_BRANDS
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    if head[:1] == b"\x47":
        return head[TS_PACKET : TS_PACKET + 1] == b"\x47"
    return head.startswith((EBML, *SIGNATURES))


def shots(path: Path, every: Every, limits: Limits = Limits(), *, threads: int = 1) -> Iterator[Shot]:
    """The pictures of a video at the times asked for: the first frame, then the first of each further step.

    All frames in between are decoded, for each builds on those before it. Raises MissingExtra, BadImage, ImageTooLarge;
    a file that is cut short gives what it has, and raises BadImage at its end.
    """
    cut = _shortfall(path)
    with closing(_Tape(path, limits, threads)) as tape:
        yield from tape.shots(every)
        if cut or not tape.frames:
            raise BadImage(cut or "the video has no picture that can be decoded")


class _Tape:
    """A video that is being decoded."""

    def __init__(self, path: Path, limits: Limits, threads: int) -> None:
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # or it would write its own lines to stderr
        try:
            import cv2
        except ImportError as error:
            raise MissingExtra(f"videos need the package opencv-python-headless: pip install 'mingmu[video]' ({error})") from error
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        self.frames = 0
        self._limits = limits
        options = [cv2.CAP_PROP_N_THREADS, threads]
        # An absolute path, for what has a colon would be taken for an address.
        self._capture: VideoCapture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG, options)
        if not self._capture.isOpened():
            raise BadImage(_shortfall(path) or "the video cannot be decoded: it is damaged, of an unknown kind, or has no pictures")
        width, height = (int(self._capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        limits.check_size(width, height)

    def shots(self, every: Every) -> Iterator[Shot]:
        import cv2

        due = -math.inf
        while self._capture.grab():
            seconds, number = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3, self.frames
            self.frames += 1
            if math.isinf(every.seconds):
                wanted = number % every.frames == 0
            elif wanted := seconds + MILLISECOND >= due:
                due = (math.floor((seconds + MILLISECOND) / every.seconds) + 1) * every.seconds
            if wanted:
                yield Shot(seconds, self._pixels())

    def _pixels(self) -> Pixels:
        import cv2

        found, picture = self._capture.retrieve()  # turned upright as the file says
        if not found:
            raise BadImage(f"frame {self.frames} of the video is damaged")
        self._limits.check_size(picture.shape[1], picture.shape[0])  # it may change within a video
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)

    def close(self) -> None:
        self._capture.release()


def _shortfall(path: Path) -> str:
    """What a file lacks of what its own structure says; nothing where it is whole, or does not say."""
    with path.open("rb") as file:
        have, head = path.stat().st_size, file.read(HEAD)
        if head[:4] == b"RIFF":
            should = 8 + int.from_bytes(head[4:8], "little")
        elif head.startswith(EBML):
            should = _matroska_size(head)
        elif head[4:8] in MOVIE_BOXES:
            should = _boxes_size(file, have)
        else:
            should = 0
    return f"the video is cut short: {have} of {should} bytes are there" if should > have else ""


def _boxes_size(file: BinaryIO, have: int) -> int:
    """Where the last box of an MP4 or QuickTime file ends (ISO 14496-12, section 4.2), as far as the file goes."""
    end = 0
    for _ in range(MOST_BOXES):
        if end + 8 > have:
            break
        file.seek(end)
        header = file.read(16)
        size = int.from_bytes(header[:4])
        if size == 1:
            size = int.from_bytes(header[8:16])
        if size < 8:  # 0: to the end of the file
            return have
        end += size
    return end


def _matroska_size(head: bytes) -> int:
    """Where the segment of a Matroska file ends; 0 where it does not say, as live recordings do not."""
    start = head.find(SEGMENT) + len(SEGMENT)
    if start < len(SEGMENT) or start >= len(head) or not head[start]:
        return 0
    width = 9 - head[start].bit_length()
    size = int.from_bytes(head[start : start + width]) & ((1 << 7 * width) - 1)
    return 0 if size == (1 << 7 * width) - 1 else start + width + size
