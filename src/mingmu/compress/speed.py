"""How fast networks are on this machine, beside each other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from mingmu.core.cpus import cpu_count
from mingmu.core.network import Network
from mingmu.core.pixels import PixelSpec

BATCH = 4  # images; what a service gathers when it is busy
ROUNDS = 5
LONE = 5  # images a round that are alone


@dataclass(frozen=True)
class Speed:
    """Medians over the rounds."""

    images_per_second: float  # from JPEG bytes to outputs, on all processors
    ratio: float  # to the first of the networks in the same rounds
    lone_ms: float  # one image, from bytes to outputs, when nothing else runs


def race(
    networks: Mapping[str, Network],
    photos: Sequence[bytes],
    outputs: Sequence[str],
    *,
    seconds: float = 2.0,
    rounds: int = ROUNDS,
    progress: Callable[[float], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Speed]:
    """Time networks in turns, `seconds` each over all rounds: what else the machine does meanwhile meets all of them alike.

    Each gives those of the `outputs` that it has. The ratio is taken round by round. The first network is what the others are held against.
    """
    rates: dict[str, list[float]] = {name: [] for name in networks}
    lone: dict[str, list[float]] = {name: [] for name in networks}
    for number in range(-1, rounds):  # the first round warms up, and does not count
        for name, network in networks.items():
            rate = _rate(network, photos, outputs, seconds / rounds, clock)
            alone = [_lone(network, photos[i % len(photos)], outputs, clock) for i in range(LONE)]
            if number >= 0:
                rates[name].append(rate)
                lone[name] += alone
        if progress:
            progress((number + 2) / (rounds + 1))
    first = rates[next(iter(networks))]
    return {
        name: Speed(
            images_per_second=statistics.median(found),
            ratio=statistics.median(mine / theirs for mine, theirs in zip(found, first, strict=True)),
            lone_ms=statistics.median(lone[name]) * 1e3,
        )
        for name, found in rates.items()
    }


def _rate(network: Network, photos: Sequence[bytes], outputs: Sequence[str], seconds: float, clock: Callable[[], float]) -> float:
    """Images a second, one thread for each processor that decodes and runs batches of its own."""
    pixels = network.artifact.manifest.pixels
    processors = cpu_count()
    began = clock()

    def work(first: int) -> int:
        done = 0
        while clock() - began < seconds:
            start = (first + done * processors) * BATCH
            _look(network, [photos[(start + i) % len(photos)] for i in range(BATCH)], pixels, outputs)
            done += 1
        return done

    with ThreadPoolExecutor(processors) as pool:
        batches = sum(pool.map(work, range(processors)))
    return batches * BATCH / (clock() - began)


def _lone(network: Network, photo: bytes, outputs: Sequence[str], clock: Callable[[], float]) -> float:
    began = clock()
    _look(network, [photo], network.artifact.manifest.pixels, outputs, alone=True)
    return clock() - began


def _look(network: Network, photos: Sequence[bytes], pixels: PixelSpec, outputs: Sequence[str], *, alone: bool = False) -> None:
    wanted = [name for name in outputs if name in network.runtime.outputs]
    network.runtime(np.stack([pixels.frame(photo).pixels for photo in photos]), wanted, alone=alone)
