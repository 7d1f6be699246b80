"""Writes pictures with their answers drawn on them: one into a file, any number into a folder."""

from __future__ import annotations

from pathlib import Path

from mingmu.core.answers import Answer
from mingmu.core.errors import BadRequest
from mingmu.core.pixels import Pixels, encode_jpeg, encode_png
from mingmu.data.readers.entry import IMAGE_SUFFIXES

FILES = (".jpg", ".jpeg", ".png")


class Drawings:
    """Where the drawings go: a file, if the name ends like that of a picture, else a folder, which is made."""

    def __init__(self, target: Path) -> None:
        """Raises BadRequest where nothing can be written."""
        ending = target.suffix.lower()
        if ending in FILES:
            if target.is_dir():
                raise BadRequest(f"{target} is a folder; drawings into it would need a name that does not end in {ending}")
            if not target.parent.is_dir():
                raise BadRequest(f"there is no folder {target.parent} to draw {target.name} into")
        elif not target.is_dir() and (ending in IMAGE_SUFFIXES or target.exists()):
            raise BadRequest(f"{target.name} cannot be drawn into; give a file that ends in {', '.join(FILES)}, or a folder")
        self._target = target
        self._taken: set[Path] = set()

    def place(self, source: str) -> Path:
        """The file for the picture of a source, in the order of the sources. Raises BadRequest where there is but one file."""
        if self._target.suffix.lower() in FILES:
            if self._taken:
                raise BadRequest(f"{self._target.name} is one file, and {source} a second picture; give a folder to draw several into")
            place = self._target
        else:
            self._target.mkdir(parents=True, exist_ok=True)
            place = self._free(_name(source))
        self._taken.add(place)
        return place

    def _free(self, name: str) -> Path:
        place, number = self._target / f"{name}.jpg", 2
        while place in self._taken:
            place, number = self._target / f"{name}-{number}.jpg", number + 1
        return place


def _name(source: str) -> str:
    """What a picture is called without its ending; a moment of a video keeps its time."""
    path, moment, time = source.rpartition("#t=")
    return f"{Path(path).stem}-{time}" if moment else Path(source).stem.removeprefix("-") or "stdin"


def write(place: Path, pixels: Pixels, answer: Answer, size: tuple[int, int]) -> None:
    """Draw an answer on a picture uint8 [H, W, 3], in whose own `size` the answer's places are, and write it."""
    from mingmu.core.drawing import QUALITY, draw_on

    drawn = draw_on(pixels, answer, size)
    place.write_bytes(encode_png(drawn) if place.suffix.lower() == ".png" else encode_jpeg(drawn, QUALITY))
