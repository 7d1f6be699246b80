"""Small pictures of what a recognizer saw, and of where it looked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mingmu.core.errors import MingmuError
from mingmu.core.pixels import PixelSpec, encode_jpeg, encode_png, whole
from mingmu.core.recognizer import Recognizer
from mingmu.core.runtime import MAP
from mingmu.data.dataset import Blobs
from mingmu.evaluate.box_measures import BoxMeasures, Miss
from mingmu.evaluate.measure import Mistake
from mingmu.evaluate.summary import AnyMeasures
from mingmu.evaluate.text_measures import Misread, TextMeasures
from mingmu.tasks.saliency import overlay

SIDE = 128
WHOLE_SIDE, QUALITY = 480, 80  # of photos that are shown whole


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """PNG files, the second only where the recognizer can be explained; of a detector's or a reader's photo a JPEG, all of it."""

    seen: bytes
    saliency: bytes | None


def thumbnails_of(measures: AnyMeasures, recognizer: Recognizer, blobs: Blobs) -> dict[str, Thumbnail]:
    """A thumbnail for each of the worst mistakes, by the image's SHA-256."""
    match measures:
        case BoxMeasures():
            return thumbnails(measures.misses, recognizer, blobs)
        case TextMeasures():
            return thumbnails(measures.misread, recognizer, blobs)
    return thumbnails(measures.mistakes, recognizer, blobs)


def thumbnails(mistakes: Iterable[Mistake | Miss | Misread], recognizer: Recognizer, blobs: Blobs) -> dict[str, Thumbnail]:
    """A thumbnail for each mistake, by the image's SHA-256; images that are gone by now get none."""
    drawn = {}
    for mistake in mistakes:
        try:
            image = blobs.get(mistake.image)
            if isinstance(mistake, Mistake):
                drawn[mistake.image] = thumbnail(image, recognizer, mistake.said)
            else:
                drawn[mistake.image] = Thumbnail(encode_jpeg(whole(image, recognizer.limits, WHOLE_SIDE).pixels, QUALITY), None)
        except MingmuError:
            continue  # the mistake is still listed, without its picture
    return drawn


def thumbnail(image: bytes, recognizer: Recognizer, said: str) -> Thumbnail:
    """What the recognizer saw of an image, at most 128 pixels a side, and what in it spoke for the label it said."""
    spec = small(recognizer.manifest.pixels)
    pixels = spec.frame(image, recognizer.limits).pixels
    return Thumbnail(encode_png(pixels), _saliency(image, pixels, recognizer, said))


def small(spec: PixelSpec, side: int = SIDE) -> PixelSpec:
    """The same view of an image with `side` pixels on the longer side."""
    scale = side / max(spec.size)
    width, height = (max(1, round(length * scale)) for length in spec.size)
    return spec.model_copy(update={"size": (width, height)})


def _saliency(image: bytes, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], recognizer: Recognizer, said: str) -> bytes | None:
    if not recognizer.explainable or said not in recognizer.manifest.labels:
        return None
    frame = recognizer.frame(image)
    feature_map = recognizer.network.runtime(frame.pixels[None], (MAP,))[MAP][0]
    return encode_png(overlay(pixels, recognizer.activation(feature_map, recognizer.manifest.labels.index(said))))
