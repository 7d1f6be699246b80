"""What a training makes small."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from mingmu.train.nets.classifier import Classifier


class Objective(nn.Module):
    """The loss of a network on a batch. It may have weights of its own, which learn along and are not sealed."""

    def forward(self, net: Classifier, pixels: Tensor, targets: Tensor) -> Tensor:
        """One number, float32, for pixels [N, 3, H, W] and targets [N, C] that sum to 1."""
        raise NotImplementedError


class CrossEntropy(Objective):
    """How surprised a network is by the truth."""

    def forward(self, net: Classifier, pixels: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(net(pixels).float(), targets)
