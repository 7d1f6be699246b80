"""Changes photos with boxes at random while they teach: moved, scaled, mirrored, recoloured, and four put together to one.

A whole batch at once; all chance is drawn from a generator of its own, so that a step's changes depend on nothing but its number.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from mingmu.train.augment import Lots, recoloured
from mingmu.train.recipe import AugmentTable

GREY = 114.0  # what lies where no photo is, as in letterboxed frames
SEEN = 0.25  # the share of a box that must remain
LEAST = 2.0  # pixels of a side, below which nothing can be learned
TILES = ((0, 0), (1, 0), (0, 1), (1, 1))  # of a mosaic: column and row
SMALLER = 0.75  # how large photos are in a mosaic, beside others
MIDDLE = (0.3, 0.7)  # where the four photos of a mosaic meet, as a share of the frame


def composed(pixels: Tensor, truth: Tensor, table: AugmentTable, mosaic: float, chance: Generator) -> tuple[Tensor, Tensor]:
    """Photos uint8 [N, S, S, 3] and boxes [N, M, 5], changed: float [N, 3, S, S] and [N, 4 M, 5], where a class of -1 is no box.

    A share `mosaic` of the photos becomes one quarter of a picture made of it and three others (A. Bochkovskiy and others, "YOLOv4",
    arXiv 2004.10934).
    """
    photos = pixels.permute(0, 3, 1, 2).float() - GREY
    count, size = len(photos), photos.shape[-1]
    lots = Lots.of_all(chance, count)
    several = lots.uniform(0, 1) < mosaic
    meeting = torch.stack([lots.uniform(*MIDDLE), lots.uniform(*MIDDLE)], dim=1) * size
    canvas, boxes = torch.zeros_like(photos), []
    for number, tile in enumerate(TILES):
        others = torch.arange(count) if number == 0 else torch.randperm(count, generator=chance)
        low, high = _area(tile, meeting, several, size)
        shape = _zoom(table, lots) * torch.where(several, SMALLER, 1.0)[:, None]
        start = low + torch.rand(count, 2, generator=chance) * (high - low - shape * size)
        mirror = lots.uniform(0, 1) < table.flip
        if number == 0 or several.any():
            canvas += _pasted(photos[others], shape, start, mirror, low, high)
            boxes.append(_moved(truth[others], shape, start, mirror, low, high, size))
    planes = (canvas + GREY).clamp(0, 255)
    return recoloured(planes, table.colour, lots) if table.colour else planes, torch.cat(boxes, dim=1)


def _area(tile: tuple[int, int], meeting: Tensor, several: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The left upper and right lower corner [N, 2] of what a tile fills: a quarter, or for the first tile of a single photo all."""
    last = torch.tensor(tile) > 0
    low, high = torch.where(last, meeting, 0.0), torch.where(last, float(size), meeting)
    end = float(size) if tile == TILES[0] else 0.0
    return torch.where(several[:, None], low, 0.0), torch.where(several[:, None], high, end)


def _zoom(table: AugmentTable, lots: Lots) -> Tensor:
    """How much larger photos become, across and down [N, 2]."""
    zoom, stretch = (torch.exp(lots.uniform(-math.log(most), math.log(most))) for most in (table.zoom, table.stretch))
    return torch.stack([zoom * stretch.sqrt(), zoom / stretch.sqrt()], dim=1)


def _pasted(photos: Tensor, shape: Tensor, start: Tensor, mirror: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Photos, so large and from there on, within an area; 0 elsewhere."""
    count, size = len(photos), photos.shape[-1]
    scale = 1 / shape
    offset = scale - 2 * start / (size * shape) - 1
    direction = torch.where(mirror, -1.0, 1.0)
    where = torch.zeros(count, 2, 3)
    where[:, 0, 0], where[:, 0, 2] = direction * scale[:, 0], direction * offset[:, 0]
    where[:, 1, 1], where[:, 1, 2] = scale[:, 1], offset[:, 1]
    grid = functional.affine_grid(where.to(photos.device), list(photos.shape), align_corners=False)
    found = functional.grid_sample(photos, grid, align_corners=False)
    line = torch.arange(size) + 0.5
    across, down = ((line >= low[:, axis, None]) & (line < high[:, axis, None]) for axis in (0, 1))
    return found * (down[:, None, :, None] & across[:, None, None, :]).to(photos.device)


def _moved(truth: Tensor, shape: Tensor, start: Tensor, mirror: Tensor, low: Tensor, high: Tensor, size: int) -> Tensor:
    """Where boxes [N, M, 5] are then; those of which too little is left become class -1."""
    kinds, left, top, right, bottom = truth.unbind(dim=2)
    turned = mirror[:, None]
    left, right = torch.where(turned, size - right, left), torch.where(turned, size - left, right)
    boxes = torch.stack([left, top, right, bottom], dim=2) * shape.repeat(1, 2)[:, None] + start.repeat(1, 2)[:, None]
    kept = torch.minimum(torch.maximum(boxes, low.repeat(1, 2)[:, None]), high.repeat(1, 2)[:, None])
    before, after = ((each[..., 2:] - each[..., :2]).clamp(min=0) for each in (boxes, kept))
    there = (kinds >= 0) & (after.prod(dim=2) >= SEEN * before.prod(dim=2)) & (after >= LEAST).all(dim=2)
    return torch.cat([torch.where(there, kinds, -1.0)[..., None], kept], dim=2)
