"""Held-out parts of the training data: stratified by class, a group never on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mingmu.data.splits import allocate

Ints = NDArray[np.int64]

FOLDS = 5


def fold_of(classes: Ints, groups: Sequence[str], seed: int, k: int = FOLDS) -> Ints | None:
    """The fold, 0 to k-1, in which each example is held out; None if no class could be learned from the others.

    Fewer folds where no class has k groups. Classes with one group are only ever held out or only ever learned.
    """
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    pairs = np.unique(np.stack([classes, numbers]), axis=1)[0]
    k = min(k, int(np.bincount(pairs).max()))
    if k < 2:
        return None
    return np.asarray(allocate([(str(label),) for label in classes], numbers, (1 / k,) * k, seed), np.int64)


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
