"""Predictions and datasets that the tests of `evaluate` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mingmu.core.errors import NotFound
from mingmu.core.head import Head
from mingmu.core.manifest import digest_of
from mingmu.core.network import Network
from mingmu.core.pixels import encode_png
from mingmu.core.recognizer import Recognizer
from mingmu.data.dataset import Dataset, Example
from mingmu.evaluate.cost import cost
from mingmu.evaluate.learning import learning_curve
from mingmu.evaluate.measure import measure
from mingmu.evaluate.predictions import Predictions, evaluate
from mingmu.evaluate.report import Report
from mingmu.tasks import task_named
from tests import tiny

SIZES = (50, 100, 200, 400)  # photos learned from, of 500
COLOURS = {"red": (250, 10, 10), "green": (10, 250, 10), "blue": (10, 10, 250)}


class Memory:
    """Blobs in a dictionary."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        digest = digest_of(data)
        self.blobs[digest] = data
        return digest

    def get(self, sha256: str) -> bytes:
        try:
            return self.blobs[sha256]
        except KeyError:
            raise NotFound(f"no blob {sha256}") from None


def picture(colour: str, shade: int = 0) -> bytes:
    return encode_png(np.full((12, 16, 3), np.add(COLOURS[colour], (0, 0, shade % 6)), np.uint8))


def coloured(blobs: Memory, each: int = 3) -> list[Example]:
    """So many labelled pictures of each colour."""
    return [Example(blobs.put(picture(label, i)), (label,), f"{label}/{i}.png") for label in COLOURS for i in range(each)]


def recognizer(folder: Path) -> Recognizer:
    """One that tells red, green and blue apart."""
    for name in ("backbone", "head"):
        (folder / name).mkdir(parents=True)
    network = Network.open(tiny.seal_backbone(folder / "backbone"))
    artifact = tiny.seal_tiny(folder / "head", network, name="tiny")
    return Recognizer(artifact, network, task_named("classify"), Head.open(artifact))


def report(folder: Path) -> tuple[Report, Recognizer, Memory]:
    """A full report: some mistakes, an unreadable file, an unknown label, sets, a learning curve and times."""
    blobs, tiny_one = Memory(), recognizer(folder)
    mislabelled = Example(blobs.put(picture("red", 5)), ("blue",), "blue/<mislabelled>.png")
    broken, unknown = (
        Example(blobs.put(b"rubbish"), ("red",), "red/broken.png"),
        Example(blobs.put(picture("red")), ("pink",), "pink/0.png"),
    )
    dataset = Dataset.of([*coloured(blobs, 5), mislabelled, broken, unknown])
    predictions = evaluate(tiny_one, dataset, blobs)
    measures = measure(predictions, sets={0.9: predictions.scores >= 0.05})
    learning = learning_curve(*grown([0.95 - n**-0.5 for n in SIZES]))
    made = Report.of(tiny_one, dataset, measures, cost(tiny_one, [picture("red")]), made=datetime(2026, 1, 2, tzinfo=UTC))
    return replace(made, learning=learning), tiny_one, blobs


def grown(
    accuracies: Sequence[float], photos: int = 500, *, each: int = 1, seed: int = 0
) -> tuple[tuple[int, ...], NDArray[np.bool_], NDArray[np.int64]]:
    """Sizes, answers and groups (of so many photos each) for `learning_curve`: a photo that few photos make right, more make right, too."""
    hardness = np.random.default_rng(seed).permutation(
        np.repeat((np.arange(photos // each) + 0.5) / (photos // each), each).reshape(-1, each)
    )
    right = hardness.ravel()[:, None] < np.array(accuracies)
    return SIZES, right, np.repeat(np.arange(photos // each), each)


def predictions(
    truth: Sequence[int], scores: NDArray[np.float64], *, groups: Sequence[str] | None = None, source: str = "tests"
) -> Predictions:
    """Predictions of labels a, b, c ... from the true places and scores [N, C]."""
    labels = [chr(ord("a") + i) for i in range(scores.shape[1])]
    examples = [
        Example(f"{i:064x}", (labels[place],), f"{i}.png", group=None if groups is None else groups[i]) for i, place in enumerate(truth)
    ]
    return Predictions.of(labels, examples, scores.astype(np.float32), source=source)


def random_predictions(n: int = 200, classes: int = 4, *, sharpness: float = 1.0, seed: int = 0) -> Predictions:
    """Predictions whose confidence is exactly what it says where `sharpness` is 1, too sure above."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, classes))
    truth = (softmax(logits).cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=classes - 1)
    return predictions([int(place) for place in truth], softmax(sharpness * logits))


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
