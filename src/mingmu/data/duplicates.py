"""The same picture more than once: byte for byte, or recompressed, resized and cut a little."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mingmu.data.copies import Copies, evidence
from mingmu.data.dataset import Dataset, Example
from mingmu.data.finding import Finding
from mingmu.data.phash import Pairs


def exact_findings(dataset: Dataset) -> Iterator[Finding]:
    """`duplicate` for files that are there more than once, `label-clash` where their labels differ."""
    by_image: dict[str, list[Example]] = defaultdict(list)
    for example in dataset:
        by_image[example.image].append(example)
    for same in by_image.values():
        if len(same) > 1:
            yield _finding("duplicate", same, "the same file", None, "found by SHA-256")


def near_findings(dataset: Dataset, found: Copies, sizes: NDArray[np.int64]) -> Iterator[Finding]:
    """`near-duplicate` for groups of pictures that are nearly the same, the largest first; `label-clash` where labels differ.

    Every two of a group are nearly the same: of three in a chain, the ends may be different things, so that they are two groups.
    Pictures that are each other turned or mirrored may well have different labels (6 and 9, left and right): that is no clash.
    """
    alike = np.array([dataset.examples[left].labels == dataset.examples[right].labels for left, right in found.pairs], bool)
    found = found.where(alike | ~found.turned)
    at_pair = {(int(left), int(right)): at for at, (left, right) in enumerate(found.pairs)}
    for alike_all in cliques(at_pair):
        members = sorted(alike_all, key=lambda at: (-sizes[at], at))
        examples = [dataset.examples[at] for at in members]
        if len({example.image for example in examples}) > 1:
            of = [at_pair[pair] for pair in combinations(sorted(members), 2)]
            ways = "; ".join(dict.fromkeys(evidence(int(way)) for way in sorted(found.ways[of])))
            yield _finding("near-duplicate", examples, "nearly the same picture", round(float(found.scores[of].min()), 3), ways)


def cliques(pairs: Iterable[tuple[int, int]]) -> Iterator[set[int]]:
    """Groups in each of which every two are a pair, and which together hold every pair; some may overlap."""
    near: dict[int, set[int]] = defaultdict(set)
    left = dict.fromkeys(pairs)
    for one, other in left:
        near[one].add(other)
        near[other].add(one)
    while left:
        group = set(next(iter(left)))
        more = set.intersection(*(near[each] for each in group))
        while more:
            group.add(min(more))
            more &= near[min(more)]
        yield group
        for pair in combinations(sorted(group), 2):
            left.pop(pair, None)


def _finding(kind: str, examples: list[Example], what: str, confidence: float | None, how: str) -> Finding:
    labels = sorted({"|".join(example.labels) for example in examples})
    names = [example.name for example in examples]
    if len(labels) > 1:
        return Finding.of("label-clash", *names, detail=f"{what}, labelled {' and '.join(labels)}; {how}", confidence=confidence)
    return Finding.of(kind, *names, detail=f"{what}, {len(names)} times; {how}", confidence=confidence)


def groups_of(dataset: Dataset, found: Pairs) -> NDArray[np.int64]:
    """A group number for each example; those of one group must not be parted by a split.

    One group are: the same file, copies that were found, and what the user says is one group; and whatever is linked through them.
    """
    return connected(len(dataset), np.concatenate((found, linked(dataset))))


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
