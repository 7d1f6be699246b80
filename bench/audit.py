"""What the audit finds of what was planted, and what else it claims: `python bench/audit.py [--quick]` (needs the extra `demo`).

On sign-digits, photos of hands before a wall, in shared/data beside the repository; where that is absent, on scikit-learn's digits,
said loudly. Planted, in disjoint images: 5 % of labels flipped; 3 % near duplicates, a third each recompressed, resized, cut by 5 %;
and 1 % each cut by 10 % and by 20 %, mirrored, turned by a quarter or a half, exact copies, blurred, darkened, washed out, cut short on
disk, and photos of something else. A fifth of all is the test part of a given split, copies fall on either side. Precision counts as
wrong whatever else is found, also what the dataset had before; only on images spoiled in one way findings of another kind do not count.
All of it lies in a folder, and is read and audited as by `mingmu audit`.
"""

from __future__ import annotations

import argparse
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
from PIL import Image, ImageFilter, ImageOps
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mingmu import verbs
from mingmu.data.audit import examine, fix
from mingmu.data.audit_page import audit_page
from mingmu.data.copies import MIN_COSINE
from mingmu.data.finding import Finding
from mingmu.data.neighbours import neighbours
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.settings import Settings
from mingmu.verbs.auditing import Audited
from mingmu.verbs.recognizing import silent
from mingmu.verbs.teaching import extractor_of, network_of

PHOTOS = Path(__file__).resolve().parents[1] / "../shared/data/sign-digits"
LARGEST = 512  # a few photos have 9 megapixels: planted versions of them are made from this
Features = NDArray[np.float32]


@dataclass
class Planted:
    """A folder of photos, and what is wrong with it: names, or pairs of names, by kind."""

    folder: Path
    truth: dict[str, set[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(set))
    true_labels: dict[str, str] = field(default_factory=dict)
    copies: dict[tuple[str, ...], str] = field(default_factory=dict)  # how a pair was made

    def add(self, data: bytes, label: str, name: str, split: str, given: str | None = None) -> str:
        """Write a photo, and give the name that it has in the dataset."""
        where = f"{split}/{given or label}/{name}"
        (self.folder / where).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / where).write_bytes(data)
        self.true_labels[where] = label
        return where


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="600 images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--html", type=Path, help="write the page of the findings here")
    options = parser.parse_args()
    images = sources()
    rng = np.random.default_rng(options.seed)
    chosen = rng.permutation(len(images))[: 600 if options.quick else None]
    with TemporaryDirectory() as scratch:
        store = Store(Path(scratch, "store"))
        verbs.open_recognizer(Settings(data_dir=store.data_dir), "general")
        planted = plant([images[at] for at in chosen], Path(scratch, "photos"), rng)
        start = time.perf_counter()
        audited = verbs.audit(store, planted.folder)
        print(
            f"{len(audited.dataset)} images; {len(audited.findings)} findings, in {time.perf_counter() - start:.1f} s from start to end\n"
        )
        report(list(audited.findings), planted)
        report_copies(store, audited, planted)
        if options.html:
            options.html.write_text(audit_page(audited.dataset, store.blobs, audited.findings, "planted errors"), encoding="utf-8")
        compare_label_errors(audited, planted)
        what_it_buys(store, audited, planted)


def sources() -> list[tuple[str, bytes, str]]:
    """Name, file and label of each image."""
    if PHOTOS.is_dir():
        return [
            (f"{path.parent.name}-{path.name}", path.read_bytes(), path.parent.name)
            for path in sorted(PHOTOS.glob("*/*"))
            if path.suffix.lower() == ".jpg"
        ]
    from sklearn.datasets import load_digits

    print(f"!!! {PHOTOS} is not there: scikit-learn's 8x8 digits instead. They are no photos; figures differ.\n")
    digits = load_digits()
    pictures = (Image.fromarray((image * 15.9).astype(np.uint8)).resize((64, 64), Image.Resampling.BICUBIC) for image in digits.images)
    return [
        (f"{label}-{at}.png", encoded(picture, "PNG"), str(label))
        for at, (picture, label) in enumerate(zip(pictures, digits.target, strict=True))
    ]


def plant(images: list[tuple[str, bytes, str]], folder: Path, rng: np.random.Generator) -> Planted:
    planted = Planted(folder)
    labels = sorted({label for _, _, label in images})
    part = shares(len(images), rng, flip=0.05, **dict.fromkeys((*COPIES, *SPOILED), 0.01))
    for at, (name, data, label) in enumerate(images):
        what, split = part[at], "test" if rng.random() < 0.2 else "train"
        if what == "flip":
            where = planted.add(data, label, name, split, given=str(rng.choice([other for other in labels if other != label])))
            planted.truth["label-error"].add((where,))
            continue
        where = planted.add(SPOILED[what](data) if what in SPOILED else data, label, name, split)
        if what in SPOILED:
            planted.truth[KIND[what]].add((where,))
        if what in COPIES:
            side = "test" if rng.random() < 0.2 else "train"
            other = planted.add(COPIES[what](data, rng), label, f"{what}-{name}", side)
            pair = tuple(sorted((where, other)))
            planted.copies[pair] = what
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
    side = 150
    tiles = [  # side by side: two that overlap would be copies
        photo.crop((x, y, x + side, y + side))
        for photo in photos
        for x in range(0, photo.width - side + 1, side)
        for y in range(0, photo.height - side + 1, side)
    ]
    for at, tile in enumerate(rng.permutation(len(tiles))[:count]):
        piece = tiles[tile].resize((100, 100), Image.Resampling.LANCZOS)
        where = planted.add(encoded(piece), str(rng.choice(labels)), f"stranger-{at}.jpg", "train")
        planted.truth["outlier"].add((where,))


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


def cut(share: float) -> Callable[[bytes, np.random.Generator], bytes]:
    """Without a share of the width and of the height, at a random place."""

    def made(data: bytes, rng: np.random.Generator) -> bytes:
        image = opened(data)
        across, down = max(1, round(image.width * share)), max(1, round(image.height * share))
        x, y = int(rng.integers(0, across + 1)), int(rng.integers(0, down + 1))
        return encoded(image.crop((x, y, x + image.width - across, y + image.height - down)))

    return made


def blurred(data: bytes) -> bytes:
    image = opened(data)
    return encoded(image.filter(ImageFilter.GaussianBlur(max(image.size) / 30)))


COPIES: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "copy": lambda data, _: data,
    "recompressed": lambda data, rng: encoded(opened(data), quality=int(rng.integers(30, 70))),
    "resized": resized,
    "cut by 5 %": cut(0.05),
    "cut by 10 %": cut(0.1),
    "cut by 20 %": cut(0.2),
    "mirrored": lambda data, _: encoded(ImageOps.mirror(opened(data))),
    "turned": lambda data, rng: encoded(opened(data).rotate(90 * int(rng.integers(1, 4)), expand=True)),
}
SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "blur": blurred,
    "dark": lambda data: encoded(opened(data).point(lambda level: level * 0.08)),
    "bright": lambda data: encoded(opened(data).point(lambda level: 225 + level * 0.12)),
    "short": lambda data: data[: len(data) * 2 // 5],
}
STRANGE = frozenset(("blurry", "dark", "bright", "outlier", "unreadable", "label-error"))
KIND = {"blur": "blurry", "dark": "dark", "bright": "bright", "short": "unreadable"}


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


def report_copies(store: Store, audited: Audited, planted: Planted) -> None:
    """Which planted copies each evidence finds; what the cosine of the embedding alone would do."""
    features = features_of(store, audited)
    names = [example.name for example in audited.dataset]
    place = {name: at for at, name in enumerate(names)}
    found = {
        way: {tuple(sorted((names[a], names[b]))) for a, b in examine(audited.dataset, store.blobs, values).copies.pairs}
        for way, values in (("hash", None), ("both", features))
    }
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    print(f"\n{'copies':14} {'planted':>8} {'by hash':>8} {'and embedding':>14}   lowest cosine")
    for what in COPIES:
        pairs = {pair for pair, made in planted.copies.items() if made == what}
        lowest = min(float(unit[place[a]] @ unit[place[b]]) for a, b in pairs)
        print(f"{what:14} {len(pairs):8} {len(found['hash'] & pairs):8} {len(found['both'] & pairs):14}   {lowest:.3f}")
    others = {way: len(pairs - planted.copies.keys()) for way, pairs in found.items()}
    print(f"{'other pairs':14} {'':8} {others['hash']:8} {others['both']:14}")
    near = neighbours(features)
    different = [
        float(cosine)
        for row, (columns, cosines) in enumerate(zip(near.places, near.cosines, strict=True))
        for column, cosine in zip(columns, cosines, strict=True)
        if tuple(sorted((names[row], names[column]))) not in planted.copies
    ]
    print(
        f"cosine of different photos: up to {max(different):.3f}; {np.mean(np.array(different) >= MIN_COSINE):.0%} of neighbours", end=" "
    )
    print(f"have {MIN_COSINE} and more, so that it proposes and does not decide")


def features_of(store: Store, audited: Audited) -> Features:
    network = network_of(Library(store), "general", silent)
    images = [example.image for example in audited.dataset]
    return extractor_of(store, network)(network.artifact.manifest.pixels, images).values["features"]


def rates(found: set[tuple[str, ...]], truth: set[tuple[str, ...]]) -> tuple[float, float]:
    right = len(found & truth)
    return right / max(1, len(found)), right / max(1, len(truth))


def compare_label_errors(audited: Audited, planted: Planted) -> None:
    """cleanlab's filters on the same probabilities, where it is installed."""
    try:
        from cleanlab.filter import find_label_issues  # type: ignore[import-not-found]
    except ImportError:
        print("\ncleanlab is not installed: no comparison (pip install cleanlab)")
        return
    dataset = audited.dataset
    given = np.array([dataset.labels.index(example.labels[0]) for example in dataset])
    print("\nlabel errors, cleanlab on the same probabilities:")
    for rule in ("prune_by_noise_rate", "both", "confident_learning", "low_self_confidence", "low_normalized_margin"):
        marked = find_label_issues(given, audited.held_out, filter_by=rule, n_jobs=1)
        found: set[tuple[str, ...]] = {(dataset.examples[at].name,) for at in np.flatnonzero(marked)}
        precision, recall = rates(found, planted.truth["label-error"])
        print(f"  {rule:24} {len(found):6} {precision:10.3f} {recall:7.3f}")


def what_it_buys(store: Store, audited: Audited, planted: Planted) -> None:
    """What `--fix` says, and the accuracy on the test part with its true labels, taught before and after cleaning."""
    dataset, features = audited.dataset, features_of(store, audited)
    print(f"\n--fix says: {verbs.clean(store, audited, planted.folder.with_name('clean')).verdict}")
    place = {example.name: at for at, example in enumerate(dataset)}
    cleaned = fix(dataset, audited.findings)
    tested = [place[example.name] for example in cleaned if example.split == "test"]
    truth = [planted.true_labels[dataset.examples[at].name] for at in tested]
    for name, part in (("before", dataset), ("after", cleaned)):
        train = [place[example.name] for example in part if example.split == "train"]
        taught = classifier().fit(features[train], [dataset.examples[at].labels[0] for at in train])
        right = np.mean(taught.predict(features[tested]) == truth)
        print(f"  accuracy on the true labels of {len(tested)} test images, taught {name}: {right:.3f}")


if __name__ == "__main__":
    main()
