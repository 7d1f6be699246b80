"""Draws number plates that no car has, to train readers on: python -m tools.make_plates OUT --kind latin --count 20000

OUT gets crops as a camera would see them, and a table of what stands on them, labels.csv. `latin` are European and American plates in many
formats; `chinese` are Chinese ones, for which `--cjk` names a font with the signs of the provinces, such as Noto Sans CJK. Fonts are those
of the system. The same seed draws the same plates.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from tools.plate_art import DIGITS, Plate, font_of, latin
from tools.plate_camera import jpeg, pasted, taken, turned

SCENES = Path(__file__).resolve().parents[1] / "../shared/data/plates-eu/train/images"
SIZE = (256, 64)  # pixels of a plate as it is drawn
AROUND = 64  # pixels of something else around it
KEPT = (160, 40)  # and of the crop that is kept
CHINESE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # without I and O
PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
FONTS = ("DejaVuSans-Bold.ttf", "DejaVuSansCondensed-Bold.ttf", "LiberationSans-Bold.ttf", "LiberationSansNarrow-Bold.ttf",
         "LiberationMono-Bold.ttf", "LiberationSans-Regular.ttf")  # fmt: skip
CHINESE_COLOURS = (  # ground, ink, how often
    ((20, 60, 160), (245, 245, 245), 0.62), ((235, 180, 20), (15, 15, 15), 0.1), ((120, 205, 140), (15, 15, 15), 0.2),
    ((235, 235, 235), (15, 15, 15), 0.05), ((20, 20, 20), (240, 240, 240), 0.03),
)  # fmt: skip

Colour = tuple[int, int, int]
Pixels = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--kind", choices=("latin", "chinese"), default="latin")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenes", type=Path, default=SCENES, help="a folder of photos that Latin plates are put into")
    parser.add_argument("--cjk", help="a font file with Chinese signs")
    parser.add_argument(
        "--real", type=Path, help="a folder of real plates named after their texts, which are learned from and tested on, too"
    )
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    scenes = sorted(given.scenes.glob("*.jpg"))
    with (given.out / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("path", "text", "split"))
        for number in range(given.count):
            rng = np.random.default_rng((given.seed, number))
            name = f"{number:06}.jpg"
            if given.kind == "chinese":
                text, picture = chinese(rng, given.cjk)
                (given.out / name).write_bytes(photographed(picture, rng))
            else:
                plate = latin(rng)
                text = plate.text
                (given.out / name).write_bytes(seen(plate, rng, scenes))
            table.writerow((name, text, "val" if number % 50 == 0 and not given.real else "train"))
        for photo in sorted(given.real.glob("*.jpg")) if given.real else ():
            (given.out / photo.name).write_bytes(photo.read_bytes())
            table.writerow((photo.name, photo.stem, part_of(photo.stem)))


def part_of(text: str) -> str:
    """Which part a real plate is for: all photos of a plate are for the same."""
    share = hashlib.sha256(text.encode()).digest()[0]
    return "test" if share < 52 else "val" if share < 77 else "train"


def seen(plate: Plate, rng: np.random.Generator, scenes: Sequence[Path]) -> bytes:
    """A Latin plate as a camera and a detector of boxes give it: on some background, turned, and cut out along the edges of the photo."""
    width = float(np.clip(np.exp(rng.normal(np.log(130), 0.5)), 42, 320))
    corners = turned(plate.picture.size, width, rng)
    size = np.ptp(corners, axis=0)
    low = corners.min(axis=0) - size * rng.uniform((-0.02, -0.05), (0.1, 0.22))
    high = corners.max(axis=0) + size * rng.uniform((-0.02, -0.05), (0.1, 0.22))
    wide, tall = (max(8, round(side)) for side in (high - low).tolist())
    photo = _background(wide, tall, rng, scenes)
    photo = pasted(photo, plate.picture, corners - low, rng)
    return jpeg(taken(photo, rng, 0.3 + width / 130), rng)


def _background(wide: int, tall: int, rng: np.random.Generator, scenes: Sequence[Path]) -> Image.Image:
    """Some of a scene, or a colour."""
    if not scenes or rng.random() < 0.2:
        return Image.new("RGB", (wide, tall), tuple(int(level) for level in rng.integers(0, 256, 3)))
    scene = _scene(scenes[int(rng.integers(len(scenes)))])
    left, top = rng.uniform((0, 0), (scene.width * 0.6, scene.height * 0.6))
    across = float(rng.uniform(0.1, 0.4)) * scene.width
    return scene.transform(
        (wide, tall), Image.Transform.EXTENT, (left, top, left + across, top + across * tall / wide), Image.Resampling.BILINEAR
    )


@cache
def _scene(file: Path) -> Image.Image:
    with Image.open(file) as opened:
        return opened.convert("RGB").reduce(2)


def chinese(rng: np.random.Generator, cjk: str) -> tuple[str, Image.Image]:
    """A Chinese plate, or one line of a plate with two: its text, and its picture."""
    number = int(rng.choice(len(CHINESE_COLOURS), p=[share for *_, share in CHINESE_COLOURS]))
    ground, ink, _ = CHINESE_COLOURS[number]
    head = str(rng.choice(list(PROVINCES))) + str(rng.choice(list(CHINESE_LETTERS)))
    rest = "".join(rng.choice(list(DIGITS if rng.random() < 0.7 else CHINESE_LETTERS)) for _ in range(6 if number == 2 else 5))
    if number == 2 and rng.random() < 0.8:
        rest = str(rng.choice(list("DF"))) + "".join(rng.choice(list(DIGITS), 5))
    part = rng.random()
    shown = f"{head}.{rest}" if part < 0.88 else head if part < 0.93 else rest
    plate = Image.new("RGB", SIZE, _shifted(ground, rng))
    pen = ImageDraw.Draw(plate)
    if rng.random() < 0.6:
        pen.rounded_rectangle((2, 2, SIZE[0] - 3, SIZE[1] - 3), 5, outline=ink, width=2)
    _write(pen, shown, (6, 6, SIZE[0] - 6, SIZE[1] - 6), _shifted(ink, rng), str(rng.choice(FONTS)), rng, cjk)
    return shown.replace(".", ""), plate


def photographed(plate: Image.Image, rng: np.random.Generator, tilted: float = 0.6) -> bytes:
    """A crop as a camera and a detector give it: tilted, unevenly lit, blurred, coarse, noisy. A JPEG file."""
    width, height = SIZE
    slack = rng.uniform(-0.045, 0.045, (4, 2)) * (width, 1.6 * height)
    slope = float(rng.normal(0, 0.16)) * height if rng.random() < tilted else 0.0  # a crop along the edges of a photo, not of the plate
    wide, high = (float(rng.uniform(0, 0.12)) * width, float(rng.uniform(0, 0.25)) * height) if rng.random() < 0.5 else (0.0, 0.0)
    left, right, above, below = -wide, width + wide, -abs(slope) - high, height + abs(slope) + high  # and more than the plate
    corners = np.array([(left, above - slope), (left, below - slope), (right, below + slope), (right, above + slope)]) + slack
    behind = Image.new("RGB", (width + 2 * AROUND, height + 2 * AROUND), tuple(int(level) for level in rng.integers(20, 230, 3)))
    behind.paste(plate, (AROUND, AROUND))
    seen = behind.transform(SIZE, Image.Transform.QUAD, [float(side) for side in (corners + AROUND).ravel()], Image.Resampling.BICUBIC)
    pixels = np.asarray(seen, np.float32)
    (west, east), (north, south) = rng.uniform(0.55, 1.15, 2).tolist(), rng.uniform(0.75, 1.1, 2).tolist()
    light = np.linspace(west, east, width)[None, :, None] * np.linspace(north, south, height)[:, None, None]
    if rng.random() < 0.15:  # a shadow, or a reflection
        edge = int(rng.integers(width))
        light[:, edge : edge + int(rng.integers(20, width))] *= rng.uniform(0.5, 1.5)
    cast = rng.uniform(0.7, 1.0, 3) if rng.random() < 0.3 else 1.0  # of the light, or of a camera that sees more red than there is
    pixels = pixels * light * cast * rng.uniform(0.45, 1.1) + rng.uniform(-15, 40)
    seen = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    seen = seen.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 2.2)) if rng.random() < 0.7 else 0.0))
    if rng.random() < 0.2:
        seen = seen.filter(ImageFilter.BoxBlur((int(rng.integers(1, 4)), 0)))
    across = int(rng.integers(44, KEPT[0]))
    seen = seen.resize((across, max(12, across // 4)), Image.Resampling.BILINEAR)
    noisy = np.asarray(seen, np.float32) + rng.normal(0, rng.uniform(0, 9), (seen.height, seen.width, 1)).astype(np.float32)
    if rng.random() < 0.1:
        noisy = noisy.mean(axis=2, keepdims=True).repeat(3, axis=2)
    seen = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).resize(KEPT, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    seen.save(file, "JPEG", quality=int(rng.integers(55, 95)))
    return file.getvalue()


def _shifted(colour: Colour, rng: np.random.Generator) -> Colour:
    return tuple(int(np.clip(level + rng.normal(0, 18), 0, 255)) for level in colour)  # type: ignore[return-value]


def _write(
    pen: ImageDraw.ImageDraw,
    shown: str,
    area: tuple[int, int, int, int],
    ink: Colour,
    font: str,
    rng: np.random.Generator,
    cjk: str | None = None,
) -> None:
    """The characters side by side, each as wide as its place, from edge to edge."""
    left, top, right, bottom = area
    shares = [1.0 if character.isalnum() else float(rng.uniform(0.25, 0.6)) for character in shown]
    most = (bottom - top) * 0.75  # pixels that a character is wide at most
    unit = min((right - left) * float(rng.uniform(0.72, 1.0)) / sum(shares), most)
    x = left + (right - left - unit * sum(shares)) / 2 * (1 + float(rng.uniform(-0.8, 0.8)))
    tall = (bottom - top) * float(rng.uniform(0.62, 1.0))
    bold = int(rng.random() < 0.3)
    fill = float(rng.uniform(0.68, 0.95))
    middle = (top + bottom) / 2
    for character, share in zip(shown, shares, strict=True):
        if character.isalnum():
            _stamp(pen, character, (x + unit / 2, middle), (unit * fill, tall), ink, cjk if cjk and not character.isascii() else font, bold)
        elif character == "-":
            pen.line((x + unit * share * 0.2, middle, x + unit * share * 0.8, middle), ink, 4)
        elif character == "." and rng.random() < 0.7:
            radius = float(rng.uniform(2.5, 6))
            tint = ink if cjk or rng.random() < 0.5 else tuple(int(level) for level in rng.integers(0, 255, 3))
            pen.ellipse((x + unit * share / 2 - radius, middle - radius, x + unit * share / 2 + radius, middle + radius), tint)
        x += unit * share


def _stamp(
    pen: ImageDraw.ImageDraw, character: str, middle: tuple[float, float], size: tuple[float, float], ink: Colour, font: str, bold: int
) -> None:
    """One character, stretched to its place: plates have letters of their own, narrower than those of any font here."""
    letter = font_of(font, 96)
    left, top, right, bottom = letter.getbbox(character, stroke_width=2 * bold)
    mask = Image.new("L", (max(1, int(right - left)), max(1, int(bottom - top))))
    ImageDraw.Draw(mask).text((-left, -top), character, 255, letter, stroke_width=2 * bold)
    narrow = {"I": 0.3, "J": 0.8, "1": 0.55}.get(character)  # of a place; letters that are stretched to it no plate has
    width = size[0] * (1.0 if narrow is None else narrow)
    mask = mask.resize((max(2, round(width)), max(2, round(size[1]))), Image.Resampling.BILINEAR)
    pen.bitmap((round(middle[0] - mask.width / 2), round(middle[1] - mask.height / 2)), mask, ink)


if __name__ == "__main__":
    main()
