"""How long teaching takes: `python bench/teach.py [--quick] [--data-dir DIR]` (needs sign-digits).

The photos are those of sign-digits, in the folder shared/data/sign-digits beside the repository.

Seconds by stage for the whole set and for 500 of its photos, from an empty cache; a second lesson of the same kind with ten photos
more; and the ratio to the floor: one look at every photo through the view that was chosen, cache and choices left out. Then the
whole command, which also starts, reads, looks for copies, seals and measures: `mingmu teach FOLDER`, and `--add` with ten photos.
By the clock, and by CPU seconds, which say more on a machine that others use too.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mingmu import verbs
from mingmu.core.cpus import cpu_count
from mingmu.core.manifest import digest_of
from mingmu.core.network import Network
from mingmu.core.pixels import PixelSpec
from mingmu.data.dataset import Dataset, Example
from mingmu.registry.store import Store
from mingmu.settings import Settings
from mingmu.teach.cache import FeatureCache
from mingmu.teach.features import BATCH, Extractor
from mingmu.teach.teach import Options, teach

SIGNS = Path(__file__).resolve().parents[1] / "../shared/data/sign-digits"


class Photos:
    """The photos of sign-digits, in memory by SHA-256."""

    def __init__(self) -> None:
        self._images: dict[str, bytes] = {}
        files = sorted(path for path in SIGNS.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
        self.images = [self.put(path.read_bytes()) for path in files]
        self.labels = [path.parent.name for path in files]
        self.files = files

    def put(self, data: bytes) -> str:
        sha256 = digest_of(data)
        self._images[sha256] = data
        return sha256

    def get(self, sha256: str) -> bytes:
        return self._images[sha256]


def floor(network: Network, photos: Photos, chosen: Sequence[int], pixels: PixelSpec, outputs: tuple[str, ...]) -> float:
    """Seconds for one look at these photos."""

    def look(start: int) -> None:
        images = [photos.images[i] for i in chosen[start : start + BATCH]]
        network.runtime(np.stack([pixels.frame(photos.get(image)).pixels for image in images]), outputs)

    began = time.perf_counter()
    with ThreadPoolExecutor(cpu_count()) as pool:
        list(pool.map(look, range(0, len(chosen), BATCH)))
    return time.perf_counter() - began


def run(network: Network, photos: Photos, count: int, folder: Path) -> None:
    """Teach `count` photos, then ten more, and print the seconds."""
    outputs = tuple(name for name in network.runtime.outputs if name.startswith("features"))
    extract = Extractor(network, photos, outputs, FeatureCache(folder))
    order = np.random.default_rng(0).permutation(len(photos.images))
    dataset = Dataset.of(Example(photos.images[i], (photos.labels[i],), f"{i:06}") for i in order[: count - 10])
    stages: dict[str, float] = {}  # when each began
    began, began_cpu = time.perf_counter(), time.process_time()

    def note(step: str, _share: float) -> None:
        stages.setdefault(step, time.perf_counter())

    taught = teach(dataset, extract, progress=note)
    ended = time.perf_counter()
    cpu = time.process_time() - began_cpu
    more = Dataset.of(Example(photos.images[i], (photos.labels[i],), f"{i:06}") for i in order[:count])
    teach(more, extract, options=Options(view=taught.pixels, head=(taught.outputs, taught.kind)))
    again = time.perf_counter() - ended
    began_cpu = time.process_time()
    least = floor(network, photos, order[: count - 10].tolist(), taught.pixels, outputs)
    least_cpu = time.process_time() - began_cpu
    starts = [began, *list(stages.values())[1:], ended]
    spent = ", ".join(f"{step} {after - before:.1f}" for step, before, after in zip(stages, starts, starts[1:], strict=False))
    ratio = (ended - began) / least
    print(f"{count - 10:5} photos: {ended - began:5.1f} s ({spent}), {cpu:.1f} s of CPU")
    print(f"      floor {least:.1f} s, ratio {ratio:.2f}; by CPU {least_cpu:.1f} s, ratio {cpu / least_cpu:.2f}; ten more: {again:.1f} s")
    print(f"      {taught.record['head']}; {taught.record['view']}")


def command(photos: Photos, count: int, folder: Path) -> None:
    """Time `mingmu teach` as it is given on the command line, with nothing but the network there, and then with ten photos more."""
    data_dir = folder / "data"
    verbs.ensure(Store(data_dir), "general")
    order = np.random.default_rng(0).permutation(len(photos.files))[:count]
    for part, chosen in (("most", order[:-10]), ("ten", order[-10:])):
        for i in chosen:
            (folder / part / photos.labels[i]).mkdir(parents=True, exist_ok=True)
            shutil.copy(photos.files[i], folder / part / photos.labels[i])
    seconds, cpu = timed("teach", folder / "most", "--name", folder.name, "--data-dir", data_dir)
    print(f"      mingmu teach, {count - 10} photos: {seconds:.1f} s, {cpu:.1f} s of CPU", end="; ")
    seconds, cpu = timed("teach", folder.name, "--add", folder / "ten", "--data-dir", data_dir)
    print(f"--add, ten more: {seconds:.1f} s, {cpu:.1f} s of CPU")


def timed(*arguments: str | Path) -> tuple[float, float]:
    """Seconds by the clock and of CPU that a command takes, its start included."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    program = "from mingmu.cli import main; main()"
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="500 photos only")
    options.add_argument("--data-dir", type=Path)
    given = options.parse_args()
    photos = Photos()
    if not photos.images:
        sys.exit(f"{SIGNS.resolve()} is not there: a folder of photos for each of ten digits")
    with tempfile.TemporaryDirectory() as scratch:
        network = verbs.open_recognizer(Settings(data_dir=given.data_dir or Path(scratch)), "general").recognizer.network
        print(f"{cpu_count()} cores, load before {os.getloadavg()[0]:.1f}; seconds by stage, the first one includes reading the sample")
        for count in (510,) if given.quick else (510, len(photos.images)):
            run(network, photos, count, Path(scratch) / f"features-{count}")
            command(photos, count, Path(scratch) / f"signs-{count}")


if __name__ == "__main__":
    main()
