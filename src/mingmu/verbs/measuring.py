"""Measuring recognizers on labelled photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mingmu.core.cpus import cpu_count
from mingmu.core.doubt import prediction_sets
from mingmu.core.errors import Conflict
from mingmu.core.recognizer import Recognizer
from mingmu.data import reading
from mingmu.data.dataset import Dataset
from mingmu.evaluate import compare as comparing
from mingmu.evaluate.cost import cost
from mingmu.evaluate.learning import Point, learning_curve
from mingmu.evaluate.measure import measure
from mingmu.evaluate.page import page
from mingmu.evaluate.predictions import TEST, Predictions
from mingmu.evaluate.predictions import evaluate as predict
from mingmu.evaluate.report import Report
from mingmu.evaluate.thumbnails import thumbnails
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.registry.teachable import taught_digest
from mingmu.verbs.recognizing import Progress, ensure, silent

COVERAGES = (0.8, 0.9, 0.95, 0.99)
COST_PHOTOS = 8


def evaluate(store: Store, reference: str, source: Path, progress: Progress = silent) -> Report:
    """Measure a recognizer on labelled photos, by the road that requests take; the report is kept."""
    recognizer = Library(store).open(ensure(store, reference, progress).digest)
    dataset = unseen(store, reading.read(source, store.blobs, progress).dataset, recognizer)
    report = report_of(recognizer, dataset, predictions_of(store, recognizer, dataset, progress), store)
    keep(store, report, recognizer, dataset)
    return report


def compare(store: Store, one: str, other: str, source: Path, progress: Progress = silent) -> comparing.Comparison:
    """Say whether one of two recognizers is better on the same photos, as far as these can show it."""
    library = Library(store)
    both = [library.open(ensure(store, each, progress).digest) for each in (one, other)]
    dataset = unseen(store, reading.read(source, store.blobs, progress).dataset, *both)
    return comparing.compare(*(predictions_of(store, each, dataset, progress) for each in both))


def unseen(store: Store, dataset: Dataset, *recognizers: Recognizer) -> Dataset:
    """The photos that none of these recognizers learned from. Raises Conflict if none is left: they would flatter it."""
    learned: set[str] = set()
    for recognizer in recognizers:
        digest = taught_digest(store, recognizer.digest)
        for version in store.datasets.with_digest(digest)[-1:] if digest else []:
            taught = Dataset.from_lines(store.datasets.examples(version))
            learned |= {example.image for example in taught if example.split != "test"}
    left = Dataset.of(example for example in dataset if example.image not in learned)
    if len(dataset) and not len(left):
        raise Conflict("every one of these photos was used for teaching; measure with others, or the result means nothing")
    return left


def keep(store: Store, report: Report, recognizer: Recognizer, dataset: Dataset) -> None:
    """Keep a report, and its page beside it."""
    shown = page(report, thumbnails(report.measures.mistakes, recognizer, store.blobs))
    store.records.add_report(recognizer.digest, dataset.digest, shown.encode())
    store.records.add_report(recognizer.digest, dataset.digest, report.to_json())


def predictions_of(store: Store, recognizer: Recognizer, dataset: Dataset, progress: Progress) -> Predictions:
    tell: Callable[[float], None] = lambda share: progress("measuring", share)  # noqa: E731
    return predict(recognizer, dataset, store.blobs, threads=cpu_count(), progress=tell)


def report_of(
    recognizer: Recognizer, dataset: Dataset, predictions: Predictions, store: Store, growth: Sequence[tuple[int, float]] = ()
) -> Report:
    doubt = recognizer.head.doubt if recognizer.head and recognizer.covers else None
    sets = {share: prediction_sets(predictions.scores, doubt.conformal, share) for share in COVERAGES} if doubt else None
    if predictions.source != TEST:  # the sets were made from these very scores: that they keep their promise there says nothing
        sets = None
    photos = [store.blobs.get(example.image) for example in predictions.examples[:COST_PHOTOS]]
    curve = learning_curve([Point(*point) for point in growth]) if growth else None
    return Report.of(recognizer, dataset, measure(predictions, sets=sets), learning=curve, cost=cost(recognizer, photos))
