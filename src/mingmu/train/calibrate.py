"""How sure a network should sound."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SPREAD = 0.5  # standard deviation of log T that is expected before any photo is seen
STEPS = 60


def temperature(logits: Tensor, classes: Tensor) -> float:
    """What logits [N, C] are to be divided by, so that confidence is right as often as it says; 1 without photos.

    The likeliest T (C. Guo and others, "On Calibration of Modern Neural Networks", arXiv 1706.04599), given that few photos prove
    little: log T is normal around 0 with a deviation of 0.5.
    """
    if not len(classes):
        return 1.0

    def cost(log: float) -> float:
        loss = functional.cross_entropy(logits.double() / torch.tensor(log).exp(), classes, reduction="sum")
        return float(loss) + log**2 / (2 * SPREAD**2)

    low, high = -3.0, 3.0
    for _ in range(STEPS):
        third = (high - low) / 3
        low, high = (low, high - third) if cost(low + third) < cost(high - third) else (low + third, high)
    return float(torch.tensor((low + high) / 2).exp())
