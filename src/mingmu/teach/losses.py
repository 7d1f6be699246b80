"""What a linear head is fitted to: each loss gives a number for each example, and its slope for each logit."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Loss = Callable[[Floats, Bools], tuple[Floats, Floats]]  # logits [N, C] and what is true -> losses [N], slopes [N, C]


def softmax_loss(logits: Floats, truth: Bools) -> tuple[Floats, Floats]:
    """-log of the true class's probability, where one is true."""
    logits = logits - logits.max(axis=1, keepdims=True)
    powers = np.exp(logits)
    sums = powers.sum(axis=1, keepdims=True)
    return np.log(sums[:, 0]) - logits[truth], powers / sums - truth


def sigmoid_loss(logits: Floats, truth: Bools) -> tuple[Floats, Floats]:
    """The sum over labels of -log of the probability of what is true: each label is a question of its own."""
    losses = np.logaddexp(0, logits) - truth * logits
    return losses.sum(axis=1), 0.5 * (1 + np.tanh(0.5 * logits)) - truth


def hinge_loss(logits: Floats, truth: Bools) -> tuple[Floats, Floats]:
    """The sum over labels of how far each falls short of a margin of 1, squared: a support vector machine for each."""
    side = np.where(truth, np.float32(1), np.float32(-1))
    short = np.maximum(1 - side * logits, 0)
    return (short**2).sum(axis=1), -2 * side * short


LOSSES: Mapping[str, Loss] = {"softmax": softmax_loss, "sigmoid": sigmoid_loss, "hinge": hinge_loss}
