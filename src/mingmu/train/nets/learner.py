"""What the loop asks of every network, whatever it says of a photo."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import Parameter


class Learner(nn.Module):
    """A network that learns: a body that may know something already, and a head that is made for the labels of the user."""

    learned = False  # whether it begins with weights that know something

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def body(self) -> list[Parameter]:
        """What lies below the head, from the pixels up."""
        raise NotImplementedError

    def tip(self) -> list[Parameter]:
        """The head."""
        raise NotImplementedError

    def hold(self) -> None:
        """Keep the averages within the body as they are, where it does not learn."""
        raise NotImplementedError

    def acquaint(self, pixels: Tensor) -> None:
        """See a batch before the first step."""
        raise NotImplementedError


class Detector(Learner):
    """From pixels, 0..255 of any dtype as [N, 3, S, S], to boxes [N, A, 4], corners in pixels, and scores [N, A, C]: what is proposed.

    What overlaps is left to the task.
    """

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.classes, self.size = classes, size

    def loss(self, pixels: Tensor, targets: Tensor) -> Tensor:
        """One number, float32, for pixels and targets [N, M, 5]: class, left, top, right, bottom; where the class is -1, nothing."""
        raise NotImplementedError
