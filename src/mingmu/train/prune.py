"""Taking channels out of a network: whole ones, so that what is left is a smaller network, which any runtime runs faster."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from mingmu.core.errors import BadRequest
from mingmu.train.augment import as_served
from mingmu.train.feed import Photos
from mingmu.train.nets.classifier import Classifier

STEPS = 25  # in which channels are taken, at most
DEEPEST = 0.9  # share of the channels of a layer that may go
ROUND = 8  # channels; processors work on so many at once, or twice that
LOOKED_AT = 192  # photos, at least, that say which channels matter; fewer where there are no more
AT_ONCE = 8  # of them, whose slopes are taken together
LEAST = 1e-20  # Fisher information of a weight: where the network is so sure that nothing turns on any, the smallest weights go first
SOFTENED = 2.0  # temperature: of answers that are sure, only what is thought of the others shows what they turn on


def prune(net: Classifier, photos: Photos, size: int, keep: float) -> float:
    """Take the channels that matter least out of a network, in place, until it multiplies at most `keep` times as often as before.

    Channels that hang together, as over a residual connection, go together, compared over all layers (G. Fang and others, "DepGraph:
    Towards Any Structural Pruning", CVPR 2023). How much they matter is what some of the `photos` show. Gives the share that is left, of
    the multiplications for a picture of `size` pixels a side. The network has to learn again afterwards. Raises BadRequest for
    one that cannot be cut so.
    """
    import torch_pruning as pruning

    example = torch.zeros(1, 3, size, size)
    net.cpu().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library, about layers without weights
        whole = left = _multiplications(net, example)
        try:
            _weigh(net, photos[:: max(1, len(photos) // LOOKED_AT)], size)
            pruner = pruning.pruner.BasePruner(
                net,
                example,
                importance=_by_eights(pruning.importance.GroupTaylorImportance()),
                global_pruning=True,
                pruning_ratio=DEEPEST,
                max_pruning_ratio=DEEPEST,
                iterative_steps=STEPS,
                round_to=ROUND,
                ignored_layers=[net.head, *_attention(net)],
            )
            for _ in range(STEPS):
                if left <= keep * whole:
                    break
                pruner.step()
                left = _multiplications(net, example)
        except Exception as error:  # whatever the library meets in a network that it does not understand
            raise BadRequest(f"this network cannot be pruned ({error}); let another one learn from it instead (--net)") from error
    if left > keep * whole:
        raise BadRequest(f"pruning leaves {left / whole:.0%} of this network at best; ask for --keep {left / whole:.2f} or more")
    net.zero_grad()
    return left / whole


def _weigh(net: Classifier, photos: Photos, size: int) -> None:
    """Give each weight, in place of a gradient, how much the network's answers turn on it: the root of its Fisher information.

    That is the mean square of the slopes of log p(y), where y is drawn from what the network itself says (L. Theis and others, "Faster
    gaze prediction with dense networks and Fisher pruning", arXiv 1801.05787): how far the answers move, to the second order, from
    those that it is to learn again. Times the weight itself it is what P. Molchanov and others rank channels by ("Importance
    Estimation for Neural Network Pruning", CVPR 2019).
    """
    chance, weights = Generator().manual_seed(0), [*net.parameters()]
    squares = [torch.zeros_like(weight) for weight in weights]
    for some in torch.from_numpy(photos.pixels.copy()).split(AT_ONCE):
        logits = net(as_served(some, size, photos.served)) / SOFTENED
        said = torch.multinomial(logits.detach().softmax(dim=1), 1, generator=chance).squeeze(dim=1)
        slopes = torch.autograd.grad(functional.cross_entropy(logits, said), weights, allow_unused=True)
        for square, slope in zip(squares, slopes, strict=True):
            if slope is not None:
                square += slope**2
    for weight, square in zip(weights, squares, strict=True):
        weight.grad = (square + LEAST).sqrt()


def _by_eights(weigh: Callable[[Any], Tensor | None]) -> Callable[[Any], Tensor | None]:
    """Channels of a group go ROUND at a time, by what they matter together: one that does not matter takes no others along."""

    def weighed(group: Any) -> Tensor | None:
        found = weigh(group)
        if found is not None:
            for some in found.argsort().split(ROUND):
                found[some] = found[some].mean()
        return found

    return weighed


def _attention(net: Classifier) -> list[nn.Module]:
    """Layers whose channels are dealt out to heads; in a transformer only what lies between them is pruned."""
    return [layer for part in net.modules() if hasattr(part, "num_heads") for layer in part.modules()]


def _multiplications(net: Classifier, example: torch.Tensor) -> float:
    import torch_pruning as pruning

    return float(pruning.utils.count_ops_and_params(net, example)[0])
