"""What tuning gains: `python -m bench.tune [--quick] [--data-dir DIR]` (needs sign-digits).

The photos are those of sign-digits, in the folder shared/data/sign-digits beside the repository.

Tunes `general` with labelled photos, prints every candidate with its figures, and then times what a service would load beside the
network as it was sealed, ONNX Runtime in fp32: in turns, from JPEG bytes to outputs, on all processors. Ends with 1 if that is less
than TARGET times as fast.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench.load import photos
from mingmu import verbs
from mingmu.compress.speed import race
from mingmu.core.cpus import cpu_count
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.registry.tuning import Trial

SIGNS = Path(__file__).resolve().parents[1] / "../shared/data/sign-digits"
TARGET = 1.8


def main() -> int:
    parser = argparse.ArgumentParser(description="What tuning gains.")
    parser.add_argument("--quick", action="store_true", help="fewer photos, shorter rounds")
    parser.add_argument("--data-dir", type=Path, help="where to keep what is tuned; else a folder that is removed")
    given = parser.parse_args()
    if not SIGNS.is_dir():
        print(f"SKIPPED: the photos that answers are judged on are missing: {SIGNS}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return run(Store(given.data_dir or Path(folder)), photos_judged=300 if given.quick else 1000, seconds=1.0 if given.quick else 6.0)


def run(store: Store, *, photos_judged: int, seconds: float) -> int:
    tuning = verbs.tune(store, "general", SIGNS, photos=photos_judged, seconds=seconds).tuning
    print(f"{tuning.machine}; {tuning.data}")
    print(f"{'candidate':18} {'images/s':>8} {'ratio':>6} {'alone ms':>8} {'MB':>5}  accuracy")
    for trial in tuning.trials:
        print(line(trial))
    library = Library(store, threads=cpu_count())
    network = library.open(store.resolve("general").digest).network
    networks = {"sealed": library.sealed(store.artifact(tuning.network)), "served": network}
    speeds = race(networks, photos(), ("features",), seconds=seconds)
    served, sealed = speeds["served"], speeds["sealed"]
    print(f"\nphotos of 500x375: {tuning.what} {served.images_per_second:.0f} images/s, as sealed {sealed.images_per_second:.0f}:", end=" ")
    print(f"{served.ratio:.2f} times as fast; alone {served.lone_ms:.1f} ms instead of {sealed.lone_ms:.1f}")
    return 0 if served.ratio >= TARGET else 1


def line(trial: Trial) -> str:
    if trial.ratio is None:
        return f"{trial.what:18} {trial.verdict}"
    return (
        f"{trial.what:18} {trial.images_per_second:8.0f} {trial.ratio:6.2f} {trial.lone_ms:8.1f} {trial.megabytes:5.1f}"
        f"  {trial.verdict}{'' if trial.passed else ' (refused)'}"
    )


if __name__ == "__main__":
    sys.exit(main())
