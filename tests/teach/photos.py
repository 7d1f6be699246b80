"""Small drawn photos, in memory, for a tiny network that sees the mean of each colour."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from mingmu.core.errors import NotFound
from mingmu.core.network import Network
from mingmu.core.pixels import PixelSpec, encode_png
from mingmu.data.dataset import Dataset, Example
from mingmu.teach.cache import FeatureCache
from mingmu.teach.features import Extractor
from tests import tiny


class Memory:
    """Images in memory, by SHA-256."""

    def __init__(self) -> None:
        self.images: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        self.images[sha256] = data
        return sha256

    def get(self, sha256: str) -> bytes:
        try:
            return self.images[sha256]
        except KeyError:
            raise NotFound(f"no image {sha256}") from None


def colours(blobs: Memory, per_class: int, *, seed: int = 0) -> Dataset:
    """Noisy pictures, each with more of one colour."""
    random = np.random.default_rng(seed)
    examples = []
    for number, label in enumerate(tiny.LABELS):
        for i in range(per_class):
            picture = random.integers(0, 160, (16, 16, 3), dtype=np.uint8)
            picture[..., number] += 60
            examples.append(Example(blobs.put(encode_png(picture)), (label,), f"{label}/{i}.png"))
    return Dataset.of(examples)


def extractor(folder: Path, blobs: Memory, pixels: PixelSpec = tiny.PIXELS) -> Extractor:
    network = Network.open(tiny.seal_backbone(folder / "backbone", pixels))
    return Extractor(network, blobs, ("features",), FeatureCache(folder / "cache"), threads=2)
