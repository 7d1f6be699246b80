"""What is true of each example: its one class, int [N]; or, with several labels, which of them it carries, bool [N, C]."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Truth = Ints | Bools


def is_several(truth: Truth) -> bool:
    """Whether an example may carry several labels, or none of those that are asked about."""
    return truth.ndim == 2


def table(truth: Truth, count: int) -> Bools:
    """Which of `count` labels each example carries, bool [N, C]."""
    return np.asarray(truth if is_several(truth) else truth[:, None] == np.arange(count), np.bool_)


def present(truth: Truth) -> Ints:
    """The labels that some example carries."""
    return np.asarray(np.flatnonzero(truth.any(axis=0)) if is_several(truth) else np.unique(truth), np.int64)


def among(truth: Truth, labels: Ints) -> Truth:
    """The same truth where only these labels, which hold all that are there, are counted."""
    return np.asarray(truth[:, labels], np.bool_) if is_several(truth) else np.searchsorted(labels, truth).astype(np.int64)


def rarest(truth: Truth) -> Ints:
    """One label of each example: of those it carries, the one with the fewest examples."""
    if not is_several(truth):
        return np.asarray(truth, np.int64)
    return np.asarray(np.where(truth, truth.sum(axis=0), np.inf).argmin(axis=1), np.int64)


def is_right(logits: Floats, truth: Truth) -> Bools:
    """Whether the likeliest class is the true one, bool [N]; with several labels: whether just those carried are likely."""
    if is_several(truth):
        return np.asarray(((logits >= 0) == truth).all(axis=1))
    return np.asarray(logits.argmax(axis=1) == truth)
