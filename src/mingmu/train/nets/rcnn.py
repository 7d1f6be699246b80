"""Faster R-CNN: a network proposes regions, and a second look at each says what it is (S. Ren and others, arXiv 1506.01497).

Drawn and trained by torchvision's parts. What is sealed has numbers of boxes that do not depend on the picture: proposals that a surer
one covers are left out all at once instead of one after the other (D. Bolya and others, "YOLACT", arXiv 1904.02689, section 5), and so
many of the surest remain. Which answers overlap is left to the task, as for all detectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import Parameter, functional

from mingmu.train.nets.classifier import IMAGENET, acquaint
from mingmu.train.nets.learner import Detector
from mingmu.train.operators import define_missing
from mingmu.train.simota import overlap

CONSIDERED, PROPOSED = 512, 128  # proposals, before and after those that are covered are left out
COVERED = 0.7  # share of the union
LEARNED_FROM = 128  # proposals of each picture, at most
SIDE, SAMPLES = 7, 2  # of the second look: places a side, and samples of each, a side
USUAL, LEVEL = 224.0, 4  # a region of so many pixels a side is looked at in the map with 1/2**4 of the pixels a side


class Rcnn(Detector):
    """A box for each of the surest proposals."""

    mean: Tensor
    deviation: Tensor
    anchors: Tensor

    def __init__(self, name: str, classes: int, size: int) -> None:
        super().__init__(classes, size)
        define_missing()
        from torchvision.models import detection
        from torchvision.models.detection.image_list import ImageList

        for key, values in zip(("mean", "deviation"), IMAGENET, strict=True):
            self.register_buffer(key, torch.tensor(values).view(1, -1, 1, 1), persistent=False)
        whole = getattr(detection, name)(
            weights=None, weights_backbone=None, num_classes=classes + 1, box_batch_size_per_image=LEARNED_FROM
        )
        self.backbone, self.proposing, self.naming = whole.backbone, whole.rpn, whole.roi_heads
        self.naming.box_roi_pool = SecondLook(size)
        with torch.no_grad():
            blank = self.normal(torch.zeros(1, 3, size, size))
            maps = [*self.backbone.eval()(blank).values()]
            pictures = ImageList(blank, [(size, size)])
            self.register_buffer("anchors", self.proposing.anchor_generator(pictures, maps)[0], persistent=False)

    def body(self) -> list[Parameter]:
        return [*self.backbone.parameters()]

    def tip(self) -> list[Parameter]:
        return [*self.proposing.parameters(), *self.naming.parameters()]

    def hold(self) -> None:
        self.backbone.eval()

    def acquaint(self, pixels: Tensor) -> None:
        if not self.learned:
            acquaint(self.backbone, self.normal(pixels))

    def normal(self, pixels: Tensor) -> Tensor:
        return (pixels.float() - self.mean) / self.deviation

    def loss(self, pixels: Tensor, targets: Tensor) -> Tensor:
        maps = {name: found.float() for name, found in self.backbone(self.normal(pixels)).items()}
        real = [target[target[:, 0] >= 0] for target in targets]
        truth = [{"boxes": each[:, 1:], "labels": each[:, 0].long() + 1} for each in real]
        self.naming.train()  # or it looks for no losses
        with torch.autocast(pixels.device.type, enabled=False):
            chances, shifts = self._said([*maps.values()])
            anchors = [self.anchors] * len(pixels)
            there, boxes = self.proposing.assign_targets_to_anchors(anchors, truth)
            wanted = self.proposing.box_coder.encode(boxes, anchors)
            proposing = self.proposing.compute_loss(chances.reshape(-1, 1), shifts.reshape(-1, 4), there, wanted)
            proposals = self._proposals(chances.detach(), shifts.detach())
            _, naming = self.naming(maps, [*proposals], [(self.size, self.size)] * len(pixels), truth)
        return torch.stack([*proposing, *naming.values()]).sum()

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.backbone(self.normal(pixels))
        proposals = self._proposals(*self._said([*maps.values()]))
        count = proposals.shape[0]
        seen = self.naming.box_head(self.naming.box_roi_pool(maps, proposals, ()))
        logits, shifts = self.naming.box_predictor(seen)
        scores = logits.softmax(dim=1)[:, 1:]
        best = scores.argmax(dim=1) + 1
        shifts = shifts.view(-1, self.classes + 1, 4).gather(1, best.view(-1, 1, 1).expand(-1, 1, 4))[:, 0]
        boxes = self.naming.box_coder.decode_single(shifts, proposals.reshape(-1, 4))
        return boxes.reshape(count, -1, 4), scores.reshape(count, -1, self.classes)

    def _said(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Of each anchor the chance [N, A], as a logit, that something is there, and how far it lies off [N, A, 4]."""
        chances, shifts = self.proposing.head(maps)
        sure = torch.cat([_by_place(each, 1) for each in chances], dim=1)[..., 0]
        return sure, torch.cat([_by_place(each, 4) for each in shifts], dim=1)

    def _proposals(self, chances: Tensor, shifts: Tensor) -> Tensor:
        """The surest regions [N, P, 4], without those that a surer one covers.

        They are in the order of their anchors: in that of their chances, two that are nearly as sure would change places from one
        machine to another.
        """
        sure, which = chances.topk(min(CONSIDERED, chances.shape[1]), dim=1)
        moved = shifts.gather(1, which[..., None].expand(-1, -1, 4))
        boxes = self.proposing.box_coder.decode_single(moved.reshape(-1, 4), self.anchors[which].reshape(-1, 4))
        boxes = boxes.reshape(*which.shape, 4).clamp(0, self.size)
        covered = overlap(boxes[:, :, None], boxes[:, None]).triu(1).amax(dim=1) > COVERED
        kept = sure.masked_fill(covered, -1e4).topk(min(PROPOSED, sure.shape[1]), dim=1).indices
        kept = kept.gather(1, which.gather(1, kept).argsort(dim=1))
        return boxes.gather(1, kept[..., None].expand(-1, -1, 4))


def _by_place(found: Tensor, values: int) -> Tensor:
    """[N, a * values, h, w] as rows [N, h * w * a, values], in the order of the anchors."""
    count, _, height, width = found.shape
    return found.view(count, -1, values, height, width).permute(0, 3, 4, 1, 2).reshape(count, -1, values)


class SecondLook(nn.Module):
    """What maps hold of regions: K. He and others, "Mask R-CNN", arXiv 1703.06870, section 3, by samples between places.

    Each region is looked at in the map that suits its size (T.-Y. Lin and others, "Feature Pyramid Networks", arXiv 1612.03144, eq. 1).
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, maps: Mapping[str, Tensor], regions: Sequence[Tensor] | Tensor, _sizes: object) -> Tensor:
        """[regions of all pictures, F, 7, 7] of maps [N, F, h, w], and of regions [K, 4] for each of N pictures."""
        used = [found for name, found in maps.items() if name.isdigit()]
        if isinstance(regions, Tensor):
            return self._looks(used, regions)
        return torch.cat([self._looks([each[row : row + 1] for each in used], some[None]) for row, some in enumerate(regions)])

    def _looks(self, maps: Sequence[Tensor], regions: Tensor) -> Tensor:
        """The same for as many regions in each picture, [N, K, 4]."""
        count, many = regions.shape[:2]
        steps = (torch.arange(SIDE * SAMPLES, device=regions.device) + 0.5) / (SIDE * SAMPLES)
        low, high = regions[..., :2, None], regions[..., 2:, None]
        along = 2 * (low + (high - low) * steps) / self.size - 1  # [N, K, 2, 14], -1..1 over the frame
        across = along[:, :, 0, None, :].expand(-1, -1, len(steps), -1)
        down = along[:, :, 1, :, None].expand(-1, -1, -1, len(steps))
        grid = torch.stack([across, down], dim=-1).reshape(count, many * len(steps), len(steps), 2)
        sides = (regions[..., 2:] - regions[..., :2]).clamp(min=1).prod(dim=-1).sqrt()
        finest = _level(self.size / maps[0].shape[-1])
        level = (LEVEL + (sides / USUAL).log2().floor() - finest).clamp(0, len(maps) - 1)
        looks = []
        for number, each in enumerate(maps):
            seen = functional.grid_sample(each, grid, padding_mode="border", align_corners=False)
            seen = functional.avg_pool2d(seen, SAMPLES).reshape(count, -1, many, SIDE, SIDE).transpose(1, 2)
            looks.append(seen * (level == number).float()[..., None, None, None])
        return torch.stack(looks).sum(dim=0).reshape(count * many, -1, SIDE, SIDE)


def _level(stride: float) -> int:
    return round(stride).bit_length() - 1
