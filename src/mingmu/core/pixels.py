"""Bytes to pixels: the one place where an image file becomes an array.

Training, evaluation, calibration, the command line and the server all call `PixelSpec.frame`; nothing else in the
package imports an image codec. What each kind of image becomes is written in docs/pixels.md.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin
from PIL.ImageFile import ImageFile
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mingmu.core.errors import BadImage, ImageTooLarge, MingmuError, UnsupportedImage
from mingmu.core.headers import Header, exif_orientation, read_header
from mingmu.core.memory import IN_FLIGHT, LARGE, give_back

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]  # left, top, right, bottom
Colour = tuple[Annotated[int, Field(ge=0, le=255)], Annotated[int, Field(ge=0, le=255)], Annotated[int, Field(ge=0, le=255)]]
Side = Annotated[int, Field(ge=1, le=4096)]


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest image that is decoded; checked on the header, before memory is spent."""

    max_bytes: int = 32 * 2**20
    max_pixels: int = 64_000_000
    max_side: int = 16_384

    def check_bytes(self, count: int) -> None:
        """Raises ImageTooLarge."""
        if count > self.max_bytes:
            raise ImageTooLarge(f"image has {count} bytes; the limit is {self.max_bytes} (settings: max_image_bytes)")

    def check_size(self, width: int, height: int) -> None:
        """Raises ImageTooLarge."""
        if max(width, height) > self.max_side:
            raise ImageTooLarge(f"image is {width}x{height}; the limit is {self.max_side} a side (settings: max_image_side)")
        if width * height > self.max_pixels:
            limit = f"{self.max_pixels / 1e6:.4g} Mpx (settings: max_image_pixels)"
            raise ImageTooLarge(f"image is {width}x{height} = {width * height / 1e6:.4g} Mpx; the limit is {limit}")


@dataclass(frozen=True, slots=True)
class View:
    """Which part of an image a frame shows: the way back to the original."""

    size: tuple[int, int]  # width, height of the frame
    original: tuple[int, int]  # width, height of the upright original
    box: Box  # what the frame covers, in upright original pixels; with letterbox it exceeds the image

    def back(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Corners (left, top, right, bottom), float32 [N, 4], from pixels of the frame to those of the original, cut at its edges."""
        return self.inside(boxes.reshape(-1, 2, 2)).reshape(-1, 4)

    def inside(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same as `points_back`, but those outside of the original are moved to its edges."""
        return np.clip(self.points_back(points), 0, self.original).astype(np.float32)

    def points_back(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points, float32 [..., 2], from pixels of the frame to those of the original; some may lie outside of it."""
        (width, height), (left, top, right, bottom) = self.size, self.box
        scale = np.array([(right - left) / width, (bottom - top) / height], np.float64)
        return (points * scale + (left, top)).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An image ready for the graph, and the way back to the original."""

    pixels: Pixels  # uint8 [H, W, 3], RGB, contiguous, read-only
    original: tuple[int, int]  # width, height of the upright original
    box: Box  # what the frame covers, in upright original pixels; with letterbox it exceeds the image

    @property
    def view(self) -> View:
        return View((self.pixels.shape[1], self.pixels.shape[0]), self.original, self.box)

    def to_original(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the frame lies in the upright original, both in pixels from the top left corner."""
        height, width = self.pixels.shape[:2]
        left, top, right, bottom = self.box
        return left + x * (right - left) / width, top + y * (bottom - top) / height


class PixelSpec(BaseModel):
    """How bytes become pixels. Pure data: it is stored in the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    size: Annotated[tuple[Side, Side], BeforeValidator(lambda size: (size, size) if isinstance(size, int) else size)]
    """Width and height of the frame; one number means a square."""
    fit: Literal["crop", "squash", "letterbox"] = "crop"
    """crop: the middle, in the frame's proportions; squash: all of it, stretched; letterbox: all of it, padded."""
    margin: Annotated[float, Field(gt=0, le=1)] = 1.0
    """crop only: the share of the largest possible crop that is kept (0.875 for the usual 224 of 256)."""
    filter: Literal["bilinear", "bicubic", "lanczos", "box", "nearest"] = "bilinear"
    """Antialiased, all but nearest."""
    pad: Literal["centre", "corner"] = "centre"
    """letterbox only: where the image lies; corner is the top left one."""
    pad_colour: Colour = (114, 114, 114)
    background: Colour = (255, 255, 255)
    """What transparency is composited on."""
    jpeg_scaling: Annotated[float, Field(ge=1)] | None = 2.0
    """Decode JPEGs at the smallest of 1/8, 1/4, 1/2 that keeps at least this many decoded pixels, a side, for each
    pixel of the frame; None: always in full. Smaller is faster, see docs/pixels.md for the difference."""

    def frame(self, data: bytes, limits: Limits = Limits()) -> Frame:
        """The pixels that a network gets for an image file. Raises BadImage, ImageTooLarge, UnsupportedImage."""
        return _decoded(data, limits, self._frame)

    def frame_of(self, pixels: Pixels, limits: Limits = Limits()) -> Frame:
        """The same for a picture that is decoded and upright: what a lossless file of it gives. Raises ImageTooLarge."""
        height, width = pixels.shape[:2]
        limits.check_size(width, height)
        return self._frame(_Source(Image.fromarray(pixels), (width, height), orientation=1))

    def box(self, width: int, height: int) -> Box:
        """The part of an upright width x height image that the frame covers; with letterbox it exceeds the image."""
        across, down = self.size
        if self.fit == "crop":
            scale = min(width / across, height / down) * self.margin
            left, top = (width - across * scale) / 2, (height - down * scale) / 2
            return left, top, left + across * scale, top + down * scale
        x, y, inner_width, inner_height = self._inner(width, height)
        scale_x, scale_y = width / inner_width, height / inner_height
        return -x * scale_x, -y * scale_y, (across - x) * scale_x, (down - y) * scale_y

    def _inner(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Where the image lies in the frame: x, y, width, height in whole frame pixels."""
        across, down = self.size
        if self.fit != "letterbox":
            return 0, 0, across, down
        scale = min(across / width, down / height)
        inner_width, inner_height = max(1, round(width * scale)), max(1, round(height * scale))
        if self.pad == "corner":
            return 0, 0, inner_width, inner_height
        return (across - inner_width) // 2, (down - inner_height) // 2, inner_width, inner_height

    def _frame(self, source: _Source) -> Frame:
        turn = _Turn.upright(source.orientation)
        width, height = turn.size(*source.size)
        box = self.box(width, height)
        seen = max(box[0], 0.0), max(box[1], 0.0), min(box[2], width), min(box[3], height)
        x, y, inner_width, inner_height = self._inner(width, height)
        # Cut out and resize as stored, then turn: turning the frame is free, turning 12 megapixels is not.
        small = self._resized(source, turn.stored_box(seen, width, height), turn.size(inner_width, inner_height))
        pixels = turn.apply(small)
        if (inner_width, inner_height) != self.size:
            canvas = np.full((self.size[1], self.size[0], 3), self.pad_colour, np.uint8)
            canvas[y : y + inner_height, x : x + inner_width] = pixels
            pixels = canvas
        pixels.flags.writeable = False
        return Frame(pixels, (width, height), box)

    def _resized(self, source: _Source, box: Box, size: tuple[int, int]) -> Pixels:
        """The box of the image as stored, resized; uint8 [size[1], size[0], 3]."""
        fewest = self.jpeg_scaling or math.inf
        shrunk = source.shrink(min((box[2] - box[0]) / (size[0] * fewest), (box[3] - box[1]) / (size[1] * fewest)))
        box = box[0] / shrunk, box[1] / shrunk, box[2] / shrunk, box[3] / shrunk
        with IN_FLIGHT.share(source.cost):
            source.image.load()
            small = _resize(source.image, box, size, Image.Resampling[self.filter.upper()], self.background)
            source.image.close()
        if small.mode == "L":
            small = small.convert("RGB")
        return np.frombuffer(small.tobytes("raw", "RGB"), np.uint8).reshape(size[1], size[0], 3)


def whole(data: bytes, limits: Limits = Limits(), most: int = 4096) -> Frame:
    """An image file as a person sees it: upright, all of it, in its own size; or smaller, so that no side is longer than `most`.

    Raises BadImage, ImageTooLarge, UnsupportedImage.
    """

    def frame(source: _Source) -> Frame:
        width, height = _Turn.upright(source.orientation).size(*source.size)
        scale = min(1.0, most / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        return PixelSpec(size=size, fit="squash", jpeg_scaling=1.0)._frame(source)

    return _decoded(data, limits, frame)


def _decoded(data: bytes, limits: Limits, frame: Callable[[_Source], Frame]) -> Frame:
    limits.check_bytes(len(data))
    header = read_header(data)
    limits.check_size(*header.size)
    with _refusing(header.kind):
        source = _Source.open(header)
        limits.check_size(*source.size)  # the codec has the last word on the size, and has not decoded yet
        found, spent = frame(source), source.cost
    del source
    if spent >= LARGE:
        give_back()
    return found


LIGHT_JPEG = 256 * 2**10  # bytes
LIGHT_PNG = 2**20  # pixels


def is_light(data: bytes) -> bool:
    """Whether an image takes milliseconds to decode, as far as its first bytes tell: a JPEG of few bytes, or a PNG of few pixels."""
    if data.startswith(b"\xff\xd8"):
        return len(data) <= LIGHT_JPEG
    if data.startswith(b"\x89PNG") and len(data) <= LIGHT_PNG:
        return int.from_bytes(data[16:20]) * int.from_bytes(data[20:24]) <= LIGHT_PNG
    return False


def encode_png(pixels: Pixels) -> bytes:
    """A PNG file of uint8 [H, W, 3] RGB pixels."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def encode_jpeg(pixels: Pixels, quality: int = 80) -> bytes:
    """A JPEG file of uint8 [H, W, 3] RGB pixels, a tenth of the PNG's size."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return file.getvalue()


@dataclass(frozen=True, slots=True)
class _Turn:
    """How a stored image becomes upright: swap the axes, then mirror."""

    swap: bool
    mirror_x: bool
    mirror_y: bool

    @staticmethod
    def upright(orientation: int) -> _Turn:
        return _Turn(orientation >= 5, orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8))

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Stored size to upright size, and back."""
        return (height, width) if self.swap else (width, height)

    def stored_box(self, box: Box, width: int, height: int) -> Box:
        """A box of the upright width x height image in the coordinates of the stored one."""
        left, top, right, bottom = box
        if self.mirror_x:
            left, right = width - right, width - left
        if self.mirror_y:
            top, bottom = height - bottom, height - top
        return (top, left, bottom, right) if self.swap else (left, top, right, bottom)

    def apply(self, pixels: Pixels) -> Pixels:
        if self.swap:
            pixels = pixels.transpose(1, 0, 2)
        return np.ascontiguousarray(pixels[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1])


@dataclass(frozen=True, slots=True)
class _Source:
    """An image whose codec has read the header and not yet decoded; or one that came decoded."""

    image: Image.Image
    size: tuple[int, int]  # width, height as stored
    orientation: int  # Exif 1..8

    @staticmethod
    def open(header: Header) -> _Source:
        """Hand the file to its codec; not by `Image.open`, which tries several, and warns before sizes can be checked."""
        image = _CODECS[header.kind](io.BytesIO(header.data))
        orientation = exif_orientation(image.info.get("exif", b"")) if header.orientation == 1 else header.orientation
        return _Source(image, image.size, orientation)

    def shrink(self, enough: float) -> int:
        """Have a JPEG shrunk while it is decoded: by 1, 2, 4 or 8, at most `enough`."""
        if not isinstance(self.image, JpegImagePlugin.JpegImageFile):
            return 1
        shrunk = max((step for step in (2, 4, 8) if step <= enough), default=1)
        self.image.draft(None, (self.size[0] // shrunk, self.size[1] // shrunk))
        return shrunk

    @property
    def cost(self) -> int:
        """About how many bytes decoding takes at its peak."""
        width, height = self.image.size
        decoded = width * height * _PIXEL_BYTES.get(self.image.mode, 4) * _CODEC_COPIES.get(type(self.image), 1)
        waiting = 6 * self.size[0] * self.size[1] if "progressive" in self.image.info else 0  # its coefficients, until the last scan
        return decoded + waiting


_CODECS: dict[str, type[ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}


_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}  # as Pillow stores them; 4 for all others
_CODEC_COPIES: dict[type[Image.Image], int] = {WebPImagePlugin.WebPImageFile: 4, AvifImagePlugin.AvifImageFile: 3}  # measured


STRIP = 2**18  # pixels that are made opaque at a time: they fit a processor's cache


def _resize(image: Image.Image, box: Box, size: tuple[int, int], resample: Image.Resampling, background: Colour) -> Image.Image:
    """The box of an image, made opaque and then resized; mode L or RGB. Raises UnsupportedImage.

    What is not L or RGB is cut to the rows and columns that the box needs, made opaque and narrowed strip by strip, then shortened:
    the same two passes that `resize` makes, so the same pixels, without a second full-size copy.
    """
    if image.mode in ("L", "RGB") and not image.has_transparency_data:
        return image.resize(size, resample, box=box)
    left, right = _needed(box[0], box[2], size[0], image.width)
    top, bottom = _needed(box[1], box[3], size[1], image.height)
    tall = Image.new("RGB", (size[0], bottom - top))
    step = max(1, STRIP // (right - left))
    for y in range(top, bottom, step):
        strip = _opaque(image.crop((left, y, right, min(y + step, bottom))), background)
        tall.paste(strip.resize((size[0], strip.height), resample, box=(box[0] - left, 0, box[2] - left, strip.height)), (0, y - top))
    return tall.resize(size, resample, box=(0, box[1] - top, size[0], box[3] - top))


def _needed(start: float, stop: float, count: int, side: int) -> tuple[int, int]:
    """The first and last pixel, of `side`, that filters look at to make `count` pixels of start..stop."""
    reach = 3 * max(1.0, (stop - start) / count) + 1  # lanczos looks the furthest: 3 pixels of the frame
    return max(0, math.floor(start - reach)), min(side, math.ceil(stop + reach))


def _opaque(image: Image.Image, background: Colour) -> Image.Image:
    """The image in mode L or RGB: the colour policy of docs/pixels.md. Raises UnsupportedImage."""
    if image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((levels * 255 + 32767) // 65535).astype(np.uint8))
    if image.mode not in _MODES:
        raise UnsupportedImage(f"pixels of mode {image.mode} (floats, 32-bit or Lab) are not supported; convert the image to 8-bit RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        backdrop = Image.new("RGBA", image.size, (*background, 255))
        return Image.alpha_composite(backdrop, layer).convert("RGB")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBX", "RGBA", "RGBa", "CMYK", "YCbCr"}


@contextmanager
def _refusing(kind: str) -> Iterator[None]:
    """Turn whatever a codec throws at a damaged file into BadImage."""
    try:
        yield
    except MingmuError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(f"{kind} image is larger than its codec accepts: {error}") from error
    except Exception as error:  # codecs raise anything: OSError, SyntaxError, TypeError, struct.error, ... see the fuzz test
        raise BadImage(f"{kind} image is damaged or cut short: {str(error) or type(error).__name__}") from error
