"""torchvision beside a torch that its compiled operators were not built for.

The wheels of torchvision on the usual index are linked against CUDA. Beside a CPU-only torch their operators do not load, and
`import torchvision` fails, as it describes two of them that then do not exist. Non-maximum suppression is defined in plain torch
here, and stands in for both, so that what is there also works.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.library import Library

NAMES = ("nms", "qnms")
SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@cache
def define_missing() -> Library | None:
    """Define the operators that torchvision cannot be imported without, unless its own load. Call before importing it, or timm."""
    import torch

    if _own_load():
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in NAMES:
        library.define(name + SIGNATURE)
        library.impl(name, nms, "CPU")
    return library  # the cache keeps it: what it defined goes with it


def _own_load() -> bool:
    import torch

    spec = find_spec("torchvision")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for compiled in Path(place).glob("_C*.*"):  # `_C_stable` since 0.29
            with suppress(OSError):
                torch.ops.load_library(compiled)
    return all(hasattr(torch.ops.torchvision, name) for name in NAMES)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """The indices of the boxes that no box of a higher score overlaps by more than a threshold, the surest first.

    boxes [N, 4] as left, top, right, bottom; scores [N]; overlap is intersection over union.
    """
    import torch

    order = scores.argsort(descending=True, stable=True)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        low, high = torch.maximum(boxes[best, :2], boxes[rest, :2]), torch.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = (high - low).clamp(min=0).prod(dim=1)
        order = rest[shared <= iou_threshold * (area[best] + area[rest] - shared)]
    return torch.stack(kept) if kept else order
