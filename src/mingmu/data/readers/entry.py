"""What every reader gives: a line for each image, before the image itself is looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from mingmu.data.dataset import Region, Split
from mingmu.data.finding import Finding

Report = Callable[[Finding], None]

# With those that cannot be decoded: they are reported, not passed over.
IMAGE_SUFFIXES = frozenset((
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".mpo", ".avif"),
    *(".heic", ".heif", ".svg", ".psd", ".ico", ".jp2", ".jxl", ".pgm", ".ppm", ".pbm"),
))  # fmt: skip
_SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What a source says about one image file."""

    name: str  # of the image, within the folder or archive
    labels: tuple[str, ...] = ()
    split: Split | None = None
    group: str | None = None
    boxes: tuple[Region, ...] = ()
    unit: Literal["pixels", "shares"] = "pixels"  # of the boxes; shares of the width and of the height
    size: tuple[int, int] | None = None  # width, height, where the annotation says it


def boxed(name: str, boxes: list[Region], *, split: Split | None, unit: Literal["pixels", "shares"], size: tuple[int, int] | None) -> Entry:
    """An entry whose labels are those of its boxes."""
    return Entry(name, tuple(sorted({box.label for box in boxes})), split, None, tuple(boxes), unit, size)


def split_named(word: str) -> Split | None:
    """The split that a folder, a file or a cell means; None: it means none."""
    return _SPLITS.get(word.strip().lower())


def split_in(name: str) -> Split | None:
    """The split that a path speaks of in one of its parts, or in words of them: `instances_train2017.json` is train."""
    for part in reversed(PurePosixPath(name).with_suffix("").parts):
        for word in part.replace("-", "_").replace(".", "_").split("_"):
            if split := split_named(word.rstrip("0123456789")):
                return split
    return None


def is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES
