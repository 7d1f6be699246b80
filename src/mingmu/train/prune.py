"""Taking channels out of a network: whole ones, so that what is left is a smaller network, which any runtime runs faster."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from mingmu.core.errors import BadRequest
from mingmu.train.nets.classifier import Classifier

STEPS = 25  # in which channels are taken, at most
DEEPEST = 0.9  # share of the channels of a layer that may go
ROUND = 8  # channels; processors work on so many at once, or twice that


def prune(net: Classifier, size: int, keep: float) -> float:
    """Take the weakest channels out of a network, in place, until it multiplies at most `keep` times as often as before.

    Channels that hang together, as over a residual connection, go together; those whose weights are smallest go first, compared over
    all layers (G. Fang and others, "DepGraph: Towards Any Structural Pruning", CVPR 2023). Gives the share that is left, of
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
            pruner = pruning.pruner.BasePruner(
                net,
                example,
                importance=pruning.importance.GroupMagnitudeImportance(p=2),
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
    return left / whole


def _attention(net: Classifier) -> list[nn.Module]:
    """Layers whose channels are dealt out to heads; in a transformer only what lies between them is pruned."""
    return [layer for part in net.modules() if hasattr(part, "num_heads") for layer in part.modules()]


def _multiplications(net: Classifier, example: torch.Tensor) -> float:
    import torch_pruning as pruning

    return float(pruning.utils.count_ops_and_params(net, example)[0])
