"""What the bare machine can do: the shared road in processes and threads, without HTTP."""

from __future__ import annotations

import multiprocessing
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from typing import Any

from bench.rivals.road import Road
from bench.rivals.terms import Terms

BATCHES = (1, 4, 8)


@dataclass(frozen=True)
class Arrangement:
    """How a machine is shared out."""

    processes: int
    threads: int  # of each process, each with a batch of its own on one processor
    batch: int

    def __str__(self) -> str:
        return f"processes: {self.processes}, threads in each: {self.threads}, batch: {self.batch}"


def arrangements(cores: int) -> list[Arrangement]:
    """One process with a thread for each core, and a process for each core."""
    shapes = dict.fromkeys([(1, cores), (cores, 1)])
    return [Arrangement(*shape, batch) for shape in shapes for batch in BATCHES]


def rate(terms: Terms, images: Sequence[bytes], arrangement: Arrangement, seconds: float) -> float:
    """Images a second, bytes to answers."""
    context = multiprocessing.get_context("spawn")
    barrier, counts = context.Barrier(arrangement.processes), context.SimpleQueue()
    arguments = (terms, images, arrangement, seconds, barrier, counts)
    processes = [context.Process(target=_work, args=arguments) for _ in range(arrangement.processes)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"a process of the ceiling ended with exit code {process.exitcode}")
    return float(sum(counts.get() for _ in processes))


def lone(terms: Terms, images: Sequence[bytes], count: int, *, threads: int) -> float:
    """Median milliseconds of one image at a time, with all threads on it."""
    road, times = Road(terms, threads=threads), []
    for number in range(count + 3):
        began = time.perf_counter()
        road.look(images[number % len(images)])
        times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times[3:])


def _work(terms: Terms, images: Sequence[bytes], arrangement: Arrangement, seconds: float, barrier: Barrier, counts: Any) -> None:
    road = Road(terms)
    road.look(images[0])
    done = [0] * arrangement.threads
    barrier.wait(120)
    began = time.perf_counter()

    def loop(number: int) -> None:
        while time.perf_counter() < began + seconds:
            road.answers([road.frame(images[(done[number] + i) % len(images)]) for i in range(arrangement.batch)])
            done[number] += arrangement.batch

    threads = [threading.Thread(target=loop, args=(number,)) for number in range(arrangement.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts.put(sum(done) / (time.perf_counter() - began))
