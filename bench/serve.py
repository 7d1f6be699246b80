"""How much of the machine the service gives: `python -m bench.serve [--quick]` (needs wrk and the extra `demo`).

Ceiling: the same photos through the same recognizer in this process, no HTTP, in the best of a few arrangements of
threads and batches. Service: `mingmu serve` under wrk, which sends the photos as raw JPEG bytes over kept-alive
connections. Both take turns in one run; answers are checked before anything is timed. The last lines say where the
time of a request goes, from the service's own stage timings.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import numpy as np

from bench.load import Load, lua, photos, service, wrk
from mingmu import verbs
from mingmu.core.cpus import cpu_count, plain_products
from mingmu.core.recognizer import Recognizer
from mingmu.settings import Settings

CONNECTIONS = (1, 8, 32, 64)
ARRANGEMENTS = ((1, 1), (2, 1), (2, 4), (2, 8))  # threads per core times batch


def ceiling(recognizer: Recognizer, images: list[bytes], seconds: float, *, threads: int, batch: int) -> float:
    """Images a second, bytes to answers, on `threads` threads that each take `batch` images at a time."""
    counts = [0] * threads
    stop = time.perf_counter() + seconds

    def work(number: int) -> None:
        while time.perf_counter() < stop:
            frames = [recognizer.frame(images[(counts[number] + i) % len(images)]) for i in range(batch)]
            for reading in recognizer.readings_from(recognizer.outputs(frames), frames):
                recognizer.interpret(reading)
            counts[number] += batch

    with plain_products():
        start = time.perf_counter()
        workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    return sum(counts) / (time.perf_counter() - start)


def check(url: str, recognizer: Recognizer, images: list[bytes]) -> None:
    """The service gives the in-process scores, or nothing is timed."""
    for image in images:
        answer = httpx.post(url, content=image, headers={"Content-Type": "image/jpeg"}).raise_for_status().json()
        expected = np.sort(recognizer.scores([recognizer.frame(image)])[0])[::-1][:5]
        np.testing.assert_allclose([label["score"] for label in answer["answers"][0]["labels"]], expected, atol=1e-4)


def stages(url: str, images: list[bytes], count: int) -> dict[str, float]:
    """Median milliseconds by stage of lone requests."""
    answers = [httpx.post(url, content=images[i % len(images)]).json()["timing_ms"] for i in range(count)]
    return {stage: statistics.median(answer[stage] for answer in answers) for stage in answers[0]}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="two seconds a row, one round")
    options.add_argument("--name", default="general")
    options.add_argument("--data-dir", type=Path)
    given = options.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    seconds, rounds = (2, 1) if given.quick else (6, 3)
    with tempfile.TemporaryDirectory() as scratch:
        data_dir = given.data_dir or Path(scratch) / "data"
        run(Settings(data_dir=data_dir), given.name, Path(scratch), seconds, rounds)


def run(settings: Settings, name: str, scratch: Path, seconds: int, rounds: int) -> None:
    recognizer = verbs.open_recognizer(settings, name).recognizer
    images = photos()
    script = lua(scratch, images)
    cores = cpu_count()
    with service(settings.data_dir) as server:
        url = f"{server.address}/v1/recognizers/{name}/recognize"
        check(url, recognizer, images)
        wrk(url, script, 8, 2)
        best: list[float] = []
        loads: dict[int, list[Load]] = {connections: [] for connections in CONNECTIONS}
        for _ in range(rounds):  # in turn, so that a noisy machine disturbs both alike
            best.append(max(ceiling(recognizer, images, seconds / 2, threads=t * cores // 2 or 1, batch=b) for t, b in ARRANGEMENTS))
            for connections in CONNECTIONS:
                loads[connections].append(wrk(url, script, connections, seconds))
        lone = stages(url, images, 30)
    top = statistics.median(best)
    print(f"{name}, {cores} cores, {rounds} rounds of {seconds} s, photos 500x375")
    print(f"ceiling in process: {top:.1f} images/s ({min(best):.1f} to {max(best):.1f})")
    print(f"{'connections':>11} {'images/s':>9} {'of ceiling':>10} {'p50 ms':>8} {'p99 ms':>8} {'failures':>8}")
    for connections, seen in loads.items():
        rate = statistics.median(load.rate for load in seen)
        p50, p99 = statistics.median(load.p50 for load in seen), statistics.median(load.p99 for load in seen)
        print(f"{connections:11} {rate:9.1f} {rate / top:10.2f} {p50:8.1f} {p99:8.1f} {sum(load.failures for load in seen):8}")
    print("a lone request, ms by stage: " + ", ".join(f"{stage} {value:.2f}" for stage, value in lone.items()))


if __name__ == "__main__":
    main()
