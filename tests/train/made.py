"""Tiny photos and recipes for the tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mingmu.core.pixels import encode_png
from mingmu.train.feed import Feed, Photos
from mingmu.train.recipe import Recipe

COLOURS = ((200, 60, 60), (60, 60, 200))


def photos(count: int, size: int = 16, seed: int = 0) -> Photos:
    """Noisy red and blue pictures, by turns."""
    random = np.random.default_rng(seed)
    classes = np.arange(count, dtype=np.int64) % 2
    noise = random.normal(0, 40, (count, size, size, 3))
    return Photos(np.clip(np.array(COLOURS)[classes][:, None, None] + noise, 0, 255).astype(np.uint8), classes)


def folder(path: Path, count: int, size: int = 20, seed: int = 0) -> Path:
    """The same as files, in a folder for each of two labels."""
    made = photos(2 * count, size, seed)
    for number, (pixels, kind) in enumerate(zip(made.pixels, made.truth, strict=True)):
        place = path / ("blue" if kind else "red") / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(encode_png(pixels))
    return path


def recipe(**tables: Any) -> Recipe:
    """A small network, few photos at once, always the same."""
    usual: dict[str, Any] = {"net": {"name": "cnn", "size": 16}, "batch": 8, "precision": "fp32", "schedule": {"epochs": 3}}
    return Recipe.model_validate(usual | tables)


def feed(count: int = 24, size: int = 16, batch: int = 8) -> Feed:
    return Feed(photos(count, size), batch)
