"""The same picture more than once: byte for byte, or recompressed, resized and cut a little."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mingmu.data.alignment import correlations
from mingmu.data.dataset import Dataset, Example
from mingmu.data.finding import Finding
from mingmu.data.phash import Pairs, Thumbs, hashes_of, pairs_within

# Measured by bench/audit.py. On photos of hands before a plain wall copies correlate by 0.983 and more, different photos by
# 0.955 at most; on 8x8 digits, which have little detail, by 0.995 and 0.989. Embeddings do not tell them apart.
MAX_HASH_DISTANCE = 16  # of 64 bits; a cut of 5 % moves up to 16
MIN_LIKENESS = 0.6  # before alignment; a cut of 5 % leaves 0.68
MIN_CORRELATION = 0.98  # after alignment
MIN_COSINE = 0.985  # of embeddings, to share a side of the split: frames of one film
_CHUNK = 2048


def exact_findings(dataset: Dataset) -> Iterator[Finding]:
    """`duplicate` for files that are there more than once, `label-clash` where their labels differ."""
    by_image: dict[str, list[Example]] = defaultdict(list)
    for example in dataset:
        by_image[example.image].append(example)
    for same in by_image.values():
        if len(same) > 1:
            yield _finding("duplicate", same, "the same file", None)


def near_findings(dataset: Dataset, pairs: Pairs, confidence: NDArray[np.float32], sizes: NDArray[np.int64]) -> Iterator[Finding]:
    """`near-duplicate` for groups of pictures that are nearly the same, the largest first; `label-clash` where labels differ."""
    sure: dict[int, float] = {}
    groups = connected(len(dataset), pairs)
    for (left, _), score in zip(pairs, confidence, strict=True):
        sure[groups[left]] = min(float(score), sure.get(groups[left], 1.0))
    for group, score in sure.items():
        members = sorted(np.flatnonzero(groups == group), key=lambda at: (-sizes[at], at))
        examples = [dataset.examples[at] for at in members]
        if len({example.image for example in examples}) > 1:
            yield _finding("near-duplicate", examples, "nearly the same picture", round(score, 3))


def _finding(kind: str, examples: list[Example], what: str, confidence: float | None) -> Finding:
    labels = sorted({"|".join(example.labels) for example in examples})
    names = [example.name for example in examples]
    if len(labels) > 1:
        return Finding.of("label-clash", *names, detail=f"{what}, labelled {' and '.join(labels)}", confidence=confidence)
    return Finding.of(kind, *names, detail=f"{what}, {len(names)} times", confidence=confidence)


def near_pairs(thumbs: Thumbs) -> tuple[Pairs, NDArray[np.float32]]:
    """Pairs of nearly the same picture, and how well they correlate, 0.98 to 1.

    Hashes propose, the pictures themselves decide: each is laid over the other, and details must agree, not only shapes.
    """
    details = _details(thumbs)
    pairs = pairs_within(hashes_of(thumbs), MAX_HASH_DISTANCE)
    pairs = pairs[_likeness(details, pairs) >= MIN_LIKENESS]
    scores = correlations(details, pairs)
    same = scores >= MIN_CORRELATION
    return pairs[same], np.minimum(scores[same], 1.0)


def groups_of(dataset: Dataset, thumbs: Thumbs, embeddings: NDArray[np.float32] | None = None) -> NDArray[np.int64]:
    """A group number for each example; those of one group must not be parted by a split.

    One group are: the same file, nearly the same picture, embeddings [N, F] with a cosine of 0.985 or more, and what the
    user says is one group; and whatever is linked through them.
    """
    pairs = [near_pairs(thumbs)[0], linked(dataset)]
    if embeddings is not None:
        pairs.append(_close(embeddings))
    return connected(len(dataset), np.concatenate(pairs))


def linked(dataset: Dataset) -> Pairs:
    """Pairs of examples that are the same file, or that the user put into one group."""
    same_file = _equal([example.image for example in dataset])
    same_group = _equal([("group", example.group) if example.group else ("example", at) for at, example in enumerate(dataset)])
    return np.concatenate((same_file, same_group))


def connected(count: int, pairs: Pairs) -> NDArray[np.int64]:
    """The number of the connected component of each of `count` nodes."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _equal(keys: Sequence[Hashable]) -> Pairs:
    """Each repeated key paired with its first occurrence."""
    first: dict[Hashable, int] = {}
    pairs = [(first.setdefault(key, at), at) for at, key in enumerate(keys)]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)


def _close(embeddings: NDArray[np.float32]) -> Pairs:
    unit = embeddings / (np.linalg.norm(embeddings, axis=1, keepdims=True) + 1e-12)
    found = []
    for start in range(0, len(unit), 1024):
        row, column = np.nonzero(unit[start : start + 1024] @ unit[start:].T >= MIN_COSINE)
        found.append(np.stack((row, column), 1)[row < column] + start)
    return np.concatenate(found) if found else np.zeros((0, 2), np.int64)


def _details(thumbs: Thumbs) -> NDArray[np.float32]:
    """What is left without the coarse light and shade, which two photos of one scene share."""
    from scipy.ndimage import gaussian_filter

    pixels = thumbs.astype(np.float32)
    return np.asarray(pixels - gaussian_filter(pixels, (0, 3.2, 3.2)), np.float32)


def _likeness(details: NDArray[np.float32], pairs: Pairs) -> NDArray[np.float32]:
    """The correlation of the slightly blurred details as they lie; a cheap test before alignment."""
    from scipy.ndimage import gaussian_filter

    soft = gaussian_filter(details, (0, 1, 1)).reshape(-1, details[0].size if len(details) else 1)
    soft -= soft.mean(axis=1, keepdims=True)
    soft /= np.linalg.norm(soft, axis=1, keepdims=True) + 1e-6
    scores = np.zeros(len(pairs), np.float32)
    for start in range(0, len(pairs), _CHUNK):
        left, right = pairs[start : start + _CHUNK].T
        scores[start : start + _CHUNK] = np.einsum("pi,pi->p", soft[left], soft[right])
    return scores
