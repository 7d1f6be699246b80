"""Images to features, through the sealed network in the very way it serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mingmu.core.cpus import cpu_count
from mingmu.core.errors import MingmuError
from mingmu.core.network import Network
from mingmu.core.pixels import Limits, PixelSpec
from mingmu.data.dataset import Blobs
from mingmu.teach.cache import FeatureCache, Row, view_of

Floats = NDArray[np.float32]
Progress = Callable[[float], None]  # the share that is done, 0 to 1

BATCH = 8  # measured: one thread per core, each with small batches, is the fastest way to use a CPU
KEPT_AT_ONCE = 64  # images per write to the cache


@dataclass(frozen=True)
class Features:
    """What a network made of images: row i belongs to image i; the rows of refused images are not numbers."""

    values: Mapping[str, Floats]  # by output, [N, F]
    refused: Mapping[str, MingmuError]  # by SHA-256 of the image


@dataclass(frozen=True)
class Extractor:
    """Computes features, or remembers them."""

    network: Network
    blobs: Blobs
    outputs: tuple[str, ...]
    cache: FeatureCache
    threads: int = 0  # 0: what the CPU quota grants
    limits: Limits = Limits()

    def __call__(self, pixels: PixelSpec, images: Sequence[str], progress: Progress | None = None) -> Features:
        """Features of N images, given by SHA-256. An image that cannot be read is refused, and the others go on.

        What is computed is kept on the way: cut short, it goes on where it stopped. An exception from `progress` stops it.
        """
        view = view_of(self.network.artifact.digest, pixels)
        rows = self._known(view, images)
        missing = [image for image in dict.fromkeys(images) if image not in rows]
        refused = self._compute(view, pixels, missing, rows, progress or (lambda _share: None))
        return Features({name: _stacked([rows.get(image, {}).get(name) for image in images]) for name in self.outputs}, refused)

    def _known(self, view: str, images: Sequence[str]) -> dict[str, Row]:
        found = {name: self.cache.get(view, name, images) for name in self.outputs}
        complete = set(images).intersection(*found.values())
        return {image: {name: found[name][image] for name in self.outputs} for image in complete}

    def _compute(
        self, view: str, pixels: PixelSpec, missing: Sequence[str], rows: dict[str, Row], progress: Progress
    ) -> dict[str, MingmuError]:
        refused: dict[str, MingmuError] = {}
        fresh: dict[str, Row] = {}
        threads = self.threads or cpu_count()
        batch = max(1, min(BATCH, len(missing) // threads))
        pool = ThreadPoolExecutor(threads)
        try:
            jobs = [pool.submit(self._look, pixels, missing[i : i + batch]) for i in range(0, len(missing), batch)]
            for done, job in enumerate(as_completed(jobs), start=1):
                seen, failed = job.result()
                fresh |= seen
                refused |= failed
                if len(fresh) >= KEPT_AT_ONCE or done == len(jobs):
                    self.cache.put(view, fresh)
                    rows |= fresh
                    fresh = {}
                progress(done / len(jobs))
        finally:
            pool.shutdown(cancel_futures=True)
        return refused

    def _look(self, pixels: PixelSpec, images: Sequence[str]) -> tuple[dict[str, Row], dict[str, MingmuError]]:
        """One batch, in one thread."""
        frames: dict[str, NDArray[np.uint8]] = {}
        refused: dict[str, MingmuError] = {}
        for image in images:
            try:
                frames[image] = pixels.frame(self.blobs.get(image), self.limits).pixels
            except MingmuError as error:
                refused[image] = error
        if not frames:
            return {}, refused
        outputs = self.network.runtime(np.stack([*frames.values()]), self.outputs)
        return {image: {name: outputs[name][i] for name in self.outputs} for i, image in enumerate(frames)}, refused


def _stacked(vectors: Sequence[Floats | None]) -> Floats:
    width = next((len(vector) for vector in vectors if vector is not None), 0)
    blank = np.full(width, np.nan, np.float32)
    return np.stack([blank if vector is None else vector for vector in vectors]) if vectors else np.zeros((0, 0), np.float32)
