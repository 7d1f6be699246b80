"""What may be sent as an image, and the bytes it is sent as."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from mingmu.core.errors import BadRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@runtime_checkable
class Picture(Protocol):
    """What a PIL image can do, as far as it is needed here."""

    @property
    def mode(self) -> str: ...
    def getexif(self) -> Any: ...
    def convert(self, mode: str) -> Any: ...
    def save(self, fp: IO[bytes], format: str | None = None, **options: Any) -> None: ...


Image: TypeAlias = "str | os.PathLike[str] | bytes | Picture | NDArray[np.uint8]"
SAVED_AS_IT_IS = frozenset(("1", "L", "LA", "P", "RGB", "RGBA", "I;16"))
CONVERTED = {"CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB", "RGBX": "RGB", "PA": "RGBA", "RGBa": "RGBA"}  # no range or alpha is lost
ACCEPTED = "a path, the bytes of an image file, a PIL image, or uint8 [H, W, 3] RGB pixels"


def encoded(image: Image) -> bytes:
    """The bytes of an image file; pixels become a PNG. Raises OSError for a path that cannot be read."""
    if isinstance(image, bytes):
        return image
    if isinstance(image, (str, os.PathLike)):
        return Path(image).read_bytes()
    return _png_of_picture(image) if isinstance(image, Picture) else _png_of_pixels(image)


def _png_of_picture(picture: Picture) -> bytes:
    if picture.mode not in SAVED_AS_IT_IS | CONVERTED.keys():
        raise BadRequest(f"an image is {ACCEPTED}; this is a PIL image of mode {picture.mode}, which a PNG cannot keep: convert it to RGB")
    kept = picture if picture.mode in SAVED_AS_IT_IS else picture.convert(CONVERTED[picture.mode])
    file = io.BytesIO()
    kept.save(file, "PNG", exif=picture.getexif(), compress_level=1)  # the EXIF says which side is up
    return file.getvalue()


def _png_of_pixels(pixels: Any) -> bytes:
    from mingmu.core.pixels import encode_png

    shape, dtype = [*getattr(pixels, "shape", ())], getattr(pixels, "dtype", None)
    if len(shape) != 3 or shape[2] != 3 or dtype != "uint8":
        raise BadRequest(f"an image is {ACCEPTED}; this is {type(pixels).__name__} {dtype or ''} {shape or ''}".rstrip())
    return encode_png(pixels)
