"""Which of a network's thousands of places are to find which thing, and what a batch then costs.

SimOTA: each thing gets the places that find it best already, about as many as find it well (Z. Ge and others, "YOLOX", arXiv
2107.08430, section 2.2, and its code).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

REACH = 1.5  # cells from the middle of a thing, in which places may be to find it
CANDIDATES = 10  # overlaps whose sum is how many places a thing gets
FAR = 1e6  # what it costs to lie out of reach
PLACING, BOXES = 3.0, 5.0  # how much where it is counts beside what it is: for who finds it, and in the loss


def loss_of(rows: Tensor, targets: Tensor, grid: Tensor, strides: Tensor) -> Tensor:
    """What rows [N, A, 5 + C] cost beside targets [N, M, 5], for each place that is to find something.

    grid [A, 2] and strides [A, 1] say where the places are.
    """
    middles = (grid + 0.5) * strides
    total, chosen = rows.new_zeros(()), 0
    for each, target in zip(rows, targets, strict=True):
        things = target[target[:, 0] >= 0]
        there = torch.zeros(len(each), device=each.device)
        if len(things):
            places, owners = assigned(each.detach(), things, middles, strides[:, 0])
            there[places] = 1
            boxes, kinds = things[owners, 1:], things[owners, 0].long()
            shared = overlap(corners(each[places, :4]), boxes)
            wanted = functional.one_hot(kinds, each.shape[1] - 5) * shared.detach()[:, None]
            total = total + BOXES * (1 - shared**2).sum()
            total = total + functional.binary_cross_entropy_with_logits(each[places, 5:], wanted, reduction="sum")
            chosen += len(places)
        total = total + functional.binary_cross_entropy_with_logits(each[:, 4], there, reduction="sum")
    return total / max(1, chosen)


def assigned(rows: Tensor, things: Tensor, middles: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Which places of one picture find something, and the thing that each finds, by its number."""
    centres = (things[:, None, 1:3] + things[:, None, 3:5]) / 2
    near = ((centres - middles).abs().amax(dim=2) < REACH * strides).T  # [A, G]
    candidates = near.any(dim=1).nonzero()[:, 0]
    some, near = rows[candidates], near[candidates]
    shared = overlap(corners(some[:, None, :4]), things[None, :, 1:])
    said = (some[:, 5:].sigmoid() * some[:, 4:5].sigmoid()).sqrt().clamp(1e-7, 1 - 1e-7)
    wrong = -torch.log1p(-said)
    kinds = things[:, 0].long()
    naming = wrong.sum(dim=1, keepdim=True) - wrong[:, kinds] - said[:, kinds].log()
    cost = naming - PLACING * (shared + 1e-8).log() + FAR * ~near
    many = shared.topk(min(CANDIDATES, len(shared)), dim=0).values.sum(dim=0).int().clamp(min=1)
    ranks = cost.argsort(dim=0).argsort(dim=0)
    taken = ranks < many
    cheapest = functional.one_hot(cost.argmin(dim=1), len(things)).bool()
    taken = torch.where((taken.sum(dim=1) > 1)[:, None], cheapest, taken)
    place, owner = taken.nonzero(as_tuple=True)
    return candidates[place], owner


def corners(boxes: Tensor) -> Tensor:
    """Left, top, right, bottom [..., 4] of middles, widths and heights."""
    halves = boxes[..., 2:4] / 2
    return torch.cat([boxes[..., :2] - halves, boxes[..., :2] + halves], dim=-1)


def overlap(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of corners [..., 4], place by place."""
    low, high = torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:])
    both = (high - low).clamp(min=0).prod(dim=-1)
    areas = [(each[..., 2:] - each[..., :2]).clamp(min=0).prod(dim=-1) for each in (one, other)]
    return both / (areas[0] + areas[1] - both).clamp(min=1e-9)
