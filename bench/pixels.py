"""How fast image files become pixels, against plain Pillow: `python bench/pixels.py` (needs the extra `demo`).

The spec is the embedded recognizer's: 224x224 out of a centre crop of 0.875, bicubic. "plain Pillow" is what most
services do: Image.open, exif_transpose, convert, crop, resize. Each figure is the best of several rounds, in
milliseconds of wall time an image; both sides take turns, so that a noisy machine disturbs them alike.
"""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mingmu.core.pixels import PixelSpec

SPEC = PixelSpec(size=(224, 224), margin=0.875, filter="bicubic")
Load = Callable[[bytes], NDArray[np.uint8]]


def plain_pillow(data: bytes) -> NDArray[np.uint8]:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    return np.asarray(image.resize(SPEC.size, Image.Resampling.BICUBIC, box=SPEC.box(*image.size)))


def ours(data: bytes) -> NDArray[np.uint8]:
    return SPEC.frame(data).pixels


def images() -> dict[str, bytes]:
    """A photo in the sizes and formats that services meet, re-encoded here."""
    photo = Image.open(Path(skimage.data.__file__).with_name("coffee.png")).convert("RGB")
    return {
        "JPEG 500x375": encoded(photo.resize((500, 375), Image.Resampling.LANCZOS), "JPEG"),
        "JPEG 4000x3000": encoded(photo.resize((4000, 3000), Image.Resampling.LANCZOS), "JPEG"),
        "JPEG 4000x3000, rotated": encoded(photo.resize((4000, 3000), Image.Resampling.LANCZOS), "JPEG", orientation=6),
        "PNG 500x375": encoded(photo.resize((500, 375), Image.Resampling.LANCZOS), "PNG"),
    }


def encoded(image: Image.Image, form: str, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    file = io.BytesIO()
    image.save(file, form, quality=90, exif=exif)
    return file.getvalue()


def milliseconds(load: Load, data: bytes, threads: int, count: int) -> float:
    """Wall time an image, `count` images shared by `threads` threads."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(load, [data] * threads))
        start = time.perf_counter()
        list(pool.map(load, [data] * count))
        return (time.perf_counter() - start) * 1000 / count


def compare(data: bytes, threads: int, rounds: int = 5) -> tuple[float, float]:
    count = threads * (4 if len(data) > 1_000_000 else 40)
    pairs = [(milliseconds(plain_pillow, data, threads, count), milliseconds(ours, data, threads, count)) for _ in range(rounds)]
    return min(plain for plain, _ in pairs), min(own for _, own in pairs)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(f"{os.cpu_count()} cores; milliseconds an image; difference in levels of 255 to plain Pillow")
    print(f"{'image':24} {'threads':>7} {'Pillow':>8} {'ours':>8} {'ratio':>6} {'mean diff':>10} {'max diff':>9}")
    for name, data in images().items():
        difference = np.abs(ours(data).astype(int) - plain_pillow(data))
        for threads in (1, 2):
            plain, own = compare(data, threads)
            print(f"{name:24} {threads:7} {plain:8.2f} {own:8.2f} {plain / own:6.2f} {difference.mean():10.3f} {difference.max():9}")


if __name__ == "__main__":
    main()
