"""Which pictures are copies of one another: recompressed, resized, cut, mirrored, turned.

Two kinds of evidence propose pairs, and the pictures themselves decide, laid over one another: the perceptual hash, of
the picture as it is, mirrored and turned; and the embedding, among whose nearest neighbours is the picture that
another was cut out of. A cosine alone decides nothing: two photos of one scene are often closer than a photo and its
recompressed copy. Thumbnails decide first, and where these agree, a closer look, for on plain ground most things look alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from mingmu.data.alignment import correlations
from mingmu.data.closeups import Closeups, Luma, trimmed, window
from mingmu.data.neighbours import Neighbours
from mingmu.data.phash import SIDE, Pairs, Thumbs, hashes_of, pairs_within

Floats = NDArray[np.float32]
Pictures = NDArray[np.uint8] | NDArray[np.float16] | Floats  # [N, SIDE, SIDE]
Ways = NDArray[np.int64]  # [P]: how the first of a pair becomes the second

# Measured by bench/audit.py. On photos of hands before a plain wall copies correlate by 0.983 and more, different photos by
# 0.97 at most; on 8x8 digits, which have little detail, by 0.995 and 0.989.
MAX_HASH_DISTANCE = 16  # of 64 bits; a cut of 5 % moves up to 16
MIN_LIKENESS = 0.6  # before alignment; a cut of 5 % leaves 0.68
MIN_PART_LIKENESS = 0.7  # the same for the best of some windows, where a cut of 20 % leaves 0.75 four times in five
MIN_CORRELATION = 0.98  # after alignment
MIN_COSINE = 0.75  # of embeddings; most cuts of 20 % leave more, and so do other photos of one scene

AS_IT_IS, TURNED, PART = 0, range(1, 8), range(8, 44)  # ways: quarter turns and mirrored; windows of 0.93 to 0.7
_WINDOWS = tuple(product((0.93, 0.86, 0.78, 0.7), (0.0, 0.5, 1.0), (0.0, 0.5, 1.0)))  # share of the sides, top, left
_CHUNK = 2048  # pairs at a time, 8 MB a side


@dataclass(frozen=True, eq=False)
class Copies:
    """Pairs of copies, the smaller index first, how well they correlate, 0.98 to 1, and how each was found."""

    pairs: Pairs
    scores: Floats
    ways: Ways

    def where(self, marked: NDArray[np.bool_]) -> Copies:
        return Copies(self.pairs[marked], self.scores[marked], self.ways[marked])

    @property
    def turned(self) -> NDArray[np.bool_]:
        """Whether one is the other mirrored, or turned by a quarter or a half."""
        return np.isin(self.ways, TURNED)


def evidence(way: int) -> str:
    """How a pair was found, in words."""
    if way in PART:
        return "one is a part of the other; found by embedding"
    return "mirrored or turned; found by perceptual hash" if way in TURNED else "found by perceptual hash"


def copies(thumbs: Thumbs, closeups: Closeups, near: Neighbours | None = None, *, fresh: NDArray[np.bool_] | None = None) -> Copies:
    """All copies among thumbnails [N, 32, 32]; with the neighbours by embedding, larger cuts, too. Each pair once.

    `fresh` bool [N]: only pairs that one of these is part of; the others have been compared before.
    """
    soft = _soft(thumbs)
    fresh = np.ones(len(thumbs), bool) if fresh is None else fresh
    proposed = [*_by_hash(thumbs, soft, fresh), *(_by_embedding(soft, near, fresh) if near is not None else ())]
    found = [_confirmed(thumbs, closeups, pairs, ways) for pairs, ways in proposed]
    if not found:
        return Copies(np.zeros((0, 2), np.int64), np.zeros(0, np.float32), np.zeros(0, np.int64))
    every = Copies(*(np.concatenate(parts) for parts in zip(*((some.pairs, some.scores, some.ways) for some in found), strict=True)))
    every = Copies(np.sort(every.pairs, axis=1), every.scores, every.ways)
    _, first = np.unique(every.pairs, axis=0, return_index=True)  # by hash before by embedding, as it is before turned
    return Copies(every.pairs[first], every.scores[first], every.ways[first])


def _by_hash(thumbs: Thumbs, soft: NDArray[np.float16], fresh: NDArray[np.bool_]) -> Iterator[tuple[Pairs, Ways]]:
    hashes = hashes_of(thumbs)
    for way in (AS_IT_IS, *TURNED):
        others = hashes_of(np.asarray(_version(thumbs, way), np.uint8))
        for pairs in pairs_within(hashes, others, MAX_HASH_DISTANCE):
            pairs = pairs[fresh[pairs].any(axis=1)]
            pairs = pairs[_likeness(soft, pairs, way) >= MIN_LIKENESS]
            yield pairs[:, ::-1], np.full(len(pairs), way)  # the second is the one that was turned


def _by_embedding(soft: NDArray[np.float16], near: Neighbours, fresh: NDArray[np.bool_]) -> Iterator[tuple[Pairs, Ways]]:
    """Neighbours of which one is like a window of the other, and that window."""
    row, column = np.nonzero(near.cosines >= MIN_COSINE)
    pairs = np.stack((row, near.places[row, column]), 1)
    pairs = pairs[fresh[pairs].any(axis=1)]
    pairs = np.unique(np.concatenate((pairs, pairs[:, ::-1])), axis=0)  # either may be the part
    for start in range(0, len(pairs), _CHUNK):
        some = pairs[start : start + _CHUNK]
        wholes, of = np.unique(some[:, 0], return_inverse=True)
        whole, other = soft[wholes].astype(np.float32), _unit(soft[some[:, 1]])
        best, ways = np.full(len(some), -1, np.float32), np.zeros(len(some), np.int64)
        for way in PART:
            scores = np.einsum("pi,pi->p", _unit(_version(whole, way))[of], other)
            ways[scores > best] = way
            best = np.maximum(best, scores)
        like = best >= MIN_PART_LIKENESS
        yield some[like], ways[like]


def _confirmed(thumbs: Thumbs, closeups: Closeups, pairs: Pairs, ways: Ways) -> Copies:
    """The proposed pairs that correlate when one is laid over the other, as thumbnails and from closer."""
    scores = np.zeros(len(pairs), np.float32)
    for start in range(0, len(pairs), _CHUNK):
        (left, right), some = pairs[start : start + _CHUNK].T, ways[start : start + _CHUNK]
        changed = np.empty((len(left), SIDE, SIDE), np.float32)
        for way in np.unique(some):
            changed[some == way] = _version(thumbs[left[some == way]], int(way))
        correlated, how = _laid_over(changed, thumbs[right])
        alike = np.flatnonzero(correlated >= MIN_CORRELATION)
        if len(alike):
            ones = (_larger(closeups.of(int(left[at])), int(some[at])) for at in alike)
            both = [trimmed(one, closeups.of(int(right[at])), how[at]) for one, at in zip(ones, alike, strict=True)]
            closer, _ = _laid_over(np.stack([one for one, _ in both]), np.stack([other for _, other in both]))
            correlated[alike] = np.minimum(correlated[alike], closer)
        scores[start : start + _CHUNK] = correlated
    return Copies(pairs, np.minimum(scores, 1.0), ways).where(scores >= MIN_CORRELATION)


def _laid_over(ones: Pictures, others: Pictures) -> tuple[Floats, Floats]:
    both = np.concatenate((_details(ones), _details(others)))
    return correlations(both, np.arange(len(both)).reshape(2, -1).T)


def _larger(luma: Luma, way: int) -> Luma:
    if way in PART:
        return window(luma, *_WINDOWS[way - PART.start])
    return np.asarray(_version(luma[None], way)[0], np.uint8)


def _version(images: Pictures, way: int) -> Pictures:
    """Square images [N, S, S] mirrored, turned, or only a window of each, stretched to the whole."""
    if way in PART:
        down, across = _windows()[way - PART.start]
        return np.asarray(down @ images @ across.T, np.float32)
    turned = np.rot90(images, way % 4, (1, 2))
    return turned[:, :, ::-1] if way >= 4 else turned


@cache
def _windows() -> list[tuple[Floats, Floats]]:
    """What a column of pixels, and a row of them, is multiplied by."""
    return [(_stretch(share, top), _stretch(share, left)) for share, top, left in _WINDOWS]


def _stretch(share: float, place: float) -> Floats:
    """Bilinear interpolation of a share of SIDE pixels to all of them; `place` 0 is the first ones, 1 the last ones."""
    at = np.clip((np.arange(SIDE) + 0.5) * share + place * (1 - share) * SIDE - 0.5, 0, SIDE - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(at[:, None] - np.arange(SIDE))), np.float32)


def _details(images: Pictures) -> Floats:
    """What is left without the coarse light and shade, which two photos of one scene share."""
    from scipy.ndimage import gaussian_filter

    pixels = images.astype(np.float32)
    return np.asarray(pixels - gaussian_filter(pixels, (0, 3.2, 3.2)), np.float32)


def _soft(thumbs: Thumbs) -> NDArray[np.float16]:
    """Slightly blurred details: what a cheap test before alignment compares. Half as large as they would be."""
    from scipy.ndimage import gaussian_filter

    soft = np.empty(thumbs.shape, np.float16)
    for start in range(0, len(thumbs), _CHUNK):
        soft[start : start + _CHUNK] = gaussian_filter(_details(thumbs[start : start + _CHUNK]), (0, 1, 1))
    return soft


def _likeness(soft: NDArray[np.float16], pairs: Pairs, way: int) -> Floats:
    """The correlation of pairs as they lie, the second in its version."""
    scores = np.zeros(len(pairs), np.float32)
    for start in range(0, len(pairs), _CHUNK):
        left, right = pairs[start : start + _CHUNK].T
        scores[start : start + _CHUNK] = np.einsum("pi,pi->p", _unit(soft[left]), _unit(_version(soft[right], way)))
    return scores


def _unit(images: Pictures) -> Floats:
    """Images as vectors [N, S * S] of mean 0 and length 1."""
    flat = images.reshape(len(images), SIDE * SIDE).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6), np.float32)
