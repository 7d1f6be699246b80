"""Bytes to pixels: what every kind of image becomes, what is refused, and the way back to the original."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from mingmu.core.errors import BadImage, ImageTooLarge, UnsupportedImage
from mingmu.core.pixels import Limits, PixelSpec, encode_png

skimage_data = pytest.importorskip("skimage.data", reason="the photos inside scikit-image are needed (extra `demo`)")

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.name.removesuffix(".expected.png") for path in GOLDEN.glob("*.expected.png"))
LOSSY = {".jpg", ".mpo", ".avif"}
SMALL = PixelSpec(size=(24, 16), fit="squash")

# An upright array, stored so that the Exif orientation turns it upright again.
STORED: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


def photo(width: int, height: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(skimage_data.coffee()).resize((width, height), Image.Resampling.LANCZOS))


def encoded(pixels: NDArray[np.uint8], form: str, orientation: int = 1, **options: Any) -> bytes:
    file, exif = io.BytesIO(), Image.Exif()
    exif[274] = orientation
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, form, exif=exif, **options)
    return file.getvalue()


def reference(spec: PixelSpec, data: bytes) -> NDArray[np.uint8]:
    """Plain Pillow on the whole image, for images that are upright."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    box = spec.box(*image.size)
    return np.asarray(image.resize(spec.size, Image.Resampling[spec.filter.upper()], box=box))


def distance(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int_]:
    return np.abs(one.astype(int) - other)


@pytest.mark.parametrize("name", CASES)
def test_each_kind_of_image_becomes_the_colours_of_the_policy(name: str) -> None:
    expected = np.asarray(Image.open(GOLDEN / f"{name}.expected.png").convert("RGB"))
    pixels = SMALL.frame((GOLDEN / name).read_bytes()).pixels
    assert distance(pixels, expected).max() <= (3 if Path(name).suffix in LOSSY else 0)


def test_transparency_is_composited_on_the_stated_background() -> None:
    clear = io.BytesIO()
    Image.new("RGBA", (4, 4), (9, 9, 9, 0)).save(clear, "PNG")
    spec = PixelSpec(size=(2, 2), background=(10, 200, 30))
    assert spec.frame(clear.getvalue()).pixels.tolist() == [[[10, 200, 30]] * 2] * 2


def composited(image: Image.Image) -> Image.Image:
    """The whole image made opaque at once: what the colour policy says, without regard to memory."""
    if image.mode == "I;16":
        return Image.fromarray(np.rint(np.asarray(image) * (255 / 65535)).astype(np.uint8)).convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (10, 200, 30, 255)), layer).convert("RGB")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "I;16"])
@pytest.mark.parametrize(
    "choice",
    [
        {"margin": 0.9, "filter": "bicubic"},
        {"fit": "squash", "filter": "lanczos"},
        {"fit": "letterbox"},
        {"margin": 0.31, "filter": "nearest"},
    ],
    ids=lambda choice: choice.get("filter", "bilinear"),
)
def test_what_is_made_opaque_strip_by_strip_equals_the_whole(mode: str, choice: dict[str, object]) -> None:
    chance = np.random.default_rng(3)
    colours = np.asarray(Image.fromarray(photo(701, 903)))
    image = Image.fromarray(np.dstack([colours, chance.integers(0, 256, colours.shape[:2], dtype=np.uint8)]))
    options: dict[str, Any] = {}
    if mode == "I;16":
        image = Image.fromarray(chance.integers(0, 65536, colours.shape[:2], dtype=np.uint16))
    elif mode != "RGBA":
        image, options = image.convert(mode), {"transparency": 7} if mode == "P" else {}
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1, **options)
    spec = PixelSpec.model_validate({"size": (48, 64), "background": (10, 200, 30), "pad_colour": (10, 200, 30)} | choice)
    expected = spec.frame(encode_png(np.asarray(composited(Image.open(file)))))
    assert np.array_equal(spec.frame(file.getvalue()).pixels, expected.pixels)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("filter_", ["nearest", "box", "bilinear", "bicubic", "lanczos"])
def test_pixels_equal_plain_pillow(form: str, filter_: str) -> None:
    spec = PixelSpec.model_validate({"size": (96, 64), "margin": 0.875, "filter": filter_})
    data = encoded(photo(300, 200), form)
    assert distance(spec.frame(data).pixels, reference(spec, data)).max() <= 1


@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_scaled_jpeg_decoding_stays_within_half_a_level_on_average(margin: float) -> None:
    spec = PixelSpec(size=(96, 96), filter="bicubic", margin=margin)
    data = encoded(photo(2003, 1501), "JPEG", quality=90)
    assert distance(spec.frame(data).pixels, reference(spec, data)).mean() <= 0.5


def test_full_jpeg_decoding_is_exact() -> None:
    spec = PixelSpec(size=(96, 96), filter="bicubic", jpeg_scaling=None)
    data = encoded(photo(1001, 701), "JPEG")
    assert distance(spec.frame(data).pixels, reference(spec, data)).max() <= 1


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("fit", ["crop", "squash", "letterbox"])
def test_all_orientations_give_the_same_frame(form: str, fit: str) -> None:
    spec = PixelSpec.model_validate({"size": (48, 64), "fit": fit, "margin": 0.9})
    upright = photo(240, 160)
    options: dict[str, Any] = {"quality": 100, "subsampling": "4:4:4"} if form in ("JPEG", "AVIF") else {}
    options |= {"lossless": True} if form == "WEBP" else {}
    first = spec.frame(encoded(upright, form, **options))
    for orientation, store in STORED.items():
        frame = spec.frame(encoded(store(upright), form, orientation, **options))
        assert (frame.original, frame.box) == (first.original, first.box) == ((240, 160), spec.box(240, 160))
        assert distance(frame.pixels, first.pixels).max() <= 3, orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "choice",
    [{"margin": 0.9}, {"fit": "squash"}, {"fit": "letterbox"}, {"fit": "letterbox", "pad": "corner"}],
    ids=lambda choice: "-".join(map(str, choice.values())),
)
def test_points_of_the_frame_lead_back_to_the_original(choice: dict[str, object], orientation: int) -> None:
    upright = np.zeros((901, 1203, 3), np.uint8)
    upright[300:324, 700:724] = 255  # its centre lies at (712, 312)
    spec = PixelSpec.model_validate({"size": (100, 120), "pad_colour": (0, 0, 0)} | choice)
    frame = spec.frame(encoded(STORED[orientation](upright), "JPEG", orientation))
    weight = frame.pixels[..., 0].astype(float) * (frame.pixels[..., 0] > 30)
    y, x = (float((weight * grid).sum() / weight.sum()) + 0.5 for grid in np.mgrid[:120, :100])
    assert frame.to_original(x, y) == pytest.approx((712, 312), abs=1.5)


def test_letterbox_pads_both_sides_or_the_far_corner() -> None:
    data = encoded(np.full((50, 100, 3), 255, np.uint8), "PNG")
    centre = PixelSpec(size=(40, 40), fit="letterbox", pad_colour=(1, 2, 3)).frame(data)
    corner = PixelSpec(size=(40, 40), fit="letterbox", pad="corner", pad_colour=(1, 2, 3)).frame(data)
    assert centre.box == (0, -25, 100, 75)
    assert corner.box == (0, 0, 100, 100)
    assert centre.pixels[:10].reshape(-1, 3).tolist() == [[1, 2, 3]] * 400
    assert (centre.pixels[10:30] == 255).all()
    assert (corner.pixels[:20] == 255).all()
    assert corner.pixels[20:].reshape(-1, 3).tolist() == [[1, 2, 3]] * 800


sides = st.integers(1, 16_384)


@given(width=sides, height=sides, across=st.integers(1, 1024), down=st.integers(1, 1024), margin=st.floats(0.01, 1))
def test_a_crop_lies_inside_the_image_in_the_middle_and_keeps_the_proportions(
    width: int, height: int, across: int, down: int, margin: float
) -> None:
    left, top, right, bottom = PixelSpec(size=(across, down), margin=margin).box(width, height)
    assert -1e-6 <= left < right <= width + 1e-6
    assert -1e-6 <= top < bottom <= height + 1e-6
    assert left + right == pytest.approx(width)
    assert top + bottom == pytest.approx(height)
    assert (right - left) * down == pytest.approx((bottom - top) * across)


@given(width=sides, height=sides, pad=st.sampled_from(["centre", "corner"]))
def test_a_letterbox_holds_the_whole_image(width: int, height: int, pad: str) -> None:
    left, top, right, bottom = PixelSpec.model_validate({"size": 64, "fit": "letterbox", "pad": pad}).box(width, height)
    assert left <= 1e-6
    assert top <= 1e-6
    assert right >= width - 1e-6
    assert bottom >= height - 1e-6


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 3000), (3000, 1), (7, 5)])
@pytest.mark.parametrize("fit", ["crop", "squash", "letterbox"])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_odd_shapes_give_a_frame_of_the_size_asked_for(width: int, height: int, fit: str, form: str) -> None:
    data = encoded(np.full((height, width, 3), 200, np.uint8), form)
    frame = PixelSpec.model_validate({"size": (32, 24), "fit": fit, "pad_colour": (200, 200, 200), "margin": 0.5}).frame(data)
    assert frame.pixels.shape == (24, 32, 3)
    assert frame.pixels.dtype == np.uint8
    assert frame.pixels.flags.c_contiguous
    assert distance(frame.pixels, np.full_like(frame.pixels, 200)).max() <= 2


def test_one_number_as_size_means_a_square_and_the_spec_survives_json() -> None:
    spec = PixelSpec.model_validate({"size": 224, "filter": "bicubic"})
    assert spec.size == (224, 224)
    assert PixelSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    "wrong", [{"size": 0}, {"size": 5000}, {"size": 8, "margin": 0}, {"size": 8, "margin": 1.2}, {"size": 8, "colour": 1}]
)
def test_a_spec_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PixelSpec.model_validate(wrong)


def test_encoded_png_gives_the_same_pixels_back() -> None:
    pixels = photo(32, 24)
    assert np.array_equal(PixelSpec(size=(32, 24), fit="squash").frame(encode_png(pixels)).pixels, pixels)


@pytest.mark.parametrize("fit", ["crop", "squash", "letterbox"])
@pytest.mark.parametrize("size", [(37, 61), (640, 480), (5, 3)])
def test_decoded_pixels_give_the_frame_of_their_lossless_file(fit: str, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    spec = PixelSpec.model_validate({"size": (64, 48), "fit": fit, "margin": 0.9, "filter": "bicubic"})
    decoded, read = spec.frame_of(pixels), spec.frame(encode_png(pixels))
    assert np.array_equal(decoded.pixels, read.pixels)
    assert (decoded.original, decoded.box) == (read.original, read.box)
    with pytest.raises(ImageTooLarge):
        spec.frame_of(pixels, Limits(max_side=4))


def test_threads_get_the_same_pixels_as_one() -> None:
    data = [encoded(photo(400, 300), form) for form in ("JPEG", "PNG", "WEBP")] * 4
    spec = PixelSpec(size=(64, 64), filter="bicubic")
    alone, together = [spec.frame(one).pixels for one in data], dict[int, list[NDArray[np.uint8]]]()

    def work(index: int) -> None:
        together[index] = [spec.frame(one).pixels for one in data]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(one, other) for index in range(4) for one, other in zip(alone, together[index], strict=True))


# Hostile input


def png(width: int, height: int, *extra: bytes, colour_type: int = 0, depth: int = 8) -> bytes:
    """A PNG of zeros, black grey-scale unless stated, made without the memory that it takes to decode."""
    row = bytes(1 + width * {0: 1, 3: 1, 6: 4}[colour_type] * depth // 8)
    packer = zlib.compressobj(1)
    rows = b"".join([packer.compress(row) for _ in range(height)]) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def tiff(tags: dict[int, int], count: int = 1) -> bytes:
    entries = b"".join(struct.pack("<HHII", tag, 4, count if tag == 273 else 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + bytes(4 * count)


def patched(name: str, old: bytes, new: bytes) -> bytes:
    data = (GOLDEN / name).read_bytes()
    assert old in data
    return data.replace(old, new)


def bombs() -> dict[str, bytes]:
    """Small files that say they are 16000x16000 or larger."""
    side = 16_000
    return {
        "PNG": png(side, side),
        "JPEG": patched("rgb.jpg", struct.pack(">HH", 16, 24), struct.pack(">HH", side, side)),
        "GIF screen": b"GIF89a" + struct.pack("<HHBBB", side, side, 0, 0, 0) + b"," + bytes(8) + b"\0\2\0;",
        "GIF frame": b"GIF89a"
        + struct.pack("<HHBBB", 1, 1, 0, 0, 0)
        + b"!\xf9\4\x08\0\0\0\0,"
        + struct.pack("<HHHHB", 0, 0, side, side, 0)
        + b"\2\0;",
        "WebP": b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + (side - 1).to_bytes(3, "little") * 2,
        "BMP": b"BM" + struct.pack("<IIIIiiHHIIIIII", 0, 0, 54, 40, side, -side, 1, 24, 0, 0, 0, 0, 0, 0),
        "TIFF": tiff({256: side, 257: side, 258: 8, 259: 1, 262: 1, 273: 8, 278: side, 279: 9}),
        "AVIF": patched("rgb.avif", struct.pack(">II", 24, 16), struct.pack(">II", side, side)),
    }


def sponges() -> dict[str, bytes]:
    """Small files that unpack into much more than their pixels."""
    text = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000)))
    profile = chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(100_000_000)))
    tags = {256: 100, 257: 100, 258: 8, 259: 1, 262: 1, 278: 1}
    return {
        "PNG texts": png(8, 8, *[text] * 60),
        "PNG profile": png(8, 8, profile),
        "TIFF strips": tiff(tags | {273: 200}, count=2_000_000),
        "TIFF tags": tiff(tags | {273: 200, 279: 9} | dict.fromkeys(range(40000, 60000), 200)),
    }


def test_a_bomb_is_refused_with_its_size_the_limit_and_the_setting() -> None:
    for data in bombs().values():
        with pytest.raises(ImageTooLarge, match=r"^image is 16000x16000 = 256 Mpx; the limit is 64 Mpx \(settings: max_image_pixels\)$"):
            SMALL.frame(data)


def test_limits_on_bytes_sides_and_pixels_are_kept() -> None:
    data = encoded(photo(60, 40), "PNG")
    for limits, setting in (
        (Limits(max_bytes=99), "max_image_bytes"),
        (Limits(max_side=59), "max_image_side"),
        (Limits(max_pixels=2399), "max_image_pixels"),
    ):
        with pytest.raises(ImageTooLarge, match=setting):
            SMALL.frame(data, limits)
    assert SMALL.frame(data, Limits(len(data), 2400, 60)).original == (60, 40)


MEASURE = """
import resource, sys
from pathlib import Path
from mingmu.core.errors import BadImage
from mingmu.core.pixels import PixelSpec
spec = PixelSpec(size=(8, 8))
files = [Path(path).read_bytes() for path in sys.argv[1:]]
spec.frame(files[0])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for data in files[1:]:
    try:
        spec.frame(data)
    except BadImage:
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_bombs_cost_no_memory(tmp_path: Path) -> None:
    files = {"good": encoded(photo(400, 300), "PNG")} | bombs() | sponges()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-W", "always", "-c", MEASURE, *(str(tmp_path / name) for name in files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    assert int(done.stdout) < 30 * 1024, f"{done.stdout} KiB"  # decoding them would take gigabytes


TOGETHER = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from mingmu.core.pixels import PixelSpec
spec = PixelSpec(size=(8, 8))
small, *files = [Path(path).read_bytes() for path in sys.argv[2:]]
spec.frame(small)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with ThreadPoolExecutor(int(sys.argv[1])) as pool:
    assert len(list(pool.map(spec.frame, files))) == len(files)
held = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, held - before)
"""


def heavyweights() -> dict[str, bytes]:
    """Small files of 8000x8000 pixels, which the limits let through."""
    side = 8000
    entries = chunk(b"PLTE", bytes(range(256)) * 3) + chunk(b"tRNS", bytes(range(256)))
    return {
        "palette.png": png(side, side, entries, colour_type=3),
        "grey-16-bit.png": png(side, side, depth=16),
        "rgba.png": png(side, side, colour_type=6),
        "rgba.webp": bytes.fromhex("524946461a000000574542505650384c0d0000002f3fdfcf17071011118888fe0700"),
    }


def measured(folder: Path, threads: int, files: dict[str, bytes]) -> tuple[int, int]:
    """What decoding files costs a process of its own at its peak, and what it keeps; MiB."""
    for name, data in ({"small": encoded(photo(40, 30), "PNG")} | files).items():
        (folder / name).write_bytes(data)
    command = [sys.executable, "-c", TOGETHER, str(threads), *(str(folder / name) for name in ("small", *files))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    peak, held = (int(number) // 1024 for number in done.stdout.split())
    return peak, held


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and other C libraries give memory back in other ways")
@pytest.mark.parametrize(("name", "most"), [("palette.png", 100), ("grey-16-bit.png", 180), ("rgba.png", 330), ("rgba.webp", 1100)])
def test_the_heaviest_images_within_the_limits_cost_what_their_codec_gives_and_little_more(tmp_path: Path, name: str, most: int) -> None:
    peak, held = measured(tmp_path, 1, {name: heavyweights()[name]})
    assert peak < most  # decoded they take 61, 122, 244 and, four times inside libwebp and Pillow, 977 MiB
    assert held < 40


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and other C libraries give memory back in other ways")
def test_heavy_images_in_many_threads_take_turns(tmp_path: Path) -> None:
    data = heavyweights()
    peak, _ = measured(tmp_path, 4, {f"{index}.webp": data["rgba.webp"] for index in range(2)} | {"a.png": data["rgba.png"]})
    assert peak < 1300  # all at once: about 2200


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99)),
        ("SVG", b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("PDF", b"%PDF-1.7\n"),
        ("EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n"),
        ("PSD", b"8BPS\0\1" + bytes(99)),
        ("ICO", b"\0\0\1\0\1\0" + bytes(99)),
        ("JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99)),
        ("JPEG XL", b"\xff\x0a" + bytes(99)),
        ("BigTIFF", b"II+\0\x08\0\0\0" + bytes(99)),
        ("PNM", b"P6 2 2 255 " + bytes(12)),
    ],
)
def test_formats_outside_the_list_are_refused_by_name(kind: str, data: bytes) -> None:
    with pytest.raises(UnsupportedImage, match=f"^{kind} images are not supported .*convert it to JPEG"):
        SMALL.frame(data)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_float_and_32_bit_pixels_are_refused(mode: str) -> None:
    file = io.BytesIO()
    Image.new(mode, (4, 4)).save(file, "TIFF")
    with pytest.raises(UnsupportedImage, match=f"mode {mode} "):
        SMALL.frame(file.getvalue())


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"RIFF    WEBP", b"hello, I am a text file\n", bytes(1000)]
)
def test_what_is_no_image_is_a_bad_image(data: bytes) -> None:
    with pytest.raises(BadImage):
        SMALL.frame(data)


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("two-pictures")])
def test_a_truncated_image_is_refused(name: str) -> None:
    data = (GOLDEN / name).read_bytes()
    with pytest.raises(BadImage):
        SMALL.frame(data[: len(data) * 3 // 5])


def test_a_jpeg_of_a_thousand_scans_is_refused() -> None:
    data = (GOLDEN / "progressive.jpg").read_bytes()
    last = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(BadImage, match="64 scans"):
        SMALL.frame(data[:-2] + last * 1000 + data[-2:])


def test_metadata_that_makes_no_sense_does_not_stop_a_picture() -> None:
    junk = b"\xff\xe1" + struct.pack(">H", 22) + b"Exif\0\0II*\0\x08\0\0\0\xff\xff\1\2\3\4"
    data = (GOLDEN / "rgb.jpg").read_bytes()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        frame = SMALL.frame(data[:2] + junk + data[2:])
    assert np.array_equal(frame.pixels, SMALL.frame(data).pixels)
    assert not seen


def mutated(data: bytes, chance: random.Random) -> bytes:
    raw = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(min(len(raw), chance.choice((64, 10**9)))) if raw else 0
        match chance.randrange(4):
            case 0:
                raw[at : at + 1] = chance.randbytes(1)
            case 1:
                del raw[at : at + chance.randrange(1, 40)]
            case 2:
                raw[at:at] = chance.randbytes(chance.randrange(1, 20))
            case _:
                raw[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", b"\0\1\0\0"))
    return bytes(raw)


@pytest.mark.parametrize("name", CASES)
def test_damaged_files_raise_nothing_but_bad_image_and_no_warnings(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    data, chance, limits = (GOLDEN / name).read_bytes(), random.Random(name), Limits(max_pixels=1_000_000)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(150):
            try:
                frame = SMALL.frame(mutated(data, chance), limits)
            except BadImage:
                continue
            assert frame.pixels.shape == (16, 24, 3)
    assert not seen
    capfd.readouterr()  # libtiff writes its own complaints on standard error
