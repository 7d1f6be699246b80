"""Draws an answer on its picture."""

from __future__ import annotations

import colorsys
import logging
import math
import zlib
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mingmu.core.answers import Answer, Box, Boxes, Labels
from mingmu.core.labels import on_one_line
from mingmu.core.pixels import Limits, Pixels, encode_jpeg, whole

log = logging.getLogger("mingmu.core")

MOST_SIDE = 4096  # pixels; larger pictures are drawn smaller
LEAST_SIDE = 320  # pixels; smaller pictures are drawn larger, or nobody could read what is written on them
LONGEST = 100  # characters of a label
CROWD = 100  # labels that keep out of each other's way; with more, nothing can be read anyway
QUALITY = 90
FOLDERS = (
    "/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts",
    "/System/Library/Fonts", "/Library/Fonts", "C:/Windows/Fonts",
)  # fmt: skip
WIDE = (
    "NotoSansCJK*", "NotoSansSC*", "SourceHanSans*", "wqy-*", "DroidSansFallback*", "PingFang*", "msyh*", "simhei*", "Hiragino Sans GB*",
)  # fmt: skip
FONTS = (".ttf", ".ttc", ".otf")

Colour = tuple[int, int, int]
Area = tuple[float, float, float, float]  # left, top, right, bottom


def draw(image: bytes, answer: Answer, *, limits: Limits = Limits(), most: int = MOST_SIDE) -> bytes:
    """A JPEG of an image file, upright, with an answer about it drawn on it; no side longer than `most`. Raises BadImage."""
    frame = whole(image, limits, most)
    return encode_jpeg(draw_on(frame.pixels, answer, frame.original), QUALITY)


def draw_on(pixels: Pixels, answer: Answer, size: tuple[int, int]) -> Pixels:
    """The picture uint8 [H, W, 3] with an answer on it, whose places are those of a picture of `size`, width and height."""
    canvas = Image.fromarray(pixels)
    enlarge = math.ceil(LEAST_SIDE / max(canvas.size)) if max(canvas.size) < LEAST_SIDE else 1
    if enlarge > 1:
        canvas = canvas.resize((canvas.width * enlarge, canvas.height * enlarge), Image.Resampling.BICUBIC)
    pen = _Pen(canvas)
    if isinstance(answer, Labels):
        lines = [f"{one.label} {one.score:.0%}" for one in answer.labels]
        pen.list(["not sure", *lines] if answer.abstain else lines)
    else:
        across, down = canvas.width / size[0], canvas.height / size[1]
        placed = [(box, _area(box, across, down)) for box in answer.boxes]
        for box, area in reversed(placed):  # the surest lie on top
            if isinstance(answer, Boxes):
                pen.frame(area, colour_of(box.label))
                pen.dots([(x * across, y * down) for x, y in box.landmarks], colour_of(box.label))
            else:
                pen.outline([(x * across, y * down) for x, y in box.landmarks], colour_of(box.label))
        for box, area in placed:  # and have the first choice of where their label goes
            scored = not isinstance(answer, Boxes) or answer.scored
            pen.tag(f"{box.label} {box.score:.0%}" if scored else box.label, area, colour_of(box.label))
    return np.asarray(canvas)


def colour_of(label: str) -> Colour:
    """The colour of a label: the same on every picture."""
    hue = zlib.crc32(label.encode()) / 2**32
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def _area(box: Box, across: float, down: float) -> Area:
    return box.x * across, box.y * down, (box.x + box.width) * across, (box.y + box.height) * down


class _Pen:
    """Draws on one picture, with lines and letters that suit its size."""

    def __init__(self, canvas: Image.Image) -> None:
        self._draw = ImageDraw.Draw(canvas)
        self._size = canvas.size
        self._line = max(2, round(max(canvas.size) / 320))
        self._letters = max(13, round(max(canvas.size) / 45))
        self._pad = max(2, self._letters // 5)
        self._taken: list[Area] = []

    def frame(self, area: Area, colour: Colour) -> None:
        """A box, its line inside of it, with a dark edge that shows on bright ground."""
        left, top, right, bottom = area
        right, bottom = min(right, self._size[0]) - 1, min(bottom, self._size[1]) - 1
        if right <= left or bottom <= top:
            return
        self._draw.rectangle((left, top, right, bottom), outline=(0, 0, 0), width=self._line + 1)
        self._draw.rectangle((left, top, right, bottom), outline=colour, width=self._line)

    def dots(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """Landmarks, with a dark edge."""
        for x, y in points:
            self._draw.circle((x, y), 1.5 * self._line, fill=colour, outline=(0, 0, 0))

    def outline(self, corners: list[tuple[float, float]], colour: Colour) -> None:
        """A line around what may lie at any angle, with a dark edge that shows on bright ground."""
        for width, ink in ((self._line + 2, (0, 0, 0)), (self._line, colour)):
            self._draw.line([*corners, *corners[:2]], fill=ink, width=width, joint="curve")

    def tag(self, text: str, area: Area, colour: Colour) -> None:
        """A label of a box: above it, or else where it is inside the picture, and on no other."""
        text, font = self._fitted(text)
        width, height = self._extent(text, font)
        left, top, right, bottom = area
        inner = [(left, top), (right - width, top), (left, bottom - height), (right - width, bottom - height)]
        wished = [(left, top - height), *inner[:2], (left, bottom), *inner[2:]]
        places = [(x, y, x + width, y + height) for x, y in wished]
        inside = [place for place in places if place[1] >= 0 and place[3] <= self._size[1]] or places[1:2]
        inside = [self._pushed(place) for place in inside]
        others = self._taken[:CROWD]
        chosen = next((place for place in inside if not any(_meet(place, other) for other in others)), inside[0])
        self._write(text, font, chosen, colour)

    def list(self, lines: list[str]) -> None:
        """Lines in the left upper corner."""
        y = 0.0
        for line in lines:
            text, font = self._fitted(line)
            width, height = self._extent(text, font)
            self._write(text, font, (0, y, width, y + height), (255, 255, 255))
            y += height

    def _write(self, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, place: Area, colour: Colour) -> None:
        self._taken.append(place)
        dark = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 140
        self._draw.rectangle(place, fill=colour)
        middle = (place[1] + place[3]) / 2
        self._draw.text((place[0] + self._pad, middle), text, fill=(255, 255, 255) if dark else (0, 0, 0), font=font, anchor="lm")

    def _pushed(self, place: Area) -> Area:
        """The same area, moved into the picture."""
        x = min(max(place[0], 0), max(0, self._size[0] - (place[2] - place[0])))
        y = min(max(place[1], 0), max(0, self._size[1] - (place[3] - place[1])))
        return x, y, x + place[2] - place[0], y + place[3] - place[1]

    def _fitted(self, text: str) -> tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont]:
        """The text on one line, cut where the picture ends, and the font that has its letters."""
        text = on_one_line(text[:LONGEST])
        font = _font(self._letters, wide=max(map(ord, text)) > 0x24F)
        cut = text
        while len(cut) > 1 and self._extent(cut, font)[0] > self._size[0]:
            cut = f"{cut[: max(0, len(cut) - 2)]}…"
        return cut, font

    def _extent(self, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> tuple[float, float]:
        return self._draw.textlength(text, font=font) + 2 * self._pad, self._letters * 1.25 + 2 * self._pad


def _meet(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@cache
def _font(size: int, *, wide: bool) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, which has Latin letters; for others one that is installed, if there is one."""
    file = _wide_font(FOLDERS) if wide else None
    return ImageFont.truetype(file, size) if file else ImageFont.load_default(size)


@cache
def _wide_font(folders: tuple[str, ...]) -> str | None:
    """A font of the system with Chinese, Japanese and Korean signs."""
    for folder in map(Path, folders):
        found = [file for pattern in WIDE for file in sorted(folder.expanduser().rglob(pattern))]
        files = [file for file in found if file.suffix.lower() in FONTS]
        if files:
            return str(files[0])
    log.warning("no font with Chinese, Japanese or Korean signs is installed, so they are drawn as boxes; Debian has fonts-noto-cjk")
    return None
