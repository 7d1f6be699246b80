"""Draws the pictures in src/mingmu/zoo/probe_images that prove the chains `text` and `plates`: python -m tools.make_text_probes CJK_FONT

CJK_FONT is a font file with Chinese signs, such as Noto Sans CJK. Nothing in them is anybody's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

FOLDER = Path(__file__).parents[1] / "src/mingmu/zoo/probe_images"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    text(sys.argv[1]).save(FOLDER / "text.png", optimize=True)
    plate(sys.argv[1]).save(FOLDER / "plate.jpg", quality=90)
    latin_plate().save(FOLDER / "latin-plate.jpg", quality=90)


def text(font: str) -> Image.Image:
    """Three lines, one of them tilted."""
    picture = Image.new("RGB", (640, 360), (244, 240, 230))
    pen = ImageDraw.Draw(picture)
    pen.text((40, 30), "MINGMU 2026", (30, 30, 60), ImageFont.truetype(font, 54))
    pen.text((40, 130), "明目 图像识别服务", (150, 30, 30), ImageFont.truetype(font, 44))
    line = Image.new("RGB", (420, 60), (244, 240, 230))
    ImageDraw.Draw(line).text((8, 6), "tilted by 8 degrees", (20, 90, 60), ImageFont.truetype(font, 36))
    turned = line.rotate(8, expand=True, fillcolor=(244, 240, 230), resample=Image.Resampling.BICUBIC)
    picture.paste(turned, (120, 225))
    return picture


def plate(font: str) -> Image.Image:
    """A Chinese plate on a dark bumper, a little from the side."""
    return _car(_lettered((440, 140), (20, 62, 165), (245, 245, 245), "京", "A·23456", font))


def latin_plate() -> Image.Image:
    """A European plate likewise."""
    return _car(_lettered((520, 112), (245, 245, 240), (15, 15, 15), "", "B 123 XYZ", "LiberationSansNarrow-Bold.ttf"))


def _lettered(
    size: tuple[int, int], ground: tuple[int, int, int], ink: tuple[int, int, int], head: str, rest: str, font: str
) -> Image.Image:
    canvas = Image.new("RGB", size, ground)
    pen = ImageDraw.Draw(canvas)
    pen.rounded_rectangle((4, 4, size[0] - 5, size[1] - 5), 8, outline=ink, width=4)
    middle = size[1] // 2
    start = 50
    if head:
        pen.text((58, middle), head, ink, ImageFont.truetype(font, 84), "mm")
        start = 112
    else:
        pen.rectangle((0, 0, 42, size[1]), fill=(20, 50, 150))
    letters = ImageFont.truetype("LiberationSansNarrow-Bold.ttf", 104 if head else 100)
    step = (size[0] - start - 14) / len(rest)
    for number, character in enumerate(rest):
        pen.text((start + step * (number + 0.5), middle), character, ink, letters, "mm")
    return canvas


def _car(front: Image.Image) -> Image.Image:
    """The front of a car that nobody built, with a plate on it."""
    y, x = np.mgrid[0:480, 0:640].astype(np.float32)
    body = np.stack([60 + 0.12 * y, 62 + 0.1 * y, 70 + 0.1 * y], axis=2) + 12 * np.sin(x / 60)[:, :, None]
    body[300:420] *= 0.55
    picture = Image.fromarray(np.clip(body, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    pen.ellipse((40, 150, 150, 230), fill=(225, 225, 210), outline=(40, 40, 40), width=6)
    pen.ellipse((490, 150, 600, 230), fill=(225, 225, 210), outline=(40, 40, 40), width=6)
    pen.rounded_rectangle((190, 170, 450, 260), 18, fill=(30, 30, 34))
    small = front.resize((220, round(220 * front.height / front.width)), Image.Resampling.LANCZOS).convert("RGBA")
    turned = small.rotate(-4, expand=True, resample=Image.Resampling.BICUBIC)
    picture.paste(turned, (210, 315), turned)
    return picture.filter(ImageFilter.GaussianBlur(0.6))


if __name__ == "__main__":
    main()
