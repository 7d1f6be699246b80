"""Train, calibration and test parts that cannot leak: whatever is alike stays on one side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mingmu.core.errors import BadRequest
from mingmu.data.dataset import Dataset
from mingmu.data.finding import Finding

Indices = NDArray[np.int64]
LabelSets = Sequence[tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class Parts:
    """Which examples are for what, as ascending indices; every example is in one part."""

    train: Indices
    calibration: Indices
    test: Indices
    findings: tuple[Finding, ...] = ()  # leaks of a given split


def split(dataset: Dataset, groups: Indices, *, test: float = 0.2, calibration: float = 0.0, seed: int = 0) -> Parts:
    """Part a dataset by shares, each label alike in every part and each group whole.

    A split that came with the dataset is kept: `test` is the test part, `val` the calibration part (the test part if there
    is no `test`), and what has none goes where its group is, else to train. Parts that were not given are taken from the
    rest of train. Raises BadRequest for shares that leave nothing to train on.
    """
    if test < 0 or calibration < 0 or test + calibration >= 1:
        raise BadRequest(f"test {test:g} and calibration {calibration:g} leave nothing to train on; their sum must be below 1")
    part = _given(dataset, groups)
    wanted = np.array([0.0 if (part == name).any() else share for name, share in ((1, calibration), (2, test))])
    free = np.flatnonzero(part == 0)
    if wanted.any() and len(free):
        labels = [dataset.examples[at].labels for at in free]
        part[free] = allocate(labels, groups[free], (1 - wanted.sum(), *wanted), seed)
    train, calibrating, testing = (np.flatnonzero(part == name) for name in range(3))
    return Parts(train, calibrating, testing, tuple(leaks(dataset, groups)))


def folds(labels: LabelSets, groups: Indices, k: int, seed: int = 0) -> list[tuple[Indices, Indices]]:
    """k pairs of (train, test) indices; each example is tested once, groups stay whole, labels are spread evenly."""
    fold = allocate(labels, groups, (1 / k,) * k, seed)
    return [(np.flatnonzero(fold != at), np.flatnonzero(fold == at)) for at in range(k)]


def leaks(dataset: Dataset, groups: Indices) -> list[Finding]:
    """`split-leak` for each group that the given split parts between test, or val, and train."""
    members: dict[int, list[int]] = defaultdict(list)
    for at, group in enumerate(groups):
        members[int(group)].append(at)
    found = []
    for same in members.values():
        sides = sorted({split for at in same if (split := dataset.examples[at].split)})
        if len(sides) > 1:
            names = [dataset.examples[at].name for at in same]
            found.append(Finding.of("split-leak", *names, detail=f"the same picture or group in {' and '.join(sides)}"))
    return found


def allocate(labels: LabelSets, groups: Indices, shares: Sequence[float], seed: int = 0) -> Indices:
    """The part of each example, so that every part gets about its share of every label; groups stay whole.

    Iterative stratification: the label with the fewest examples left is dealt out first, each time to the part that
    lacks it most. K. Sechidis, G. Tsoumakas and I. Vlahavas, "On the Stratification of Multi-Label Data", 2011, algorithm 1,
    with groups in place of examples.
    """
    if len(labels) != len(groups):
        raise BadRequest(f"{len(labels)} examples have {len(groups)} group numbers; each needs one")
    counts, member = _counts(labels, groups)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]  # large groups first: they are the hardest to place
    lacking = np.outer(shares, counts.sum(axis=0)).astype(np.float64)
    room = np.array(shares) * len(labels)
    part = np.full(len(counts), -1, np.int64)
    left = counts.sum(axis=0)
    sizes = np.bincount(member, minlength=len(counts))
    while (left > 0).any():
        label = int(np.argmin(np.where(left > 0, left, np.inf)))
        for group in order[(part[order] < 0) & (counts[order, label] > 0)]:
            ties = lacking[:, label] + 1e-6 * room + 1e-9 * rng.random(len(room))
            best = int(np.argmax(np.where(np.array(shares) > 0, ties, -np.inf)))
            part[group] = best
            lacking[best] -= counts[group]
            room[best] -= sizes[group]
            left -= counts[group]
    return part[member]


def _counts(labels: LabelSets, groups: Indices) -> tuple[NDArray[np.int64], Indices]:
    """How many of each label each group has, [G, C]; and the row of each example's group. No label counts as one, too."""
    names = {name: at for at, name in enumerate(sorted({name for some in labels for name in some or ("",)}))}
    kept, member = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(kept), max(1, len(names))), np.int64)
    for row, some in zip(member, labels, strict=True):
        for name in some or ("",):
            counts[row, names[name]] += 1
    return counts, member


def _given(dataset: Dataset, groups: Indices) -> Indices:
    """0 train, 1 calibration, 2 test, as the dataset says; examples without a split go where their group is."""
    stated = {example.split for example in dataset}
    meaning = {"train": 0, "val": 1 if "test" in stated else 2, "test": 2}
    part = np.array([meaning[example.split] if example.split else -1 for example in dataset], np.int64)
    of_group: dict[int, int] = {}
    for group, said in zip(groups, part, strict=True):
        of_group[int(group)] = max(int(said), of_group.get(int(group), -1))
    return np.array([max(0, of_group[int(group)]) if said < 0 else said for group, said in zip(groups, part, strict=True)], np.int64)
