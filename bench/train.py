"""Training beside the script that everybody writes, with the extra `train`:

    python -m bench.train [--quick | --compile] [--set NAME] [--folder DIR]

On each set of photos that is on this machine (sign-digits from shared/data beside the repository, Fashion-MNIST from Debian's
dataset-fashion-mnist), a part of which nobody learns from:

- ResNet-18 from nothing, by the usual script, below, and by `mingmu train`, as often over the photos, and with as many seconds. The
  script's images/s are those of its loop, which decodes each photo in each epoch; those of `mingmu train` are counted from the first
  photo that it decodes to its last epoch, so looks at held-out photos and checkpoints count against it. Its seconds are the whole
  command's, which also starts, looks for copies, calibrates, exports, proves and measures.
- The published network of `general`: a head taught on it beside the network fine-tuned, on the same test photos by a paired test.

With `--quick`, few photos and one epoch: it shows that all of it runs, and the speeds. With `--compile`, only what torch.compile would
cost and save.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.accuracy import SETS, Photos

NAMES = ("sign-digits", "fashion-mnist")
SIDE = 64  # pixels, of ResNet-18
TESTED = 0.35  # share of the photos: enough that a difference of one in a hundred shows
JPEG = b"\xff\xd8"


@dataclass(frozen=True)
class Plan:
    photos: int  # of a set, at most
    epochs: int  # from nothing
    tuned: int | None  # epochs of fine-tuning; None: as many as the recipe says


FULL = Plan(photos=2062, epochs=10, tuned=None)
QUICK = Plan(photos=400, epochs=1, tuned=1)


def usual_script(folder: Path, epochs: int) -> Iterator[tuple[int, float, float]]:
    """Train ResNet-18 as introductions show it: PyTorch's defaults, SGD, batches of 32. After each epoch, gives the number of photos
    that were seen, the seconds that it took up to there, and the accuracy on the test photos, which takes no time.
    """
    import torch
    from torch import nn
    from torch.utils.data import DataLoader

    from mingmu.train.operators import define_missing

    define_missing()  # torchvision's own operators, where they do not fit this torch
    from torchvision import datasets, models, transforms

    torch.manual_seed(0)
    transform = transforms.Compose([transforms.Resize((SIDE, SIDE)), transforms.ToTensor()])
    train_set = datasets.ImageFolder(str(folder / "train"), transform)
    test_set = datasets.ImageFolder(str(folder / "test"), transform)
    train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
    test_loader = DataLoader(test_set, batch_size=32)
    model = models.resnet18(num_classes=len(train_set.classes))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    spent = 0.0
    for epoch in range(epochs):
        began = time.perf_counter()
        model.train()
        for images, labels in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
        spent += time.perf_counter() - began
        model.eval()
        correct = 0
        with torch.no_grad():
            for images, labels in test_loader:
                correct += int((model(images).argmax(dim=1) == labels).sum())
        yield len(train_set) * (epoch + 1), spent, correct / len(test_set)


def laid_out(photos: Photos, folder: Path, most: int) -> tuple[int, int]:
    """Write photos as folders by label, below `train` and `test`; gives how many there are in each."""
    order = np.random.default_rng(0).permutation(len(photos.images))[:most]
    tested = round(TESTED * len(order))
    for number, at in enumerate(order):
        place = folder / ("test" if number < tested else "train") / f"label-{photos.labels[at]}"
        place.mkdir(parents=True, exist_ok=True)
        data = photos.blobs.get(photos.images[at])
        (place / f"{number}.{'jpg' if data.startswith(JPEG) else 'png'}").write_bytes(data)
    return len(order) - tested, tested


@dataclass(frozen=True)
class Command:
    """What `mingmu` did."""

    found: dict[str, Any]  # what it printed, as JSON
    seconds: float
    steps: list[tuple[str, float]]  # what it said on the way, and after how many seconds

    def between(self, step: str, other: str) -> float:
        """Seconds from the first word of one step to that of another."""
        began = dict(reversed(self.steps))  # of what is said twice, the first time
        return began[other] - began[step]


def mingmu(*arguments: str | Path) -> Command:
    """Run a command to its end."""
    began = time.perf_counter()
    program = "from mingmu.cli import main; main()"
    command = [sys.executable, "-c", program, *map(str, arguments), "--json"]
    with tempfile.TemporaryFile() as printed:
        with subprocess.Popen(command, stdout=printed, stderr=subprocess.PIPE, text=True) as process:
            steps = [(line.rstrip("\n"), time.perf_counter() - began) for line in process.stderr or ()]
        seconds = time.perf_counter() - began
        if process.returncode:
            sys.exit("\n".join(said for said, _ in steps))
        printed.seek(0)
        return Command(json.load(printed), seconds, steps)


def from_nothing(folder: Path, data_dir: Path, epochs: int, in_time: bool) -> None:
    """ResNet-18, by the script and by the command."""
    *_, (seen, seconds, accuracy) = usual_script(folder, epochs)
    usual = seen / seconds
    print(f"  the usual script, {epochs} epochs: {accuracy:.1%} right; {usual:.0f} images/s, {seconds:.0f} s", flush=True)
    train = ("train", folder, "--net", "resnet18", "--size", str(SIDE), "--data-dir", data_dir)
    show("mingmu train", mingmu(*train, "--name", "ours", "--epochs", str(epochs)), data_dir, usual)
    if in_time:
        timed = mingmu(*train, "--name", "timed", "--time", f"{seconds:.0f}s")
        show(f"mingmu train --time {seconds:.0f}s", timed, data_dir, usual)


def show(what: str, done: Command, data_dir: Path, usual: float = 0.0) -> None:
    """A line about a training."""
    curve = done.found["curve"]
    manifest = mingmu("show", done.found["name"], "--data-dir", data_dir).found["manifest"]
    speed = len(curve) * manifest["made_by"]["photos"] / done.between("decoding", "sealing")
    waited = float(np.mean([epoch["waited"] for epoch in curve]))
    ratio = f" = {speed / usual:.2f}x" if usual else ""
    accuracy = done.found["report"]["measures"]["accuracy"]["value"]
    told = f"{speed:.0f} images/s{ratio}, {done.seconds:.0f} s in all, waits {waited:.1%}"
    print(f"  {what}, {len(curve)} epochs: {accuracy:.1%} right; {told}", flush=True)


def from_published(folder: Path, data_dir: Path, epochs: int | None) -> None:
    """A head on the network of `general` beside the same network fine-tuned."""
    head = mingmu("teach", folder, "--name", "head", "--data-dir", data_dir)
    print(f"  general with a taught head: {head.found['report']['measures']['accuracy']['value']:.1%} right; {head.seconds:.0f} s in all")
    asked = ("--epochs", str(epochs)) if epochs else ()
    show("general fine-tuned", mingmu("train", folder, "--name", "tuned", "--recipe", "fast", *asked, "--data-dir", data_dir), data_dir)
    compared = mingmu("compare", "head", "tuned", folder / "test", "--data-dir", data_dir).found
    only = f"only the head {compared['only_a']}, only the tuned one {compared['only_b']} right"
    print(f"  A the head, B fine-tuned, {compared['examples']} photos, {only}: {compared['verdict']}")


def compile_too() -> None:
    """ResNet-18 by turns as it is and by torch.compile: seconds of a step forth and back, and of the first one, which compiles."""
    import torch
    from torch.nn import functional

    from mingmu.train.nets import build
    from mingmu.train.recipe import NetTable

    net, _ = build(NetTable(name="resnet18", weights="none"), SIDE, 10)
    pixels, classes = torch.randint(0, 256, (32, 3, SIDE, SIDE)), torch.randint(0, 10, (32,))
    compiled = torch.compile(net)

    def step(model: Any) -> float:
        began = time.perf_counter()
        loss: Any = functional.cross_entropy(model(pixels), classes)
        loss.backward()
        net.zero_grad()
        return time.perf_counter() - began

    first, _ = step(compiled), step(net)
    plain, faster = (min(seconds) for seconds in zip(*((step(net), step(compiled)) for _ in range(10)), strict=True))
    print(f"torch.compile: {first:.0f} s for the first step; then {faster:.3f} s each instead of {plain:.3f} s = {plain / faster:.2f}x")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--compile", action="store_true")
    options.add_argument("--set", choices=NAMES, action="append")
    options.add_argument("--folder", type=Path, help="where photos and recognizers are kept; a new one")
    given = options.parse_args()
    if given.compile:
        compile_too()
        return
    plan = QUICK if given.quick else FULL
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.set or (NAMES[:1] if given.quick else NAMES):
            photos = SETS[name]()
            if photos is None:
                print(f"{name}: skipped, it is not on this machine")
                continue
            folder = (given.folder or Path(scratch)) / name
            learned, tested = laid_out(photos, folder / "photos", plan.photos)
            print(f"{name}: {learned} photos to learn from, {tested} to test on; ResNet-18 from nothing at {SIDE} pixels", flush=True)
            from_nothing(folder / "photos", folder / "data", plan.epochs, in_time=not given.quick)
            from_published(folder / "photos", folder / "data", plan.tuned)


if __name__ == "__main__":
    main()
