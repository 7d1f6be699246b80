"""A deep belief network: layers that first learn, one after the other and without labels, to say again what they saw.

G. Hinton, S. Osindero, Y.-W. Teh, "A Fast Learning Algorithm for Deep Belief Nets", Neural Computation 18, 2006. Afterwards all of
them learn together with the head, from the labels, as every network does (`mingmu.train.fit`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from mingmu.train.features import standardised
from mingmu.train.feed import Photos
from mingmu.train.nets.classifier import Classifier

PASSES = 20  # over the photos, for each layer
BATCH = 32
RATE, RATE_OF_REAL = 0.1, 0.005  # real numbers have no bounds to fall back to: Hinton's guide, section 13.2
MOMENTUM, DECAY = 0.9, 2e-4
SPREAD = 0.01  # of the weights at the start: Hinton's guide, section 8


@dataclass(eq=False)
class Machine:
    """A restricted Boltzmann machine: what is visible, v, and hidden units h that are 0 or 1, with the energy -h·W·v - b·v - c·h.

    With `real` visible units, of mean 0 and variance 1, it is (v - b)²/2 - h·W·v - c·h. Practice: G. Hinton, "A Practical Guide to
    Training Restricted Boltzmann Machines", 2012.
    """

    weight: Tensor  # W [H, V]
    visible: Tensor  # b [V]
    hidden: Tensor  # c [H]
    real: bool = False

    def up(self, visible: Tensor) -> Tensor:
        """The probability that each hidden unit is 1, [N, H]."""
        return torch.sigmoid(visible @ self.weight.T + self.hidden)

    def down(self, hidden: Tensor) -> Tensor:
        """What is expected to be visible, [N, V]."""
        found = hidden @ self.weight + self.visible
        return found if self.real else torch.sigmoid(found)

    def learn(self, seen: Tensor, chance: Generator, tell: Callable[[float], None] = lambda share: None) -> tuple[float, ...]:
        """Contrastive divergence with one step (G. Hinton, Neural Computation 14, 2002) on rows [N, V]: pull the energy down where the
        data are, and up where the machine would go from there. Gives the mean squared error of what is said again, after each pass.
        """
        rate = RATE_OF_REAL if self.real else RATE
        speeds = [torch.zeros_like(part) for part in (self.weight, self.visible, self.hidden)]
        errors = []
        for done in range(PASSES):
            error = 0.0
            for rows in torch.randperm(len(seen), generator=chance).split(BATCH):
                first = seen[rows]
                on = self.up(first)
                again = self.down(torch.bernoulli(on, generator=chance))
                on_again = self.up(again)
                slopes = on.T @ first - on_again.T @ again, (first - again).sum(dim=0), (on - on_again).sum(dim=0)
                for part, speed, slope in zip((self.weight, self.visible, self.hidden), speeds, slopes, strict=True):
                    decay = DECAY * part if part is self.weight else 0.0
                    speed.mul_(MOMENTUM).add_(slope / len(rows) - decay, alpha=rate)
                    part.add_(speed)
                error += float((first - again).square().sum())
            errors.append(error / seen.numel())
            tell((done + 1) / PASSES)
        return tuple(errors)


def pretrain(
    net: Classifier, photos: Photos, size: int, seed: int, tell: Callable[[float], None] = lambda share: None
) -> list[tuple[float, ...]]:
    """Let the layers of a new network, `dbn`, learn one after the other from photos without their labels.

    Gives how far what each layer said again was from what it saw, after each pass.
    """
    chance = Generator().manual_seed(seed)
    found = standardised(net, photos, size, tell)
    errors = []
    layers = [layer for layer in net.neck.modules() if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for number, layer in enumerate(layers):
            layer.weight.normal_(0, SPREAD, generator=chance)
            layer.bias.zero_()
            machine = Machine(layer.weight, torch.zeros(layer.in_features), layer.bias, real=number == 0)
            errors.append(machine.learn(found, chance, tell))
            found = machine.up(found)
    return errors
