"""Makes the golden images: one tiny file for each line of the colour policy, and the pixels it must become.

Run `python tests/core/golden/make.py` from anywhere; it writes beside itself. The expected pixels (NAME.expected.png)
are computed here with plain NumPy from the colours that went in, never with the code under test; only the
lossy files take theirs from Pillow's own decoder.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HERE = Path(__file__).parent
WIDTH, HEIGHT = 24, 16
Array = NDArray[np.uint8]


def picture() -> Array:
    """uint8 [16, 24, 3]: smooth, with no symmetry."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x * 10 + 5, y * 15 + 10, 240 - x * 3 - y * 8], axis=-1).astype(np.uint8)


def alpha() -> Array:
    """uint8 [16, 24]: from clear to opaque."""
    return np.tile(np.linspace(0, 255, WIDTH).round().astype(np.uint8), (HEIGHT, 1))


def over_white(colours: Array, opacity: Array) -> Array:
    share = opacity[..., None] / 255
    return np.rint(colours * share + 255 * (1 - share)).astype(np.uint8)


def from_16_bits(values: NDArray[np.uint16]) -> Array:
    return np.rint(values.astype(np.float64) * 255 / 65535).astype(np.uint8)


def grey_rgb(grey: Array) -> Array:
    return np.repeat(grey[..., None], 3, axis=-1)


def naive_cmyk(cmyk: Array) -> Array:
    ink = cmyk.astype(np.float64) / 255
    return np.rint(255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])).astype(np.uint8)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def png(samples: NDArray[np.uint16], colour_type: int, extra: bytes = b"") -> bytes:
    """A 16-bit PNG, which Pillow cannot write in colour."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def ycck() -> bytes:
    """A CMYK JPEG whose four planes are read as YCbCr and black: the Adobe marker says so."""
    planes = Image.fromarray(picture()).convert("YCbCr").split()
    inverted = [plane.point(lambda level: 255 - level) for plane in planes]
    data = encoded(Image.merge("CMYK", [*inverted, Image.new("L", (WIDTH, HEIGHT), 0)]), "JPEG", quality=95)
    at = data.index(b"Adobe") + 11
    return data[:at] + b"\2" + data[at + 1 :]


def pillow(data: bytes) -> Array:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def lossless() -> dict[str, tuple[bytes, Array]]:
    rgb, opacity = picture(), alpha()
    image, grey = Image.fromarray(rgb), rgb[..., 0]
    deep: NDArray[np.uint16] = (rgb * 256.0 + np.arange(WIDTH)[None, :, None] * 11).astype(np.uint16)
    rgba = Image.fromarray(np.dstack([rgb, opacity]))
    palette = image.quantize(16, dither=Image.Dither.NONE)
    indexed = np.asarray(palette.convert("RGB"))
    clear = np.where(np.asarray(palette)[..., None] == 3, np.uint8(255), indexed)
    key = rgb[4, 7]
    keyed = np.where((rgb == key).all(axis=-1, keepdims=True), np.uint8(255), rgb)
    cmyk = np.dstack([255 - rgb, opacity // 2])
    bits = (grey > 120).astype(np.uint8) * 255
    other = Image.new("RGB", image.size, (1, 2, 3))
    return {
        "rgb.png": (encoded(image, "PNG"), rgb),
        "rgb-16-bit.png": (png(deep, 2, chunk(b"tRNS", struct.pack(">3H", *deep[2, 2]))), (deep >> 8).astype(np.uint8)),
        "grey.png": (encoded(Image.fromarray(grey), "PNG"), grey_rgb(grey)),
        "grey-16-bit.png": (png(deep[..., 0], 0), grey_rgb(from_16_bits(deep[..., 0]))),
        "grey-16-bit.tif": (encoded(Image.fromarray(deep[..., 1]), "TIFF"), grey_rgb(from_16_bits(deep[..., 1]))),
        "grey-alpha.png": (
            encoded(Image.merge("LA", [Image.fromarray(grey), Image.fromarray(opacity)]), "PNG"),
            over_white(grey_rgb(grey), opacity),
        ),
        "one-bit.png": (encoded(Image.fromarray(bits).convert("1"), "PNG"), grey_rgb(bits)),
        "palette.png": (encoded(palette, "PNG"), indexed),
        "palette-transparent.png": (encoded(palette, "PNG", transparency=3), clear),
        "rgba.png": (encoded(rgba, "PNG"), over_white(rgb, opacity)),
        "colour-key.png": (encoded(image, "PNG", transparency=tuple(map(int, key))), keyed),
        "animated.gif": (encoded(palette, "GIF", save_all=True, append_images=[other.quantize(2)]), indexed),
        "two-pages.tif": (encoded(image, "TIFF", compression="tiff_lzw", save_all=True, append_images=[other]), rgb),
        "rgba.tif": (encoded(rgba, "TIFF", compression="tiff_adobe_deflate"), over_white(rgb, opacity)),
        "cmyk.tif": (encoded(Image.fromarray(cmyk, "CMYK"), "TIFF"), naive_cmyk(cmyk)),
        "rgb.bmp": (encoded(image, "BMP"), rgb),
        "rgb.webp": (encoded(image, "WEBP", lossless=True), rgb),
        "rgba.webp": (encoded(rgba, "WEBP", lossless=True, exact=True), over_white(rgb, opacity)),
    }


def lossy() -> dict[str, tuple[bytes, Array]]:
    image = Image.fromarray(picture())
    cmyk = Image.fromarray(np.dstack([255 - picture(), alpha() // 2]), "CMYK")
    second = Image.new("RGB", image.size, (200, 0, 0))
    files = {
        "rgb.jpg": encoded(image, "JPEG", quality=90),
        "stored-as-rgb.jpg": encoded(image, "JPEG", quality=90, keep_rgb=True),
        "grey.jpg": encoded(image.convert("L"), "JPEG", quality=90),
        "progressive.jpg": encoded(image, "JPEG", quality=90, progressive=True),
        "two-pictures.mpo": encoded(image, "MPO", quality=90, save_all=True, append_images=[second]),
        "cmyk.jpg": encoded(cmyk, "JPEG", quality=90),
        "ycck.jpg": ycck(),
        "rgb.avif": encoded(image, "AVIF", quality=90),
    }
    return {name: (data, pillow(data)) for name, data in files.items()}


def main() -> None:
    for name, (data, expected) in (lossless() | lossy()).items():
        (HERE / name).write_bytes(data)
        (HERE / f"{name}.expected.png").write_bytes(encoded(Image.fromarray(expected), "PNG", optimize=True))


if __name__ == "__main__":
    main()
