"""How much of a photo a view never shows, told from the file's header: nothing is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median

from mingmu.core.errors import MingmuError
from mingmu.core.headers import read_header
from mingmu.core.pixels import PixelSpec


def usual_loss(pixels: PixelSpec, images: Iterable[str], get: Callable[[str], bytes]) -> float:
    """The share of its area, 0 to 1, that the middle one of some images loses; those that cannot be read do not count."""
    losses = []
    for image in images:
        try:
            header = read_header(get(image))
        except MingmuError:
            continue
        losses.append(loss(pixels, *(header.size if header.orientation < 5 else header.size[::-1])))
    return median(losses) if losses else 0.0


def loss(pixels: PixelSpec, width: int, height: int) -> float:
    """The share of an upright width x height image that its frame does not cover."""
    left, top, right, bottom = pixels.box(width, height)
    across, down = min(right, width) - max(left, 0), min(bottom, height) - max(top, 0)
    return max(0.0, 1 - across * down / (width * height))
