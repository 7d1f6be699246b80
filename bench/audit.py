"""What the audit finds of what was planted, and what else it claims: `python bench/audit.py [--quick]` (needs the extra `demo`).

On ../shared/data/sign-digits, photos of hands before a wall; where that is absent, on scikit-learn's digits, said loudly.
Planted, in disjoint images: 5 % of labels flipped; 3 % near duplicates, a third each recompressed, resized, cut by 5 %;
and 1 % each exact copies, blurred, darkened, washed out, cut short on disk, and photos of something else. A fifth of all
is the test part of a given split, copies fall on either side. Precision counts as wrong whatever else is found, also what
the dataset had before; only on images spoiled in one way findings of another kind do not count. Out-of-fold
probabilities come from plain logistic regression on the features of `general`.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mingmu.core.pixels import PixelSpec
from mingmu.data.audit import audit, fix
from mingmu.data.audit_page import audit_page
from mingmu.data.dataset import Dataset, Example
from mingmu.data.duplicates import groups_of
from mingmu.data.finding import Finding
from mingmu.data.looks import look
from mingmu.data.splits import folds
from mingmu.settings import Settings
from mingmu.verbs.recognizing import open_recognizer

PHOTOS = Path(__file__).resolve().parents[1] / "../shared/data/sign-digits"
LARGEST = 512  # a few photos have 9 megapixels: planted versions of them are made from this
Features = NDArray[np.float32]


class Memory:
    """Blobs in memory."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        self.held[sha256] = data
        return sha256

    def get(self, sha256: str) -> bytes:
        return self.held[sha256]


@dataclass
class Planted:
    """A dataset, and what is wrong with it: names, or pairs of names, by kind."""

    blobs: Memory = field(default_factory=Memory)
    examples: list[Example] = field(default_factory=list)
    truth: dict[str, set[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(set))
    true_labels: dict[str, str] = field(default_factory=dict)

    def add(self, data: bytes, label: str, name: str, split: str, given: str | None = None) -> None:
        self.examples.append(Example(self.blobs.put(data), (given or label,), name, "test" if split == "test" else "train"))
        self.true_labels[name] = label


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="600 images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--html", type=Path, help="write the page of the findings here")
    options = parser.parse_args()
    images = sources()
    rng = np.random.default_rng(options.seed)
    chosen = rng.permutation(len(images))[: 600 if options.quick else None]
    planted = plant([images[at] for at in chosen], rng)
    dataset = Dataset.of(planted.examples)
    features = features_of(dataset, planted.blobs)
    start = time.perf_counter()
    groups = groups_of(dataset, look(dataset, planted.blobs).thumbs)
    print(f"{len(dataset)} images; groups that must not be parted: {len(np.unique(groups))}, in {time.perf_counter() - start:.1f} s")
    probabilities = out_of_fold(dataset, features, groups)
    start = time.perf_counter()
    findings = audit(dataset, planted.blobs, features, probabilities)
    print(f"audit: {len(findings)} findings in {time.perf_counter() - start:.1f} s, features and probabilities not counted\n")
    report(findings, planted)
    if options.html:
        options.html.write_text(audit_page(dataset, planted.blobs, findings, "planted errors"), encoding="utf-8")
    compare_label_errors(dataset, probabilities, planted)
    what_it_buys(dataset, findings, features, planted)


def sources() -> list[tuple[str, bytes, str]]:
    """Name, file and label of each image."""
    if PHOTOS.is_dir():
        return [
            (f"{path.parent.name}/{path.name}", path.read_bytes(), path.parent.name)
            for path in sorted(PHOTOS.glob("*/*"))
            if path.suffix.lower() == ".jpg"
        ]
    from sklearn.datasets import load_digits

    print(f"!!! {PHOTOS} is not there: scikit-learn's 8x8 digits instead. They are no photos; figures differ.\n")
    digits = load_digits()
    pictures = (Image.fromarray((image * 15.9).astype(np.uint8)).resize((64, 64), Image.Resampling.BICUBIC) for image in digits.images)
    return [
        (f"{label}/{at}.png", encoded(picture, "PNG"), str(label))
        for at, (picture, label) in enumerate(zip(pictures, digits.target, strict=True))
    ]


def plant(images: list[tuple[str, bytes, str]], rng: np.random.Generator) -> Planted:
    planted = Planted()
    labels = sorted({label for _, _, label in images})
    part = shares(
        len(images), rng, flip=0.05, recompressed=0.01, resized=0.01, cut=0.01, copy=0.01, blur=0.01, dark=0.01, bright=0.01, short=0.01
    )
    for at, (name, data, label) in enumerate(images):
        what, split = part[at], "test" if rng.random() < 0.2 else "train"
        if what == "flip":
            planted.add(data, label, name, split, given=str(rng.choice([other for other in labels if other != label])))
            planted.truth["label-error"].add((name,))
            continue
        if what in SPOILED:
            data = SPOILED[what](data)
            planted.truth[KIND[what]].add((name,))
        planted.add(data, label, name, split)
        if what in COPIES:
            other, side = f"{name}-{what}", "test" if rng.random() < 0.2 else "train"
            planted.add(COPIES[what](data, rng), label, other, side)
            pair = tuple(sorted((name, other)))
            planted.truth["duplicate" if what == "copy" else "near-duplicate"].add(pair)
            if side != split:
                planted.truth["split-leak"].add(pair)
    plant_strangers(planted, labels, max(2, len(images) // 100), rng)
    return planted


def plant_strangers(planted: Planted, labels: list[str], count: int, rng: np.random.Generator) -> None:
    """Pieces of photos of a cat, a cup, a rocket, ... under a label of the dataset."""
    folder = Path(skimage.data.__file__).parent
    photos = [
        Image.open(folder / name).convert("RGB")
        for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")
        if (folder / name).exists()
    ]
    for at in range(count):
        photo, side = photos[at % len(photos)], 200
        x, y = int(rng.integers(0, photo.width - side)), int(rng.integers(0, photo.height - side))
        piece = photo.crop((x, y, x + side, y + side)).resize((100, 100), Image.Resampling.LANCZOS)
        planted.add(encoded(piece), str(rng.choice(labels)), f"stranger-{at}.jpg", "train")
        planted.truth["outlier"].add((f"stranger-{at}.jpg",))


def shares(count: int, rng: np.random.Generator, **wanted: float) -> list[str]:
    what = [name for name, share in wanted.items() for _ in range(max(2, round(share * count)))]
    return list(rng.permutation(what + [""] * (count - len(what))))


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    image.thumbnail((LARGEST, LARGEST))
    return image


def encoded(image: Image.Image, form: str = "JPEG", quality: int = 85) -> bytes:
    file = io.BytesIO()
    image.save(file, form, quality=quality)
    return file.getvalue()


def resized(data: bytes, rng: np.random.Generator) -> bytes:
    image, scale = opened(data), rng.uniform(0.5, 0.9)
    return encoded(image.resize((int(image.width * scale), int(image.height * scale)), Image.Resampling.BICUBIC))


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    """Without 5 % of the width and of the height, at a random place."""
    image = opened(data)
    across, down = max(1, round(image.width * 0.05)), max(1, round(image.height * 0.05))
    x, y = int(rng.integers(0, across + 1)), int(rng.integers(0, down + 1))
    return encoded(image.crop((x, y, x + image.width - across, y + image.height - down)))


def blurred(data: bytes) -> bytes:
    image = opened(data)
    return encoded(image.filter(ImageFilter.GaussianBlur(max(image.size) / 30)))


COPIES: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "copy": lambda data, _: data,
    "recompressed": lambda data, rng: encoded(opened(data), quality=int(rng.integers(30, 70))),
    "resized": resized,
    "cut": cut,
}
SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "blur": blurred,
    "dark": lambda data: encoded(opened(data).point(lambda level: level * 0.08)),
    "bright": lambda data: encoded(opened(data).point(lambda level: 225 + level * 0.12)),
    "short": lambda data: data[: len(data) * 2 // 5],
}
STRANGE = frozenset(("blurry", "dark", "bright", "outlier", "unreadable", "label-error"))
KIND = {"blur": "blurry", "dark": "dark", "bright": "bright", "short": "unreadable"}


def features_of(dataset: Dataset, blobs: Memory) -> Features:
    """The pooled features of three depths of `general`; zeros for what cannot be decoded."""
    from mingmu.core.errors import BadImage

    with TemporaryDirectory() as scratch:
        network = open_recognizer(Settings(data_dir=Path(scratch)), "general").recognizer.network
    spec: PixelSpec = network.artifact.manifest.pixels
    blank = np.zeros((spec.size[1], spec.size[0], 3), np.uint8)
    names = ("features", "features_2", "features_3")
    rows = []
    for start in range(0, len(dataset), 32):
        frames = []
        for example in dataset.examples[start : start + 32]:
            try:
                frames.append(spec.frame(blobs.get(example.image)).pixels)
            except BadImage:
                frames.append(blank)
        outputs = network.runtime(np.stack(frames), names)
        rows.append(np.concatenate([outputs[name] for name in names], axis=1))
    return np.concatenate(rows)


def out_of_fold(dataset: Dataset, features: Features, groups: NDArray[np.int64]) -> Features:
    labels = [example.labels for example in dataset]
    given = np.array([dataset.labels.index(label) for (label,) in labels])
    probabilities = np.zeros((len(dataset), len(dataset.labels)), np.float32)
    for train, test in folds(labels, groups, 5):
        probabilities[test] = classifier().fit(features[train], given[train]).predict_proba(features[test])
    return probabilities


def classifier() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.002, max_iter=300))


def report(findings: list[Finding], planted: Planted) -> None:
    print(f"{'finding':16} {'planted':>8} {'found':>6} {'precision':>10} {'recall':>7}")
    found: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for finding in findings:
        where = finding.where if len(finding.where) == 1 else ()
        found[finding.kind] |= {where} if where else {tuple(sorted(pair)) for pair in combinations(finding.where, 2)}
    spoiled = {
        kind: {name for other, wheres in planted.truth.items() if other in STRANGE - {kind} for where in wheres for name in where}
        for kind in STRANGE
    }
    for kind in sorted(found.keys() | planted.truth.keys()):
        found[kind] = {where for where in found[kind] if not spoiled.get(kind, set()).intersection(where)}
        truth = planted.truth.get(kind)
        if truth:
            precision, recall = rates(found[kind], truth)
            print(f"{kind:16} {len(truth):8} {len(found[kind]):6} {precision:10.3f} {recall:7.3f}")
        else:
            print(f"{kind:16} {'none':>8} {len(found[kind]):6}")
    copies = {pair for pair in planted.truth["near-duplicate"] if pair not in found["near-duplicate"]}
    print(f"near duplicates missed: {', '.join(sorted(pair[1] for pair in copies)) or 'none'}")


def rates(found: set[tuple[str, ...]], truth: set[tuple[str, ...]]) -> tuple[float, float]:
    right = len(found & truth)
    return right / max(1, len(found)), right / max(1, len(truth))


def compare_label_errors(dataset: Dataset, probabilities: Features, planted: Planted) -> None:
    """cleanlab's filters on the same probabilities, where it is installed."""
    try:
        from cleanlab.filter import find_label_issues  # type: ignore[import-not-found]
    except ImportError:
        print("\ncleanlab is not installed: no comparison (pip install cleanlab)")
        return
    given = np.array([dataset.labels.index(example.labels[0]) for example in dataset])
    readable = probabilities.sum(axis=1) > 0
    print("\nlabel errors, cleanlab on the same probabilities:")
    for rule in ("prune_by_noise_rate", "both", "confident_learning", "low_self_confidence", "low_normalized_margin"):
        marked = find_label_issues(given[readable], probabilities[readable], filter_by=rule, n_jobs=1)
        found: set[tuple[str, ...]] = {(dataset.examples[at].name,) for at in np.flatnonzero(readable)[marked]}
        precision, recall = rates(found, planted.truth["label-error"])
        print(f"  {rule:24} {len(found):6} {precision:10.3f} {recall:7.3f}")


def what_it_buys(dataset: Dataset, findings: list[Finding], features: Features, planted: Planted) -> None:
    """Accuracy on the test part with its true labels, taught before and after cleaning."""
    place = {example.name: at for at, example in enumerate(dataset)}
    cleaned = fix(dataset, findings)
    tested = [place[e.name] for e in cleaned if e.split == "test"]
    truth = [planted.true_labels[dataset.examples[at].name] for at in tested]
    print(f"\ncleaned: {len(dataset)} -> {len(cleaned)} images")
    for name, part in (("before", dataset), ("after", cleaned)):
        train = [place[e.name] for e in part if e.split == "train"]
        taught = classifier().fit(features[train], [dataset.examples[at].labels[0] for at in train])
        print(f"  accuracy on {len(tested)} test images, taught {name}: {np.mean(taught.predict(features[tested]) == truth):.3f}")


if __name__ == "__main__":
    main()
