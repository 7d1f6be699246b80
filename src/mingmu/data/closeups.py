"""A closer look at two pictures that seem to be copies: at 128x128, and only where there is something to be seen.

A small thing before a plain ground is a few pixels of a 32x32 thumbnail: there, most things look alike.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mingmu.core.errors import MingmuError
from mingmu.core.pixels import PixelSpec
from mingmu.data.dataset import Blobs, Dataset
from mingmu.data.phash import LUMA, SIDE

Floats = NDArray[np.float32]
Luma = NDArray[np.uint8]
Span = tuple[float, float]  # from where to where, as shares of a side

_SPEC = PixelSpec(size=(128, 128), fit="squash", filter="box")
_TAIL = 0.01  # of the energy of all edges: what lies further out on a side is ground
_REMEMBERED = 2048  # pictures, 16 KB each


class Closeups:
    """The pictures of a dataset, larger than their thumbnails. Few are asked for: those that seem to be copies."""

    def __init__(self, dataset: Dataset, blobs: Blobs) -> None:
        self._images = [example.image for example in dataset]
        self._blobs = blobs
        self.of = lru_cache(_REMEMBERED)(self._of)

    def _of(self, place: int) -> Luma:
        """Luma [128, 128] of the example at a place; plain black where it cannot be decoded."""
        try:
            return np.asarray(np.rint(_SPEC.frame(self._blobs.get(self._images[place])).pixels @ LUMA), np.uint8)
        except MingmuError:
            return np.zeros(_SPEC.size, np.uint8)


def window(luma: Luma, share: float, top: float, left: float) -> Luma:
    """A window of a picture, a share of its sides; `top` and `left` 0 are the first such pixels, 1 the last ones."""
    side = round(share * len(luma))
    y, x = (round(at * (len(luma) - side)) for at in (top, left))
    return luma[y : y + side, x : x + side]


def trimmed(one: Luma, other: Luma, how: Floats) -> tuple[Floats, Floats]:
    """The part of a picture that holds nearly all of its edges, and the same part of another, each SIDE x SIDE.

    `how` the first lies over the second, is what `correlations` said of their thumbnails.
    """
    slopes = np.gradient(one.astype(np.float32))
    energy = slopes[0] ** 2 + slopes[1] ** 2
    across, across_other = _matched(_busy(energy.sum(axis=0)), how[0], how[1])
    down, down_other = _matched(_busy(energy.sum(axis=1)), how[2], how[3])
    return _cut(one, down, across), _cut(other, down_other, across_other)


def _cut(luma: Luma, down: Span, across: Span) -> Floats:
    return np.asarray(_area(down, len(luma)) @ luma @ _area(across, luma.shape[1]).T, np.float32)


def _busy(energy: Floats) -> Span:
    """From where to where all but the tails lie; of nothing, everything."""
    total = np.cumsum(energy)
    if total[-1] <= 0:
        return 0.0, 1.0
    begin, end = np.searchsorted(total, (_TAIL * total[-1], (1 - _TAIL) * total[-1]))
    return float(begin / len(energy)), float((end + 1) / len(energy))


def _matched(span: Span, shift: float, stretch: float) -> tuple[Span, Span]:
    """What of a span both pictures show, in each of them."""
    scale, offset = 1 + 2 * stretch / SIDE, (shift - stretch) / SIDE  # from pixels of thumbnails to shares
    begin, end = (min(1.0, max(0.0, scale * at + offset)) for at in span)
    return ((begin - offset) / scale, (end - offset) / scale), (begin, end)


def _area(span: Span, length: int) -> Floats:
    """What a column of pixels is multiplied by to become the means of SIDE equal stretches of a span."""
    edges, at = np.linspace(span[0] * length, span[1] * length, SIDE + 1), np.arange(length)
    held = np.clip(np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at), 0, None)
    return np.asarray(held / (held.sum(axis=1, keepdims=True) + 1e-9), np.float32)
