"""Detectors trained, measured and timed: `python -m bench.detect [--quick] [--only NAME] [--data-dir DIR]` (extra `train`).

On the sets in the folder `shared/data` beside the repository: YOLOX-nano, fine-tuned on raccoons, blood cells (BCCD) and licence
plates, and Faster R-CNN from nothing on blood cells. Each line has AP50 with its 95 % interval on photos that taught nothing, as
`mingmu train` measures what it sealed, and the minutes that the whole command took, on so many processors. Plates are parted by drive;
then they are found on the frames that were published as a test, too, which are of a drive that taught.

Then the speed of `objects` as it is tuned for this machine beside what was sealed, ONNX Runtime in fp32. `--quick` shows that all of it
runs: one epoch each on small frames. Weights come from the catalog, or from the mirror that MINGMU_MIRROR names.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.load import photos
from mingmu import verbs
from mingmu.compress.speed import race
from mingmu.core.cpus import cpu_count
from mingmu.core.runtime import BOXES, SCORES
from mingmu.evaluate.report import AnyReport, BoxReport
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.train import recipe as recipes

DATA = Path(__file__).resolve().parents[1] / "../shared/data"


@dataclass(frozen=True)
class Plan:
    """One detector: what it learns from, how, and what else it is tested on."""

    name: str
    data: str
    recipe: str = "detect"
    net: str | None = None
    size: int | None = None
    epochs: int | None = None
    tested: str | None = None


PLANS = (
    Plan("raccoon", "raccoon", size=320, epochs=4),
    Plan("bccd", "bccd", epochs=6),
    Plan("bccd-frozen", "bccd", recipe="detect-frozen", epochs=8),
    Plan("bccd-rcnn", "bccd", net="fasterrcnn_mobilenet_v3_large_fpn", size=320, epochs=8),
    Plan("plates", "plates-eu/train", recipe="plates", epochs=4, tested="plates-eu/test"),
)
CLIPS = {  # of plates: the drives that teach, that choose the epoch, and that measure
    "train": ("dayride_type1_001", "nightride_type3_001"),
    "val": ("dayride_type1_002",),
    "test": ("dayride_type1_003",),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Detectors trained, measured and timed.")
    parser.add_argument("--quick", action="store_true", help="one epoch each, on small frames")
    parser.add_argument("--only", action="append", choices=[*(plan.name for plan in PLANS), "speed"], help="just these")
    parser.add_argument("--data-dir", type=Path, help="where to keep what is trained; else a folder that is removed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(given.data_dir or Path(folder), mirror=os.environ.get("MINGMU_MIRROR"))
        for plan in PLANS:
            if not given.only or plan.name in given.only:
                run(store, plan, quick=given.quick)
        if not given.only or "speed" in given.only:
            speed(store, seconds=1.0 if given.quick else 6.0)
    return 0


def run(store: Store, plan: Plan, *, quick: bool) -> None:
    if not (DATA / plan.data).is_dir():
        print(f"SKIPPED {plan.name}: {DATA / plan.data} is missing")
        return
    asked = recipes.read(plan.recipe).changed(net=plan.net, size=160 if quick else plan.size, epochs=1 if quick else plan.epochs)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        source = by_clip(DATA / plan.data, Path(folder)) if plan.name == "plates" else DATA / plan.data
        trained = verbs.train(store, source, name=plan.name, recipe=asked)
    minutes = (time.perf_counter() - began) / 60
    about = f"{asked.net.name} {asked.net.size or ''}, {len(trained.curve)} epochs, {minutes:.1f} min on {cpu_count()} processors"
    print(line(plan.name, trained.report, about), flush=True)
    if plan.tested:
        print(line(f"{plan.name} on {plan.tested}", verbs.evaluate(store, plan.name, DATA / plan.tested), ""), flush=True)


def by_clip(source: Path, folder: Path) -> Path:
    """The photos and their boxes in a folder for each part: frames of one drive are alike."""
    for part, clips in CLIPS.items():
        (folder / part).mkdir()
        for clip in clips:
            for file in (*source.glob(f"images/{clip}_*"), *source.glob(f"annots/{clip}_*")):
                shutil.copy(file, folder / part)
    return folder


def line(name: str, report: AnyReport, about: str) -> str:
    if not isinstance(report, BoxReport):
        raise TypeError(f"{name} is no detector")
    found, measures = report.measures.ap50, report.measures
    figures = f"AP50 {found.value:.3f} ({found.low:.3f} to {found.high:.3f}), mAP {measures.mean_average_precision.value:.3f}"
    return f"{name:12} {figures}; {measures.boxes} boxes of {measures.examples} photos. {about}".rstrip()


def speed(store: Store, *, seconds: float) -> None:
    """How much faster the tuned `objects` answers than what was sealed."""
    verbs.ensure(store, "objects")
    tuning = verbs.tune(store, "objects", seconds=seconds).tuning
    library = Library(store, threads=cpu_count())
    networks = {
        "sealed": library.sealed(store.artifact(tuning.network)),
        "served": library.open(store.resolve("objects").digest).network,
    }
    speeds = race(networks, photos(), (BOXES, SCORES), seconds=seconds)
    served, sealed = speeds["served"], speeds["sealed"]
    print(
        f"objects as {tuning.what}: {served.images_per_second:.0f} images/s, as sealed {sealed.images_per_second:.0f}: "
        f"{served.ratio:.2f} times as fast; alone {served.lone_ms:.1f} ms instead of {sealed.lone_ms:.1f} ({tuning.machine})"
    )


if __name__ == "__main__":
    sys.exit(main())
