"""Measuring recognizers on labelled photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from mingmu.core.cpus import cpu_count
from mingmu.core.cropping import usual_loss
from mingmu.core.doubt import prediction_sets
from mingmu.core.errors import Conflict
from mingmu.core.recognizer import Recognizer
from mingmu.data import reading
from mingmu.data.closeups import Closeups
from mingmu.data.copies import copies
from mingmu.data.dataset import Dataset, Example
from mingmu.evaluate import compare as comparing
from mingmu.evaluate.box_measures import measure_boxes
from mingmu.evaluate.cost import Cost, cost
from mingmu.evaluate.learning import learning_curve
from mingmu.evaluate.measure import measure
from mingmu.evaluate.page import page
from mingmu.evaluate.predictions import TEST, UNKNOWN, Failure, Predictions
from mingmu.evaluate.predictions import evaluate as predict
from mingmu.evaluate.report import AnyReport, BoxReport, Report, TextReport
from mingmu.evaluate.sightings import Sightings, sight
from mingmu.evaluate.text_measures import measure_texts
from mingmu.evaluate.thumbnails import thumbnails_of
from mingmu.evaluate.transcripts import Transcripts, transcribe
from mingmu.registry.datasets import DatasetVersion
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.registry.teachable import taught_digest
from mingmu.teach.curve import Growth
from mingmu.verbs.parting import cache_of, thumbs_of
from mingmu.verbs.recognizing import Progress, check_classifier, check_judged, ensure, silent
from mingmu.verbs.sources import found_in

Said = TypeVar("Said", Predictions, Sightings, Transcripts)

COVERAGES = (0.8, 0.9, 0.95, 0.99)
COST_PHOTOS = 8
LOOKED_AT = 100  # photos, whose sizes say what the view leaves out
READING = ("read", "text", "plates")  # tasks whose answers are texts
UNREAD = ("unreadable", "missing-file")  # kinds of findings: files that never became photos


def evaluate(store: Store, reference: str, source: Path | DatasetVersion, progress: Progress = silent) -> AnyReport:
    """Measure a recognizer on labelled photos, by the road that requests take; the report is kept, under the photos that were given."""
    recognizer = Library(store).open(ensure(store, reference, progress).digest)
    if recognizer.manifest.task not in ("detect", *READING):
        check_classifier(recognizer, "evaluate")
    found = found_in(store, source, progress, texts=recognizer.manifest.task in READING)
    dataset = unseen(store, found.dataset, recognizer, progress=progress)
    report = measured(store, recognizer, dataset, dataset, progress, _context(store, recognizer, found, dataset))
    own = found.dataset.digest == taught_digest(store, recognizer.digest)  # under which there is the report of the teaching
    keep(store, report, recognizer, dataset if own else found.dataset)
    return report


def compare(store: Store, one: str, other: str, source: Path, progress: Progress = silent) -> comparing.Comparison:
    """Say whether one of two recognizers is better on the same photos, as far as these can show it."""
    library = Library(store)
    both = [library.open(ensure(store, each, progress).digest) for each in (one, other)]
    for each in both:
        check_judged(each, "compare")
    if len({each.manifest.task for each in both}) > 1:
        raise Conflict(f"of {one} and {other} one gives labels and the other boxes; compare two of a kind")
    found = reading.read(source, store.blobs, progress)
    dataset = unseen(store, found.dataset, *both, progress=progress)
    told = [_context(store, each, found, dataset) for each in both]
    if both[0].manifest.task == "detect":
        return comparing.compare_boxes(*(it.of(sightings_of(store, each, dataset, progress)) for it, each in zip(told, both, strict=True)))
    return comparing.compare(*(it.of(predictions_of(store, each, dataset, progress)) for it, each in zip(told, both, strict=True)))


def unseen(store: Store, dataset: Dataset, *recognizers: Recognizer, progress: Progress = silent) -> Dataset:
    """The photos that none of these recognizers learned from, nor their networks, nor from copies of them, nor, if it reads, from their
    texts; as far as that is known here.

    Raises Conflict if none is left: they would flatter it.
    """
    made = [*dict.fromkeys(digest for each in recognizers for digest in _made_of(each))]
    reads = all(recognizer.manifest.task in READING for recognizer in recognizers)
    left = new_to(store, dataset, *made, texts=reads, progress=progress)
    if len(dataset) and not len(left):
        what = "of these texts" if reads else "of these photos"
        raise Conflict(f"every one {what} was used for teaching; measure with others, or the result means nothing")
    return left


def _made_of(recognizer: Recognizer) -> list[str]:
    """The digests of a recognizer and its network, and of the parts of a chain, with theirs."""
    return [recognizer.digest, recognizer.network.backbone, *(each for part in recognizer.parts.values() for each in _made_of(part))]


def new_to(store: Store, dataset: Dataset, *digests: str, texts: bool = False, progress: Progress = silent) -> Dataset:
    """The photos that none of these heads and networks learned from, nor from copies of them, or from their texts; as far as that is known
    here.
    """
    lessons = [example for digest in digests for example in _lessons(store, digest) or ()]
    learned = {example.image for example in lessons}
    fresh = [example for example in dataset if example.image not in learned]
    return _of_other_texts(fresh, lessons) if texts else _not_alike(store, fresh, lessons, progress)


def _lessons(store: Store, made: str) -> list[Example] | None:
    """The photos that a head or network learned from, each once; None where that is not known: it was made elsewhere, or they are gone."""
    digest = taught_digest(store, made)
    versions = store.datasets.with_digest(digest) if digest else []
    if not versions:
        return None
    taught = Dataset.from_lines(store.datasets.examples(versions[-1]))
    return [*{example.image: example for example in taught if example.split != "test"}.values()]


def _of_other_texts(fresh: list[Example], lessons: list[Example]) -> Dataset:
    """Those with a text that no lesson has: most lines of text look nearly the same, whatever they say."""
    texts = {example.labels for example in lessons}
    return Dataset.of(example for example in fresh if example.labels not in texts)


def _not_alike(store: Store, fresh: list[Example], lessons: list[Example], progress: Progress) -> Dataset:
    """Those that are not nearly the same picture as one of the lessons."""
    if not fresh or not lessons:
        return Dataset.of(fresh)
    both = Dataset((*lessons, *fresh))
    is_fresh = np.arange(len(both)) >= len(lessons)
    thumbs = thumbs_of([example.image for example in both], store.blobs, cache_of(store), progress)
    pairs = copies(thumbs, Closeups(both, store.blobs), fresh=is_fresh).pairs
    taught = set(pairs[~is_fresh[pairs].all(axis=1)].max(axis=1).tolist())
    return Dataset.of(example for at, example in enumerate(fresh, start=len(lessons)) if at not in taught)


@dataclass(frozen=True)
class _Context:
    """What is known of photos beside what is said of them."""

    source: str
    unread: tuple[Failure, ...] = ()
    learned: int = 0

    def of(self, said: Said) -> Said:
        return replace(said, source=self.source, failures=(*self.unread, *said.failures), learned=self.learned)


def _context(store: Store, recognizer: Recognizer, found: reading.Reading, dataset: Dataset) -> _Context:
    unread = [Failure(name, each.kind, each.detail) for each in found.findings if each.kind in UNREAD for name in each.where]
    source = TEST if _lessons(store, recognizer.digest) is not None else UNKNOWN
    return _Context(source, tuple(unread), len(found.dataset) - len(dataset))


def measured(
    store: Store, recognizer: Recognizer, dataset: Dataset, asked: Dataset, progress: Progress, context: _Context = _Context(TEST)
) -> AnyReport:
    """The report of a recognizer on what is asked of a dataset: of a classifier about its labels, of a detector about its boxes, of a
    reader about its texts.
    """
    tell: Callable[[float], None] = lambda share: progress("measuring", share)  # noqa: E731
    if recognizer.manifest.task == "detect":
        seen = context.of(sightings_of(store, recognizer, asked, progress))
        return BoxReport.of(recognizer, dataset, measure_boxes(seen), _cost(store, recognizer, seen.examples))
    if recognizer.manifest.task in READING:
        said = context.of(transcribe(recognizer, asked, store.blobs, threads=cpu_count(), progress=tell))
        return TextReport.of(recognizer, dataset, measure_texts(said), _cost(store, recognizer, said.examples))
    return report_of(recognizer, dataset, context.of(predictions_of(store, recognizer, asked, progress)), store)


def _cost(store: Store, recognizer: Recognizer, examples: Sequence[Example]) -> Cost:
    return cost(recognizer, [store.blobs.get(example.image) for example in examples[:COST_PHOTOS]])


def keep(store: Store, report: AnyReport, recognizer: Recognizer, dataset: Dataset) -> None:
    """Keep a report, and its page beside it."""
    shown = page(report, thumbnails_of(report.measures, recognizer, store.blobs))
    store.records.add_report(recognizer.digest, dataset.digest, shown.encode())
    store.records.add_report(recognizer.digest, dataset.digest, report.to_json())


def page_of(store: Store, report: AnyReport) -> str:
    """The report as a page to look at."""
    return page(report, thumbnails_of(report.measures, Library(store).open(report.subject.digest), store.blobs))


def predictions_of(store: Store, recognizer: Recognizer, dataset: Dataset, progress: Progress) -> Predictions:
    tell: Callable[[float], None] = lambda share: progress("measuring", share)  # noqa: E731
    return predict(recognizer, dataset, store.blobs, threads=cpu_count(), progress=tell)


def sightings_of(store: Store, recognizer: Recognizer, dataset: Dataset, progress: Progress) -> Sightings:
    return sight(recognizer, dataset, store.blobs, threads=cpu_count(), progress=lambda share: progress("measuring", share))


def report_of(recognizer: Recognizer, dataset: Dataset, predictions: Predictions, store: Store, growth: Growth | None = None) -> Report:
    doubt = recognizer.head.doubt if recognizer.head and recognizer.covers else None
    sets = {share: prediction_sets(predictions.scores, doubt.conformal, share) for share in COVERAGES} if doubt else None
    if predictions.source not in (TEST, UNKNOWN):  # the sets were made from these scores: that they hold the truth there says nothing
        sets = None
    some = [example.image for example in predictions.examples[:: max(1, len(predictions) // LOOKED_AT)]]
    lost = usual_loss(recognizer.manifest.pixels, some, store.blobs.get)
    curve = learning_curve(growth.sizes, growth.right, growth.groups) if growth else None
    measures = measure(predictions, sets=sets, lost=lost)
    return replace(Report.of(recognizer, dataset, measures, _cost(store, recognizer, predictions.examples)), learning=curve)
