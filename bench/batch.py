"""How much of the machine a batch gives: `python -m bench.batch [--quick]` (needs the extra `demo`).

Ceiling: the same photos through the same recognizer in this process, already in memory, in that arrangement of threads
and batches which takes least of the processor (as in bench.serve). Batch: a folder of them to a file of rows, listing and writing
included. Both take turns in one run. Beside the rates stand images per second of processor time, which other work on
the machine disturbs less.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.load import photos
from bench.serve import ARRANGEMENTS, ceiling
from mingmu import verbs
from mingmu.core.batching import BatchOptions
from mingmu.core.cpus import cpu_count
from mingmu.settings import Settings


@dataclass(frozen=True)
class Rate:
    """Images a second: by the clock, and by processor time."""

    wall: float
    cpu: float


def rate_of(work: Callable[[], float]) -> Rate:
    """Run something that says how many images it did."""
    wall, cpu = time.perf_counter(), time.process_time()
    count = work()
    return Rate(count / (time.perf_counter() - wall), count / (time.process_time() - cpu))


def fill(folder: Path, count: int) -> None:
    """A folder of photos, in folders of a thousand."""
    images = photos()
    for number in range(count):
        file = folder / f"{number // 1000:03}" / f"{number:06}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(images[number % len(images)])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="few photos, one round")
    options.add_argument("--name", default="general")
    options.add_argument("--data-dir", type=Path)
    given = options.parse_args()
    count, rounds, seconds = (240, 1, 2.0) if given.quick else (400, 12, 4.0)
    with tempfile.TemporaryDirectory() as scratch:
        run(Settings(data_dir=given.data_dir or Path(scratch) / "data"), given.name, Path(scratch), count, rounds, seconds)


def run(settings: Settings, name: str, scratch: Path, count: int, rounds: int, seconds: float) -> None:
    opened = verbs.open_recognizer(settings, name)
    images, cores, folder = photos(), cpu_count(), scratch / "photos"
    fill(folder, count)

    def batch(source: Path, out: Path) -> int:
        return verbs.batch(settings, opened, str(source), out, BatchOptions(), restart=True, watch=lambda _done, _images: None).images

    def top(threads: int, size: int) -> Rate:
        return rate_of(lambda: seconds * ceiling(opened.recognizer, images, seconds, threads=threads * cores // 2 or 1, batch=size))

    best, seen = [], []
    arrangement = max(ARRANGEMENTS, key=lambda each: top(*each).cpu)
    for _ in range(rounds):  # in turn, so that a noisy machine disturbs both alike
        best.append(top(*arrangement))
        seen.append(rate_of(lambda: batch(folder, scratch / "rows.jsonl")))
    threads, size = arrangement[0] * cores // 2 or 1, arrangement[1]
    print(
        f"{name}, {cores} cores, {rounds} rounds, {count} photos 500x375; the ceiling is that of {threads} threads with batches of {size}"
    )
    for what, rates in (("ceiling in process", best), ("batch", seen)):
        walls = [rate.wall for rate in rates]
        middle, per_cpu = statistics.median(walls), statistics.median(rate.cpu for rate in rates)
        print(f"{what}: {middle:.1f} images/s ({min(walls):.1f} to {max(walls):.1f}), {per_cpu:.1f} a second of processor time")
    wall = statistics.median(mine.wall / theirs.wall for mine, theirs in zip(seen, best, strict=True))
    cpu = statistics.median(mine.cpu / theirs.cpu for mine, theirs in zip(seen, best, strict=True))
    print(f"of ceiling: {wall:.3f} by the clock, {cpu:.3f} by processor time (medians of the rounds)")


if __name__ == "__main__":
    main()
