"""Draws number plates of Europe and America that no car has: their text, and their picture from the front."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

HEIGHT = 96  # pixels of a plate as it is drawn
LETTERS, DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
FONTS = (  # of Debian's packages fonts-dejavu, -liberation, -opendin, -roadgeek, -roboto-unhinted, -hack, -b612 and -urw-base35
    "OSP-DIN.ttf", "OSP-DIN.ttf", "RG2014C.ttf", "RG2014D.ttf", "RG2014E.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSansCondensed-Bold.ttf",
    "DejaVuSansCondensed.ttf", "LiberationSans-Bold.ttf", "LiberationSansNarrow-Bold.ttf", "LiberationSansNarrow-Regular.ttf",
    "LiberationMono-Bold.ttf", "RobotoCondensed-Bold.ttf", "RobotoCondensed-Medium.ttf", "Roboto-Medium.ttf", "Hack-Bold.ttf",
    "B612Mono-Bold.otf", "NimbusSansNarrow-Bold.otf", "Roboto-Bold.ttf", "Hack-Regular.ttf",
)  # fmt: skip
PLAIN = "LiberationSans-Bold.ttf"  # of what stands beside the text
EUROPE = (  # A a letter, 9 a digit, a blank: a gap, -: a hyphen, .: a dot, a seal or arms
    "AA 99 AAA", "AA 99 AAA", "A 999 AAA", "A 99 AAA", "A.AA 999", "AA.AA 9999", "AAA.A 99", "A.A 9999", "AA.AA 999", "AA99 AAA", "AA99AAA",
    "AA-999-AA", "AA 999AA", "AA 999 AA", "9999 AAA", "AAA 99999", "AA 99999", "AA 9999A", "99-AAA-9", "AA-99-99", "9-AAA-999", "AAA 999",
    "AAA-999", "AAA 99A", "9A9 9999", "9AA 9999", "AA 9999 AA", "AA.999 AA", "A 9999 AA", "AA 9999", "AA 99 999", "A 999999", "AAA 9999",
    "AA 999.AA", "99 AA 99", "AA-99999", "999-AA-999", "99-AA-99", "A99 9999", "AA.9999.AA", "999 AAA", "AA 999 A", "99 AAA 999",
)  # fmt: skip
STATES = ("AAA 999", "AAA-9999", "AAA.9999", "9AAA999", "999 AAA", "AA9 9AA", "A99 9AA", "999.AAA", "AA 99999", "999 9AA", "AAA9999",
          "A999999",          "AA9999A", "99 A999", "AA9 A999", "AAAAAA", "AAA 99A", "9A99999", "999999", "A99AAA")  # fmt: skip
BRAZIL = ("AAA-9999", "AAA-9999", "AAA.9999", "AAA 9999", "AAA9A99")
NATIONS = (
    "A", "B", "BG", "CH", "CY", "CZ", "D", "DK", "E", "EST", "F", "FIN", "GB", "GR", "H", "HR", "I", "IRL",
    "L", "LT", "LV", "M", "N", "NL", "P", "PL", "RO", "S", "SK", "SLO", "UA", "SRB",
)  # fmt: skip

Colour = tuple[int, int, int]
Area = tuple[float, float, float, float]  # left, top, right, bottom
SYLLABLES = "ca li for nia te xas o hi new vir gi mi chi gan ne va da ro al".split()  # noqa: SIM905 - a list of them is 19 lines
WHITE: Colour = (245, 245, 245)
BLUE: Colour = (20, 60, 160)


@dataclass(frozen=True, eq=False)
class Plate:
    """What stands on it, without what is no letter and no digit, and how it looks."""

    text: str
    picture: Image.Image


@dataclass(eq=False)
class _Sheet:
    """A plate that is being drawn."""

    width: int
    ground: Colour
    ink: Colour
    rng: np.random.Generator
    picture: Image.Image = field(init=False)
    pen: ImageDraw.ImageDraw = field(init=False)

    def __post_init__(self) -> None:
        self.picture = Image.new("RGB", (self.width, HEIGHT), self.ground)
        self.pen = ImageDraw.Draw(self.picture)

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def colour(self, low: int, high: int) -> Colour:
        red, green, blue = self.rng.integers(low, high, 3).tolist()
        return red, green, blue

    def say(self, text: str, middle: tuple[float, float], size: float, ink: Colour | None = None) -> None:
        self.pen.text(middle, text, ink or self.ink, font_of(PLAIN, max(5, round(size))), "mm")

    def border(self, often: float) -> None:
        if self.chance(often):
            inset, thick = (int(each) for each in self.rng.integers((0, 1), (4, 5)))
            self.pen.rounded_rectangle((inset, inset, self.width - 1 - inset, HEIGHT - 1 - inset), 8, outline=self.ink, width=thick)


def latin(rng: np.random.Generator) -> Plate:
    """A plate of some country."""
    kind = rng.random()
    plate = _european(rng) if kind < 0.66 else _american(rng) if kind < 0.84 else _brazilian(rng)
    return Plate(plate.text, _worn(plate.picture, rng))


def _european(rng: np.random.Generator) -> Plate:
    light = rng.random()
    ground: Colour = WHITE if light < 0.72 else (240, 195, 40) if light < 0.88 else (225, 228, 232)
    sheet = _Sheet(round(HEIGHT * float(rng.uniform(4.2, 5.0) if rng.random() < 0.9 else rng.uniform(3.0, 4.2))), ground, (15, 15, 18), rng)
    if sheet.chance(0.05):  # old ones
        sheet = _Sheet(sheet.width, (12, 12, 14), (225, 225, 225), rng)
    elif sheet.chance(0.12):
        sheet.ink = [(150, 20, 25), BLUE, (15, 90, 45)][rng.integers(3)]
    left, right = 8.0, sheet.width - 8.0
    if sheet.chance(0.75):
        left = _band(sheet, 0, sheet.between(0.38, 0.5) * HEIGHT) + 5
        if sheet.chance(0.2):
            right = sheet.width - sheet.between(0.35, 0.45) * HEIGHT
            _band(sheet, right, sheet.width - right)
            right -= 5
    sheet.border(0.75)
    shown = filled(str(rng.choice(EUROPE)), rng)
    tall = sheet.between(0.58, 0.82) * HEIGHT
    _write(sheet, shown, (left, (HEIGHT - tall) / 2, right, (HEIGHT + tall) / 2), _font(rng))
    return Plate(bare(shown), sheet.picture)


def _band(sheet: _Sheet, left: float, width: float) -> float:
    """The band of the European Union, or another one; gives its right edge."""
    sheet.pen.rectangle((left, 0, left + width, HEIGHT), fill=BLUE if sheet.chance(0.9) else sheet.colour(0, 120))
    middle, radius = left + width / 2, width * 0.32
    if sheet.chance(0.85):
        for star in range(12):
            x, y = middle + radius * math.cos(star * math.pi / 6), HEIGHT * 0.3 + radius * math.sin(star * math.pi / 6)
            sheet.pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=(240, 205, 40))
    if sheet.chance(0.85):
        sheet.say(str(sheet.rng.choice(NATIONS)), (middle, HEIGHT * 0.74), width * 0.5, WHITE)
    return left + width


def _american(rng: np.random.Generator) -> Plate:
    sheet = _Sheet(round(HEIGHT * float(rng.uniform(1.9, 2.15))), WHITE, (20, 20, 60), rng)
    sheet.ground, sheet.ink = sheet.colour(195, 256), sheet.colour(0, 100)
    if sheet.chance(0.12):
        sheet.ground, sheet.ink = sheet.colour(0, 90), sheet.colour(200, 256)
    sheet.pen.rectangle((0, 0, sheet.width, HEIGHT), fill=sheet.ground)
    if sheet.chance(0.6):  # a landscape, a sky
        other = tuple(int(np.clip(level + rng.normal(0, 35), 60, 255)) for level in sheet.ground)
        for y in range(HEIGHT):
            share = y / HEIGHT
            sheet.pen.line(
                (0, y, sheet.width, y), tuple(round(a * (1 - share) + b * share) for a, b in zip(sheet.ground, other, strict=True))
            )
        for _ in range(int(rng.integers(0, 4))):
            left, top, size = sheet.between(0, sheet.width), sheet.between(0, HEIGHT), sheet.between(8, 35)
            tone = tuple(int(np.clip(level + rng.normal(0, 25), 80, 255)) for level in other)
            sheet.pen.ellipse((left - size, top - size / 2, left + size, top + size / 2), tone)
    tint = sheet.ink if sheet.chance(0.4) else sheet.colour(0, 150)
    if sheet.chance(0.92):
        sheet.say(_words(rng).title() if sheet.chance(0.5) else _words(rng).upper(), (sheet.width / 2, 13), sheet.between(13, 20), tint)
    if sheet.chance(0.7):
        sheet.say(_words(rng) + " " + _words(rng), (sheet.width / 2, HEIGHT - 9), sheet.between(7, 13), tint)
    for x in (0.08, 0.92):
        if sheet.chance(0.4):  # stickers, of the month and the year
            sheet.pen.rectangle((x * sheet.width - 10, 4, x * sheet.width + 10, 20), fill=sheet.colour(30, 256))
    sheet.border(0.3)
    shown = filled(str(rng.choice(STATES)), rng)
    tall = sheet.between(0.42, 0.56) * HEIGHT
    middle = HEIGHT * sheet.between(0.48, 0.56)
    _write(sheet, shown, (7, middle - tall / 2, sheet.width - 7, middle + tall / 2), _font(rng))
    return Plate(bare(shown), sheet.picture)


def _brazilian(rng: np.random.Generator) -> Plate:
    sheet = _Sheet(round(HEIGHT * float(rng.uniform(2.9, 3.2))), (165, 168, 172), (20, 20, 20), rng)
    mercosul = sheet.chance(0.3)
    if mercosul:
        sheet.ground = WHITE
    elif sheet.chance(0.15):
        sheet.ground, sheet.ink = [(150, 30, 35), (30, 30, 32), (30, 60, 130)][rng.integers(3)], (235, 235, 235)
    sheet.pen.rectangle((0, 0, sheet.width, HEIGHT), fill=sheet.ground)
    if mercosul:
        sheet.pen.rectangle((0, 0, sheet.width, 0.23 * HEIGHT), fill=BLUE)
    place = str(rng.choice(["BRASIL", "ARGENTINA", "URUGUAY"])) if mercosul else f"{_words(rng)[:2]} - {_words(rng)}".upper()
    if sheet.chance(0.95):
        sheet.say(place, (sheet.width / 2, 0.12 * HEIGHT), 15, WHITE if mercosul else sheet.ink)
    sheet.border(0.6)
    shown = filled("AAA9A99" if mercosul else str(rng.choice(BRAZIL)), rng)
    top = sheet.between(0.27, 0.34) * HEIGHT
    _write(sheet, shown, (10, top, sheet.width - 10, top + sheet.between(0.5, 0.6) * HEIGHT), _font(rng))
    return Plate(bare(shown), sheet.picture)


def filled(pattern: str, rng: np.random.Generator) -> str:
    """A pattern with characters drawn for it; now and then a letter stands for a digit and the other way, as formats differ."""
    kinds = {"A": LETTERS, "9": DIGITS}
    either = LETTERS + DIGITS
    return "".join(str(rng.choice(list(either if rng.random() < 0.03 else kinds[each]))) if each in kinds else each for each in pattern)


def bare(shown: str) -> str:
    return "".join(character for character in shown if character.isalnum())


def _write(sheet: _Sheet, shown: str, area: Area, font: str) -> None:
    """The characters side by side, each in its place, from edge to edge or nearer together."""
    left, top, right, bottom = area
    shares = [1.0 if each.isalnum() else sheet.between(0.25, 0.75) for each in shown]
    most = (bottom - top) * sheet.between(0.55, 0.85)  # pixels that a character is wide at most
    unit = min((right - left) * sheet.between(0.82, 1.0) / sum(shares), most)
    free = right - left - unit * sum(shares)
    x = left + free / 2 * (1 + sheet.between(-0.8, 0.8))
    bold = int(sheet.rng.integers(0, 3)) if sheet.chance(0.35) else 0
    fill, natural, middle = sheet.between(0.72, 0.97), sheet.between(0, 1), (top + bottom) / 2
    for each, share in zip(shown, shares, strict=True):
        wide = unit * share
        if each.isalnum():
            _stamp(sheet, each, (x + wide / 2, middle), (unit * fill, bottom - top), font, bold, natural)
        elif each == "-":
            sheet.pen.line((x + wide * 0.2, middle, x + wide * 0.8, middle), sheet.ink, int(sheet.between(3, 7)))
        elif each == ".":
            _mark(sheet, x + wide / 2, wide, top, bottom)
        x += wide


def _mark(sheet: _Sheet, x: float, wide: float, top: float, bottom: float) -> None:
    """A dot, or one or two seals between groups, or arms."""
    kind, middle = sheet.rng.random(), (top + bottom) / 2
    if kind < 0.25:
        radius = sheet.between(2, 5)
        sheet.pen.ellipse((x - radius, middle - radius, x + radius, middle + radius), fill=sheet.ink)
        return
    radius = min(wide * 0.48, (bottom - top) * sheet.between(0.14, 0.24))
    for y in (middle,) if kind < 0.55 else (top + radius, bottom - radius):
        tint = sheet.colour(40, 240)
        if sheet.chance(0.3):
            sheet.pen.rounded_rectangle((x - radius, y - 1.2 * radius, x + radius, y + 1.2 * radius), 3, fill=tint)
        else:
            sheet.pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tint, outline=sheet.colour(0, 256))
        sheet.pen.ellipse((x - radius / 2, y - radius / 2, x + radius / 2, y + radius / 2), fill=sheet.colour(0, 256))


def _stamp(
    sheet: _Sheet, character: str, middle: tuple[float, float], size: tuple[float, float], font: str, bold: int, natural: float
) -> None:
    """One character, between its own shape and that of its place: plates have letters of their own, as wide as one another."""
    letter = font_of(font, HEIGHT)
    left, top, right, bottom = letter.getbbox(character, stroke_width=bold)
    mask = Image.new("L", (max(1, round(right - left)), max(1, round(bottom - top))))
    ImageDraw.Draw(mask).text((-left, -top), character, 255, letter, stroke_width=bold)
    own = mask.width * size[1] / mask.height
    place = size[0] * {"I": 0.3, "J": 0.8, "1": 0.5}.get(character, 1.0)
    mono = "Mono" in font or "Hack" in font  # whose I and 1 have feet
    width = own if character in "I1" and mono else own * natural + place * (1 - natural)
    mask = mask.resize((max(2, round(min(width, size[0] / 0.72))), max(2, round(size[1]))), Image.Resampling.BILINEAR)
    sheet.pen.bitmap((round(middle[0] - mask.width / 2), round(middle[1] - mask.height / 2)), mask, sheet.ink)


def _worn(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """With bolts, dirt and the shade of embossed letters, on some in a frame with the name of who sold the car."""
    pen = ImageDraw.Draw(picture)
    for x in (0.12, 0.33, 0.67, 0.88):
        if rng.random() < 0.12:
            radius, y = float(rng.uniform(2, 5)), float(rng.choice([0.12, 0.5, 0.88])) * HEIGHT
            level = int(rng.integers(30, 230))
            pen.ellipse((x * picture.width - radius, y - radius, x * picture.width + radius, y + radius), fill=(level,) * 3)
    if rng.random() < 0.3:
        shade = picture.filter(ImageFilter.EMBOSS).convert("L").convert("RGB")
        picture = Image.blend(picture, shade, float(rng.uniform(0.05, 0.2)))
    if rng.random() < 0.35:
        sides, above, below = int(rng.integers(2, 10)), int(rng.integers(2, 14)), int(rng.integers(4, 26))
        frame = int(rng.integers(5, 70))
        framed = Image.new("RGB", (picture.width + 2 * sides, HEIGHT + above + below), (frame,) * 3)
        framed.paste(picture, (sides, above))
        if below > 10 and rng.random() < 0.8:
            words = f"{_words(rng)} {_words(rng)}".upper() if rng.random() < 0.5 else f"www.{_words(rng)}.com"
            at = (framed.width / 2, framed.height - below / 2)
            ImageDraw.Draw(framed).text(at, words, (int(rng.integers(120, 256)),) * 3, font_of(PLAIN, round(below * 0.7)), "mm")
        picture = framed
    return picture


def _words(rng: np.random.Generator) -> str:
    """A word that nobody knows."""
    syllables = rng.choice(SYLLABLES, 3)
    return "".join(syllables)


def _font(rng: np.random.Generator) -> str:
    return str(rng.choice(FONTS))


_FONTS: dict[tuple[str, int], ImageFont.FreeTypeFont] = {}


def font_of(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font of the system by the name of its file; kept, for opening one takes long."""
    if (name, size) not in _FONTS:
        _FONTS[name, size] = ImageFont.truetype(name, size)
    return _FONTS[name, size]
