"""How much of the machine the service gives: `python bench/serve.py [--quick]` (needs wrk and the extra `demo`).

Ceiling: the same photos through the same recognizer in this process, no HTTP, in the best of a few arrangements of
threads and batches. Service: `mingmu serve` under wrk, which sends the photos as raw JPEG bytes over kept-alive
connections. Both take turns in one run; answers are checked before anything is timed. The last lines say where the
time of a request goes, from the service's own stage timings.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import skimage.data
from PIL import Image

from mingmu import verbs
from mingmu.core.cpus import cpu_count
from mingmu.core.recognizer import Recognizer
from mingmu.settings import Settings

CONNECTIONS = (1, 8, 32, 64)
ARRANGEMENTS = ((1, 1), (2, 1), (2, 4), (2, 8))  # threads per core times batch


@dataclass(frozen=True)
class Load:
    """What wrk saw."""

    rate: float  # answers a second
    p50: float  # milliseconds
    p99: float
    failures: int


def photos() -> list[bytes]:
    """Real photos as 500x375 JPEGs of quality 90."""
    folder = Path(skimage.data.__file__).parent
    return [jpeg(folder / name) for name in ("chelsea.png", "coffee.png", "astronaut.png")]


def jpeg(path: Path) -> bytes:
    file = io.BytesIO()
    Image.open(path).convert("RGB").resize((500, 375), Image.Resampling.LANCZOS).save(file, "JPEG", quality=90)
    return file.getvalue()


def ceiling(recognizer: Recognizer, images: list[bytes], seconds: float, *, threads: int, batch: int) -> float:
    """Images a second, bytes to answers, on `threads` threads that each take `batch` images at a time."""
    counts = [0] * threads
    stop = time.perf_counter() + seconds

    def work(number: int) -> None:
        while time.perf_counter() < stop:
            frames = [recognizer.frame(images[(counts[number] + i) % len(images)]) for i in range(batch)]
            for reading in recognizer.readings_from(recognizer.outputs(frames)):
                recognizer.interpret(reading)
            counts[number] += batch

    start = time.perf_counter()
    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - start)


def wrk(url: str, script: Path, connections: int, seconds: int) -> Load:
    """Drive the service for a while; raises if wrk fails."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s", "-s", str(script), url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"RESULT (\{.*\})", text)
    if found is None:
        raise RuntimeError(f"wrk printed no result:\n{text}")
    return Load(**json.loads(found[1]))


def lua(folder: Path, images: list[bytes]) -> Path:
    """A wrk script that posts the photos in turn."""
    for number, image in enumerate(images):
        (folder / f"{number}.jpg").write_bytes(image)
    script = folder / "post.lua"
    script.write_text(
        f"""
        local bodies, turn = {{}}, 0
        for i = 0, {len(images) - 1} do
          local file = io.open("{folder}/" .. i .. ".jpg", "rb")
          bodies[i] = wrk.format("POST", nil, {{["Content-Type"] = "image/jpeg"}}, file:read("*a"))
          file:close()
        end
        request = function() turn = (turn + 1) % {len(images)}; return bodies[turn] end
        done = function(summary, latency)
          local e = summary.errors
          print(string.format('RESULT {{"rate":%f,"p50":%f,"p99":%f,"failures":%d}}', summary.requests / summary.duration * 1e6,
            latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
        end
        """
    )
    return script


@contextmanager
def service(data_dir: Path) -> Iterator[str]:
    """`mingmu serve` on a free port; gives its address once it is ready."""
    command = [sys.executable, "-m", "mingmu", "--data-dir", str(data_dir), "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        lines = iter(process.stderr or [])
        try:
            address = next(found[1] for line in lines if (found := re.search(r"(http://\S+:\d+)", line)))
            threading.Thread(target=lambda: [None for _ in lines], daemon=True).start()  # keep its log flowing
            yield address
        finally:
            process.terminate()


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
    with service(settings.data_dir) as address:
        url = f"{address}/v1/recognizers/{name}/recognize"
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
