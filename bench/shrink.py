"""Smaller networks beside the one that they learn from, each with the verdict of its gate, with the extra `train`:

    python -m bench.shrink [--quick] [--epochs N] [--folder DIR] [--page FILE] [--write]

On sign-digits (shared/data/sign-digits beside the repository), a part of which nobody learns from, `mingmu train` fine-tunes the
network of `general`. Of that, `mingmu shrink` makes smaller ones: pruned to 70 % of its multiplications; the same network on fewer
pixels; and `cnn`, which begins from nothing. It prints accuracy, speed, size and verdict of each, as it learned and in INT8. `--page`
writes them as a page with the plot of accuracy against time, `--write` the plot into the documentation. A folder that has the trained
network from an earlier run is taken as it is. With `--quick`, few photos and one epoch: it shows that all of it runs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from bench.accuracy import SETS
from bench.train import FULL, QUICK, laid_out, mingmu
from mingmu.evaluate.pareto import pareto, pareto_page
from mingmu.registry.tuning import Accuracy, Trial

PLOT = Path(__file__).resolve().parents[1] / "docs/shrink.svg"
SET, NAME = "sign-digits", "signs"
WAYS = (("--keep", "0.7"), ("--net", "efficientnet_lite0", "--size", "96"), ("--net", "cnn"))


def shrunk(data_dir: Path, *asked: str) -> dict[str, Any]:
    """What `mingmu shrink` said, of what is published and of what is refused."""
    command = [sys.executable, "-m", "mingmu", "shrink", f"{NAME}@1", *asked, "--anew", "--json", "--data-dir", str(data_dir)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout:
        sys.exit(done.returncode)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def told(trial: Trial) -> str:
    """A line about a network."""
    right = f"{trial.accuracy.right / trial.accuracy.photos:.1%} right" if isinstance(trial.accuracy, Accuracy) else "not asked"
    speed = f"{trial.ratio:.2f} times as fast, {trial.lone_ms:.1f} ms" if trial.ratio and trial.lone_ms else "not timed"
    return f"  {trial.what}: {right}, {speed}, {trial.megabytes} MB; {'passed' if trial.passed else 'REFUSED'}: {trial.verdict}"


def plot(trials: list[Trial]) -> str:
    """The picture of the page as a file of its own."""
    style = files("mingmu.evaluate").joinpath("page.css").read_text(encoding="utf-8")
    opened, _, rest = pareto(trials).partition(">")
    opened = opened.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif"', 1)
    return f'{opened}><style>{style}</style><rect width="100%" height="100%" style="fill: var(--paper)"/>{rest}\n'


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--epochs", type=int, help="of each; else those that their recipes say")
    options.add_argument("--folder", type=Path, help="where photos and recognizers are kept")
    options.add_argument("--page", type=Path)
    options.add_argument("--write", action="store_true")
    given = options.parse_args()
    photos = SETS[SET]()
    if photos is None:
        sys.exit(f"{SET} is not on this machine")
    plan, epochs = (QUICK, 1) if given.quick else (FULL, given.epochs)
    long = ("--epochs", str(epochs)) if epochs else ()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        if not (folder / "data").exists():
            laid_out(photos, folder / "photos", plan.photos)
            mingmu("train", folder / "photos", "--name", NAME, *long, "--data-dir", folder / "data")
        trials: list[Trial] = []
        data = ""
        for way in WAYS:
            found = shrunk(folder / "data", *way, *long)
            some, data = [Trial.model_validate(trial) for trial in found["trials"]], found["data"]
            print(f"mingmu shrink {NAME} {' '.join((*way, *long))}", *map(told, some), sep="\n", flush=True)
            trials += some[1:] if trials else some
    if given.page:
        given.page.write_text(pareto_page(NAME, trials, data), encoding="utf-8")
    if given.write:
        PLOT.write_text(plot(trials), encoding="utf-8")


if __name__ == "__main__":
    main()
