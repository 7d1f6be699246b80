"""What Mingmu costs before it does anything: size on disk, time to import, time to the first answer.

    python bench/footprint.py [--quick]

Sizes are those of the base install (no extras). Times are medians, on this machine, with warm disk caches.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from mingmu.client import Client
from mingmu.core.sealing import probe_images

FORBIDDEN = ("torch", "torchvision", "timm")
LARGEST_SHOWN = 6


def main() -> int:
    parser = argparse.ArgumentParser(description="Size and start-up times of Mingmu.")
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    runs = 3 if parser.parse_args().quick else 11

    sizes = installed_sizes("mingmu")
    print(f"base install: {sum(sizes.values()) / 1e6:.0f} MB in {len(sizes)} distributions; the largest:")
    for name in sorted(sizes, key=lambda name: -sizes[name])[:LARGEST_SHOWN]:
        print(f"  {sizes[name] / 1e6:7.1f} MB  {name}")
    unwanted = sorted(sizes.keys() & set(FORBIDDEN))
    print(f"torch in it: {', '.join(unwanted) or 'no'}\n")

    bare = median(runs, lambda: cpu_seconds("pass"))
    imported = median(runs, lambda: cpu_seconds("import mingmu")) - bare
    print(f"import mingmu          {imported * 1e3:6.0f} ms of CPU beyond the interpreter's {bare * 1e3:.0f} ms")
    print(f"mingmu --help          {median(runs, help_seconds) * 1e3:6.0f} ms")
    with tempfile.TemporaryDirectory() as folder:
        cold = first_answer_seconds(Path(folder))
        warm = median(min(runs, 5), lambda: first_answer_seconds(Path(folder)))
    print(f"serve to first answer  {warm * 1e3:6.0f} ms with a warm data folder, {cold * 1e3:.0f} ms with an empty one")
    return 1 if unwanted else 0


def installed_sizes(root: str) -> dict[str, int]:
    """Bytes of a distribution and of all it requires, without extras, by name."""
    sizes: dict[str, int] = {}
    waiting = [root]
    while waiting:
        distribution = metadata.distribution(waiting.pop())
        name = distribution.metadata["Name"]
        if name in sizes:
            continue
        sizes[name] = sum(path.stat().st_size for file in distribution.files or () if (path := Path(str(file.locate()))).is_file())
        requirements = map(Requirement, distribution.requires or ())
        waiting += [one.name for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})]
    return sizes


def median(runs: int, measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(runs))


def cpu_seconds(program: str) -> float:
    """Processor time, user and system, that an interpreter takes to run a program."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def help_seconds() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "mingmu", "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def first_answer_seconds(data_dir: Path) -> float:
    """From the start of `mingmu serve` to the answer to its first image."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    image = next(iter(probe_images().values()))
    command = [sys.executable, "-m", "mingmu", "serve", "--port", str(port), "--data-dir", str(data_dir)]
    environment = os.environ | {"MINGMU_LOG_LEVEL": "error"}
    with Client(f"http://127.0.0.1:{port}") as client:
        started = time.perf_counter()
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                while not client.ready():
                    if server.poll() is not None:
                        raise RuntimeError(f"mingmu serve ended with exit code {server.returncode}")
                    time.sleep(0.01)
                client.recognize(image)
                return time.perf_counter() - started
            finally:
                server.terminate()


if __name__ == "__main__":
    sys.exit(main())
