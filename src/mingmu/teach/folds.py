"""Held-out parts of the training data: stratified by class, a group never on both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mingmu.data.splits import allocate
from mingmu.teach.truth import Ints, Truth, is_several

FOLDS = 5


def fold_of(classes: Truth, groups: Sequence[str], seed: int, k: int = FOLDS) -> Ints | None:
    """The fold, 0 to k-1, in which each example is held out; None if no class could be learned from the others.

    Fewer folds where no class has k groups. Classes with one group are only ever held out or only ever learned.
    """
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    labels = label_sets(classes)
    pairs = {(label, number) for some, number in zip(labels, numbers.tolist(), strict=True) for label in some}
    k = min(k, max(Counter(label for label, _ in pairs).values()))
    if k < 2:
        return None
    return np.asarray(allocate(labels, numbers, (1 / k,) * k, seed), np.int64)


def label_sets(classes: Truth) -> list[tuple[str, ...]]:
    """The labels of each example, as `allocate` takes them."""
    return [tuple(map(str, np.flatnonzero(row) if is_several(classes) else [row])) for row in classes]


def stratified_sample(classes: Ints, keys: Sequence[str], size: int) -> Ints:
    """Indices of about `size` examples, at least two of each class that has them, otherwise in proportion.

    Of each class those with the least keys: with content hashes, any sample, and nearly the same one when photos are added.
    """
    order = np.argsort(np.asarray(keys), kind="stable")
    share = size / len(classes)
    chosen: list[Ints] = []
    for label in np.unique(classes):
        mine = order[classes[order] == label]
        chosen.append(mine[: max(2, round(share * len(mine)))])
    return np.sort(np.concatenate(chosen))
