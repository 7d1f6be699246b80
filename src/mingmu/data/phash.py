"""Perceptual hashes: 64 bits that stay nearly the same when a picture is recompressed, resized or cut a little.

The method is C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, section 3.2.1 (and
N. Krawetz, "Looks Like It", 2011): luma of 32x32 pixels, discrete cosine transform, the 8x8 lowest frequencies, one bit
each for being above their median.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mingmu.core.pixels import PixelSpec

Thumbs = NDArray[np.uint8]  # [N, 32, 32], luma
Hashes = NDArray[np.uint64]  # [N]
Pairs = NDArray[np.int64]  # [P, 2], the smaller index first

SIDE = 32
SPEC = PixelSpec(size=(SIDE, SIDE), fit="squash", filter="box")
LUMA = np.array((0.299, 0.587, 0.114), np.float32)  # ITU-R BT.601
_BLOCK = 8  # rows compared at a time: their XORs with 100,000 hashes stay in the processor's cache
_CHUNK = 4096  # thumbnails, or pairs, at a time


def thumb_of(data: bytes) -> NDArray[np.uint8]:
    """An image file as 32x32 luma. Raises BadImage, ImageTooLarge, UnsupportedImage."""
    return np.asarray(np.rint(SPEC.frame(data).pixels @ LUMA), np.uint8)


def hashes_of(thumbs: Thumbs) -> Hashes:
    """The hash of each thumbnail."""
    from scipy.fft import dctn

    hashes = np.empty(len(thumbs), np.uint64)
    for start in range(0, len(thumbs), _CHUNK):
        low = dctn(thumbs[start : start + _CHUNK].astype(np.float32), axes=(1, 2))[:, :8, :8].reshape(-1, 64)
        bits = low > np.median(low[:, 1:], axis=1, keepdims=True)  # the first is the mean brightness
        hashes[start : start + _CHUNK] = np.packbits(bits, axis=1).view(np.uint64).ravel()
    return hashes


def pairs_within(hashes: Hashes, others: Hashes, distance: int) -> Iterator[Pairs]:
    """All pairs i < j of which hash i and other hash j differ in at most `distance` bits, some thousands at a time.

    Every pair is compared: 100,000 hashes are 5 billion pairs and take some seconds, and no bucketing beats that at
    the distances that matter here.
    """
    found, count = [np.zeros((0, 2), np.int64)], 0
    for start in range(0, len(hashes), _BLOCK):
        rest = others[start:]
        counts = np.bitwise_count(hashes[start : start + _BLOCK, None] ^ rest)
        row, column = np.divmod(np.flatnonzero(counts <= distance), len(rest))
        ahead = row < column
        found.append(np.stack((row[ahead], column[ahead]), 1) + start)
        count += len(found[-1])
        if count >= _CHUNK:
            yield np.concatenate(found)
            found, count = found[:1], 0
    yield np.concatenate(found)
