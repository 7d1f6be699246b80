"""Blobs in memory, and small pictures that differ."""

from __future__ import annotations

import hashlib

import numpy as np

from mingmu.core.errors import NotFound
from mingmu.core.pixels import Pixels, encode_png


class MemoryBlobs:
    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        self.held[sha256] = data
        return sha256

    def get(self, sha256: str) -> bytes:
        try:
            return self.held[sha256]
        except KeyError:
            raise NotFound(f"no blob {sha256}") from None


def pixels(seed: int, width: int = 64, height: int = 48) -> Pixels:
    """A scene of soft blobs, another for each seed; uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    scene = np.zeros((height, width, 3))
    for _ in range(40):
        cx, cy, radius = rng.random(), rng.random(), rng.uniform(0.02, 0.15)
        scene += rng.uniform(-90, 90, 3) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * radius**2))[:, :, None]
    return np.clip(128 + scene, 0, 255).astype(np.uint8)


def png(seed: int, width: int = 64, height: int = 48) -> bytes:
    return encode_png(pixels(seed, width, height))
