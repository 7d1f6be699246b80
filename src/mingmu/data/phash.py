"""Perceptual hashes: 64 bits that stay nearly the same when a picture is recompressed, resized or cut a little.

The method is C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, section 3.2.1 (and
N. Krawetz, "Looks Like It", 2011): luma of 32x32 pixels, discrete cosine transform, the 8x8 lowest frequencies, one bit
each for being above their median.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from mingmu.core.cpus import cpu_count
from mingmu.core.pixels import PixelSpec
from mingmu.data.dataset import Blobs

Thumbs = NDArray[np.uint8]  # [N, 32, 32], luma
Hashes = NDArray[np.uint64]  # [N]
Pairs = NDArray[np.int64]  # [P, 2], the smaller index first

SPEC = PixelSpec(size=(32, 32), fit="squash", filter="box")
LUMA = np.array((0.299, 0.587, 0.114), np.float32)  # ITU-R BT.601
_BLOCK = 8  # rows compared at a time: their XORs with 100,000 hashes stay in the processor's cache


def thumb_of(data: bytes) -> NDArray[np.uint8]:
    """An image file as 32x32 luma. Raises BadImage, ImageTooLarge, UnsupportedImage."""
    return np.asarray(np.rint(SPEC.frame(data).pixels @ LUMA), np.uint8)


def thumbs_of(images: Sequence[str], blobs: Blobs, progress: Callable[[str, float], None] | None = None) -> Thumbs:
    """The thumbnails of images by SHA-256: what hashes are made of, and what likeness is checked on.

    Raises NotFound, and BadImage for one that cannot be decoded (reading has left those out).
    """
    thumbs = np.empty((len(images), 32, 32), np.uint8)
    with ThreadPoolExecutor(cpu_count()) as pool:
        for number, thumb in enumerate(pool.map(lambda image: thumb_of(blobs.get(image)), images)):
            thumbs[number] = thumb
            if progress:
                progress("looking", (number + 1) / len(images))
    return thumbs


def hashes_of(thumbs: Thumbs) -> Hashes:
    """The hash of each thumbnail."""
    from scipy.fft import dctn

    low = dctn(thumbs.astype(np.float32), axes=(1, 2))[:, :8, :8].reshape(-1, 64)
    bits = low > np.median(low[:, 1:], axis=1, keepdims=True)  # the first is the mean brightness
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def pairs_within(hashes: Hashes, distance: int) -> Pairs:
    """All pairs of hashes that differ in at most `distance` bits.

    Every pair is compared: 100,000 hashes are 5 billion pairs and take some seconds, and no bucketing beats that at
    the distances that matter here.
    """
    found = []
    for start in range(0, len(hashes), _BLOCK):
        rest = hashes[start:]
        counts = np.bitwise_count(hashes[start : start + _BLOCK, None] ^ rest)
        row, column = np.divmod(np.flatnonzero(counts <= distance), len(rest))
        ahead = row < column
        found.append(np.stack((row[ahead], column[ahead]), 1) + start)
    return np.concatenate(found).astype(np.int64) if found else np.zeros((0, 2), np.int64)
