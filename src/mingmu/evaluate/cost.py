"""What a recognizer costs: how long an answer takes, and how many bytes it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mingmu.core.recognizer import Recognizer


@dataclass(frozen=True, slots=True)
class Cost:
    """Time of one image alone, from bytes to what is read off it on one thread, and size on disk."""

    images: int  # that were timed
    median_ms: float
    p95_ms: float
    head_bytes: int  # 0 for a whole model
    network_bytes: int  # shared by all heads on it; of a chain, all of its parts
    runtime: str


def cost(recognizer: Recognizer, images: Sequence[bytes], *, clock: Callable[[], float] = time.perf_counter) -> Cost:
    """Time images one after the other, the first once more beforehand to warm up. At least one, and readable."""
    recognizer.read(recognizer.frame(images[0]))
    seconds = []
    for image in images:
        start = clock()
        recognizer.read(recognizer.frame(image))
        seconds.append(clock() - start)
    median, p95 = np.quantile(seconds, [0.5, 0.95]) * 1000
    return Cost(
        images=len(images),
        median_ms=float(median),
        p95_ms=float(p95),
        head_bytes=0 if recognizer.head is None else recognizer.artifact.size,
        network_bytes=sum(part.artifact.size for part in recognizer.parts.values()) or recognizer.network.artifact.size,
        runtime=recognizer.network.runtime.name,
    )
