"""Photos to batches: each is decoded once, into a file that is mapped into memory; batches are rows of it, fetched ahead."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mingmu.core.cpus import cpu_count
from mingmu.core.errors import MingmuError
from mingmu.core.pixels import PixelSpec
from mingmu.data.dataset import Blobs
from mingmu.train.disk import reserve

T = TypeVar("T")
Pixels = NDArray[np.uint8]
Ints = NDArray[np.int64]
Progress = Callable[[float], None]  # the share that is done, 0 to 1

AHEAD = 3  # batches that lie ready
PAD = -1  # behind the end of a text, in the place of a character
ROOM = 1.15  # how much larger than the network's frame photos are kept, so that crops of them are sharp


@dataclass(frozen=True, eq=False)
class Photos:
    """Decoded photos with what they show."""

    pixels: Pixels  # [N, H, W, 3], mapped from a file
    truth: NDArray[Any]  # classes, int64 [N]; for detectors [N, M, 5]: class, left, top, right, bottom; of no box the class is -1;
    # of texts [N, L]: a class for each character, and then PAD
    served: float = 1.0  # share of a side, in the middle, that a network will be served with; around it there is room

    def __len__(self) -> int:
        return len(self.truth)

    def __getitem__(self, rows: slice) -> Photos:
        return replace(self, pixels=self.pixels[rows], truth=self.truth[rows])


@dataclass(frozen=True, eq=False)
class Batch:
    pixels: Tensor  # uint8 [B, H, W, 3]
    truth: Tensor  # as that of photos

    def pinned(self) -> Batch:
        """The same in memory that a GPU fetches from while other things go on."""
        return Batch(self.pixels.pin_memory(), self.truth.pin_memory())

    def to(self, device: torch.device) -> Batch:
        return Batch(self.pixels.to(device, non_blocking=True), self.truth.to(device, non_blocking=True))


@dataclass
class Feed:
    """Batches of photos to learn from, in an order that `seed` and the epoch decide. An epoch shows as many photos as there are, in
    batches that differ by one photo at most.
    """

    photos: Photos
    size: int  # photos in a batch, at most
    balance: float = 0.0
    seed: int = 0
    waited: float = field(default=0.0, init=False)  # seconds that were spent waiting for a batch

    @property
    def steps(self) -> int:
        """Batches in an epoch; none is of one photo alone, which batch normalisation could not learn from."""
        return max(1, min(math.ceil(len(self.photos) / self.size), len(self.photos) // 2))

    def order(self, epoch: int) -> Ints:
        """Which photos an epoch shows, in which order: all, or drawn so that rare classes come more often."""
        rng = np.random.default_rng((self.seed, epoch))
        if not self.balance:
            return rng.permutation(len(self.photos))
        weights = np.bincount(self.photos.truth)[self.photos.truth] ** -self.balance
        return rng.choice(len(self.photos), len(self.photos), p=weights / weights.sum())

    def batches(self, epoch: int, start: int = 0, *, pinned: bool = False) -> Iterator[Batch]:
        """The batches of an epoch from the one numbered `start`; pinned, for a GPU."""
        parts = np.array_split(self.order(epoch), self.steps)

        def fetch(step: int) -> Batch:
            rows = parts[step]
            batch = Batch(torch.from_numpy(self.photos.pixels[rows]), torch.from_numpy(self.photos.truth[rows]))
            return batch.pinned() if pinned else batch

        ready = ahead(fetch, range(start, self.steps))
        while True:
            asked = time.perf_counter()
            batch = next(ready, None)
            self.waited += time.perf_counter() - asked
            if batch is None:
                return
            yield batch


def ahead(make: Callable[[int], T], steps: Sequence[int], most: int = AHEAD) -> Iterator[T]:
    """What `make` makes of each step, in order; a thread makes up to `most` of them before they are asked for."""
    with ThreadPoolExecutor(1, thread_name_prefix="feed") as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for step in steps:
                waiting.append(pool.submit(make, step))
                if len(waiting) > most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def roomy(pixels: PixelSpec) -> PixelSpec:
    """The same view with room around its crop and some more pixels, for photos to be cropped from at random."""
    width, height = (round(ROOM * side / served(pixels)) for side in pixels.size)
    return pixels.model_copy(update={"size": (width, height), "margin": 1.0})


def served(pixels: PixelSpec) -> float:
    """The share of a side of the `roomy` view that a view shows, in its middle."""
    return pixels.margin if pixels.fit == "crop" else 1.0


@dataclass(frozen=True, eq=False)
class Decoded:
    """Images as pixels, in the order in which they were asked for, without those that cannot be read."""

    pixels: Pixels  # [N, H, W, 3]
    images: tuple[str, ...]  # [N], SHA-256
    refused: dict[str, str]  # reasons, by image


def decoded(folder: Path, pixels: PixelSpec, images: Sequence[str], blobs: Blobs, progress: Progress) -> Decoded:
    """Images seen through a pixel spec, decoded into `folder`, or found there. Other things in the folder are removed.

    Raises OSError where they do not fit on the disk.
    """
    key = hashlib.sha256("\n".join([pixels.model_dump_json(), *images]).encode()).hexdigest()
    about = folder / f"{key}.json"
    if not about.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _decode(folder / f"{key}.npy", about, pixels, images, blobs, progress)
    known = json.loads(about.read_text())
    rows = np.load(folder / f"{key}.npy", mmap_mode="r")
    return Decoded(rows[: len(known["images"])], tuple(known["images"]), known["refused"])


def _decode(file: Path, about: Path, pixels: PixelSpec, images: Sequence[str], blobs: Blobs, progress: Progress) -> None:
    """Rows first, then the file that says which they are: without it they count as absent."""
    shape = (len(images), pixels.size[1], pixels.size[0], 3)
    rows = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    reserve(file, f"{len(images)} decoded photos")
    kept: list[str] = []
    refused: dict[str, str] = {}

    def look(image: str) -> Pixels | str:
        try:
            return pixels.frame(blobs.get(image)).pixels
        except MingmuError as error:
            return str(error)

    with ThreadPoolExecutor(cpu_count(), thread_name_prefix="decode") as pool:
        for done, (image, found) in enumerate(zip(images, pool.map(look, images), strict=True), start=1):
            if isinstance(found, str):
                refused[image] = found
            else:
                rows[len(kept)] = found
                kept.append(image)
            progress(done / len(images))
    rows.flush()
    part = about.with_suffix(".part")
    part.write_text(json.dumps({"images": kept, "refused": refused}))
    part.replace(about)
