"""Looking at videos: their pictures at given times, each an image like any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from mingmu.core.answers import Answer, Wish
from mingmu.core.errors import MingmuError
from mingmu.core.pixels import Pixels
from mingmu.core.recognizer import Recognizer
from mingmu.core.video import HEAD, Every, is_video, shots
from mingmu.verbs.drawing import Drawings, write

VIDEO_SUFFIXES = frozenset((".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".flv", ".ogv", ".wmv"))
EACH_SECOND = Every(seconds=1)

Look = Callable[[], Answer | MingmuError]


def holds_video(source: str) -> bool:
    """Whether a path leads to a video; what cannot be read is none, and is reported by whoever reads it."""
    try:
        with Path(source).open("rb") as file:
            return is_video(file.read(HEAD))
    except (OSError, ValueError):  # ValueError: a null byte
        return False


def looks(
    recognizer: Recognizer, source: str, every: Every, *, wish: Wish, threads: int, drawings: Drawings | None = None
) -> Iterator[tuple[str, Look]]:
    """The moments of a video as `clip.mp4#t=1.500` (seconds; W3C Media Fragments, section 4.2.1), each with the call that looks at it.

    An error ends the video; it comes last, under the video's own name.
    """
    try:
        for shot in shots(Path(source), every, recognizer.limits, threads=threads):
            name = f"{source}#t={shot.seconds:.3f}"
            yield name, partial(_look, recognizer, shot.pixels, wish, drawings.place(name) if drawings else None)
    except MingmuError as error:
        failure = error
        yield source, lambda: failure


def _look(recognizer: Recognizer, pixels: Pixels, wish: Wish, place: Path | None) -> Answer | MingmuError:
    try:
        frame = recognizer.frame_of(pixels)
        answer = recognizer.interpret(recognizer.read(frame), wish)
        if place:
            write(place, pixels, answer, frame.original)
        return answer
    except MingmuError as error:
        return error
