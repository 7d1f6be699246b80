"""Changes photos at random while they teach: a whole batch at once, on the device that the network is on.

Every function takes and gives float pixels [N, 3, H, W] in levels of 0..255, and draws from a generator of its own, so that a
step's changes depend on nothing but its number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Generator, Tensor
from torch.nn import functional

from mingmu.train.recipe import AugmentTable

GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601
ERASED = (0.02, 0.25)  # share of the area that a blanked rectangle has


def augment(pixels: Tensor, size: int | tuple[int, int], table: AugmentTable, chance: Generator) -> Tensor:
    """Photos, uint8 [N, H, W, 3], as a recipe wants them changed: float [N, 3, height, width], of `size` pixels a side or of a size."""
    planes = pixels.permute(0, 3, 1, 2).float()
    planes = framed(planes, size, table, chance)
    if table.colour:
        planes = recoloured(planes, table.colour, chance)
    for _ in range(table.randaugment):
        planes = drawn_by_lot(planes, table.magnitude, chance)
    if table.erasing:
        planes = erased(planes, table.erasing, chance)
    return planes.clamp(0, 255)


def uniform(count: int, low: float, high: float, chance: Generator) -> Tensor:
    return torch.rand(count, generator=chance) * (high - low) + low


def framed(planes: Tensor, size: int | tuple[int, int], table: AugmentTable, chance: Generator) -> Tensor:
    """Crop, stretch, turn and mirror in one resampling."""
    width, height = (size, size) if isinstance(size, int) else size
    count, wide = len(planes), width / height
    area = uniform(count, table.crop, 1, chance)
    stretch = torch.exp(uniform(count, -math.log(table.stretch), math.log(table.stretch), chance))
    across, down = (area * stretch).sqrt().clamp(max=1), (area / stretch).sqrt().clamp(max=1)
    x, y = ((1 - side) * uniform(count, -1, 1, chance) for side in (across, down))
    angle = torch.deg2rad(uniform(count, -table.rotation, table.rotation, chance))
    mirror = 1 - 2 * (torch.rand(count, generator=chance) < table.flip).float()
    right = torch.stack([angle.cos() * across * mirror, -angle.sin() / wide * down, x], dim=1)
    below = torch.stack([angle.sin() * wide * across * mirror, angle.cos() * down, y], dim=1)
    return resampled(planes, torch.stack([right, below], dim=1), (width, height))


def resampled(planes: Tensor, where: Tensor, size: tuple[int, int]) -> Tensor:
    """Each picture seen through an affine map [N, 2, 3] of the frame, -1..1, onto itself; beyond its edges it is mirrored."""
    grid = functional.affine_grid(where.to(planes.device), [len(planes), 3, size[1], size[0]], align_corners=False)
    return functional.grid_sample(planes, grid, padding_mode="reflection", align_corners=False)


def recoloured(planes: Tensor, most: float, chance: Generator) -> Tensor:
    """Brightness, contrast and saturation, each by a factor of 1 - most to 1 + most."""
    factors = uniform(3 * len(planes), 1 - most, 1 + most, chance).to(planes.device).view(3, -1, 1, 1, 1)
    planes = planes * factors[0]
    middle = planes.mean(dim=(1, 2, 3), keepdim=True)
    planes = (planes - middle) * factors[1] + middle
    grey = _grey(planes)
    return ((planes - grey) * factors[2] + grey).clamp(0, 255)


def _grey(planes: Tensor) -> Tensor:
    weights = torch.tensor(GREY, device=planes.device).view(1, 3, 1, 1)
    return (planes * weights).sum(dim=1, keepdim=True)


def drawn_by_lot(planes: Tensor, magnitude: float, chance: Generator) -> Tensor:
    """One operation for each picture, drawn from all. E. D. Cubuk and others, "RandAugment", arXiv 1909.13719."""
    which = torch.randint(len(OPERATIONS), (len(planes),), generator=chance)
    sign = 1 - 2 * torch.randint(2, (len(planes),), generator=chance).float()
    changed = planes.clone()
    for number, operation in enumerate(OPERATIONS.values()):
        rows = (which == number).nonzero()[:, 0]
        if len(rows):
            changed[rows] = operation(planes[rows], magnitude, sign[rows])
    return changed


Operation = Callable[[Tensor, float, Tensor], Tensor]  # pictures, how strongly 0..1, and in which direction, -1 or 1 for each


def _moved(planes: Tensor, **parts: Tensor | float) -> Tensor:
    where = torch.eye(2, 3).repeat(len(planes), 1, 1)
    for place, value in parts.items():
        where[:, int(place[1]), int(place[2])] = torch.as_tensor(value)
    return resampled(planes, where, (planes.shape[3], planes.shape[2]))


def _turned(planes: Tensor, magnitude: float, sign: Tensor) -> Tensor:
    angle = sign * math.radians(30 * magnitude)
    return _moved(planes, m00=angle.cos(), m01=-angle.sin(), m10=angle.sin(), m11=angle.cos())


def _sharpened(planes: Tensor, magnitude: float, sign: Tensor) -> Tensor:
    """Away from, or towards, the mean of each 3x3 places."""
    smooth = functional.avg_pool2d(functional.pad(planes, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
    return (planes + 0.9 * magnitude * sign.to(planes.device).view(-1, 1, 1, 1) * (planes - smooth)).clamp(0, 255)


def _stretched(planes: Tensor, _magnitude: float, _sign: Tensor) -> Tensor:
    """Autocontrast: the darkest level of each channel becomes 0, the brightest 255."""
    low, high = planes.amin(dim=(2, 3), keepdim=True), planes.amax(dim=(2, 3), keepdim=True)
    return (planes - low) * 255 / (high - low).clamp(min=1)


def _solarised(planes: Tensor, magnitude: float, _sign: Tensor) -> Tensor:
    return torch.where(planes < 256 * (1 - magnitude / 2), planes, 255 - planes)


def _posterised(planes: Tensor, magnitude: float, _sign: Tensor) -> Tensor:
    step = 2.0 ** round(4 * magnitude)
    return (planes / step).floor() * step


OPERATIONS: Mapping[str, Operation] = {
    "nothing": lambda planes, _magnitude, _sign: planes,
    "turn": _turned,
    "shear across": lambda planes, magnitude, sign: _moved(planes, m01=0.3 * magnitude * sign),
    "shear down": lambda planes, magnitude, sign: _moved(planes, m10=0.3 * magnitude * sign),
    "move across": lambda planes, magnitude, sign: _moved(planes, m02=0.6 * magnitude * sign),
    "move down": lambda planes, magnitude, sign: _moved(planes, m12=0.6 * magnitude * sign),
    "sharpness": _sharpened,
    "autocontrast": _stretched,
    "solarise": _solarised,
    "posterise": _posterised,
}


def erased(planes: Tensor, share: float, chance: Generator) -> Tensor:
    """A rectangle of the picture's mean colour, in so many pictures. Z. Zhong and others, arXiv 1708.04896."""
    count, _, height, width = planes.shape
    inside = _rectangles(count, height, width, uniform(count, *ERASED, chance), chance).to(planes.device)
    chosen = (torch.rand(count, generator=chance) < share).to(planes.device)
    return torch.where(inside & chosen.view(-1, 1, 1, 1), planes.mean(dim=(2, 3), keepdim=True), planes)


def _rectangles(count: int, height: int, width: int, area: Tensor, chance: Generator) -> Tensor:
    """Which places lie in a rectangle with a share of the area, one for each picture: bool [N, 1, H, W]."""
    stretch = torch.exp(uniform(count, -0.7, 0.7, chance))
    spans = []
    for length, side in ((height, (area * stretch).sqrt()), (width, (area / stretch).sqrt())):
        side = side.clamp(max=1)
        start = (1 - side) * torch.rand(count, generator=chance)
        place = ((torch.arange(length) + 0.5) / length).view(1, -1)
        spans.append((place >= start.view(-1, 1)) & (place < (start + side).view(-1, 1)))
    return (spans[0].unsqueeze(2) & spans[1].unsqueeze(1)).unsqueeze(1)


def mixed(planes: Tensor, targets: Tensor, table: AugmentTable, chance: Generator) -> tuple[Tensor, Tensor]:
    """Each picture with some of another, and its target [N, C] likewise.

    mixup blends (H. Zhang and others, arXiv 1710.09412), cutmix pastes a rectangle (S. Yun and others, arXiv 1905.04899); where a
    recipe has both, each batch gets one of them.
    """
    if not (table.mixup or table.cutmix):
        return planes, targets
    other = torch.randperm(len(planes), generator=chance)
    paste = table.cutmix > 0 and (not table.mixup or bool(torch.rand(1, generator=chance) < 0.5))
    alpha = table.cutmix if paste else table.mixup
    share = _beta(alpha, chance)
    if paste:
        inside = _rectangles(1, planes.shape[2], planes.shape[3], torch.tensor([1 - share]), chance).to(planes.device)
        planes, share = torch.where(inside, planes[other], planes), 1 - float(inside.float().mean())
    else:
        planes = share * planes + (1 - share) * planes[other]
    return planes, share * targets + (1 - share) * targets[other]


def _beta(alpha: float, chance: Generator) -> float:
    """A draw of Beta(alpha, alpha), as the ratio of two of Gamma(alpha)."""
    one, other = torch._standard_gamma(torch.full((2,), alpha), generator=chance).tolist()
    return float(one / (one + other)) if one + other else 0.5
