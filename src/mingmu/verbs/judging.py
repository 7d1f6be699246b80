"""Which answers are right when a network runs in another way: asked of a recognizer, or of heads that are taught for the purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mingmu.compress.gate import Answers
from mingmu.core.errors import Conflict
from mingmu.core.head import Scores
from mingmu.core.network import Network
from mingmu.core.recognizer import Recognizer
from mingmu.core.runtime import MAP
from mingmu.data import reading
from mingmu.data.dataset import Dataset
from mingmu.evaluate.predictions import Predictions
from mingmu.registry.store import Store
from mingmu.teach.cache import FeatureCache
from mingmu.teach.choose import USUAL
from mingmu.teach.features import Extractor
from mingmu.teach.heads import Kind
from mingmu.teach.teach import Options, learnable
from mingmu.teach.teach import teach as learn
from mingmu.verbs.measuring import predictions_of, unseen
from mingmu.verbs.parting import grouped, groups_of
from mingmu.verbs.recognizing import Progress

ENOUGH = 200  # photos that the recognizer itself can be asked about; with fewer, heads that are taught anew say more
CALIBRATION = 128  # photos


@dataclass(frozen=True)
class Photos:
    """Labelled photos: those that answers are judged on, and those that INT8 is calibrated with."""

    judged: Dataset
    calibration: Dataset
    asked: bool  # whether the recognizer itself is asked about them; otherwise heads are taught
    words: str


def photos_of(store: Store, recognizer: Recognizer, source: Path, most: int, progress: Progress) -> Photos:
    """Read labelled photos and take at most so many to judge with, each of what is nearly the same once.

    Raises BadRequest, NotFound; Conflict where the photos cannot say whether this recognizer is right.
    """
    found = reading.read(source, store.blobs, progress).dataset
    labelled = Dataset.of(example for example in found if example.labels)
    once = _once(grouped(labelled, groups_of(labelled, store, progress)))
    fresh = _unseen(store, once, recognizer)
    asked = len(fresh) >= ENOUGH or recognizer.artifact.manifest.kind == "model"
    if not len(fresh if asked else once):
        raise Conflict(f"the photos have other labels than {recognizer.manifest.name}, and it has no features to teach those on")
    judged = _some(fresh if asked else once, most)
    taken = {example.image for example in judged}
    rest = Dataset.of(example for example in once if example.image not in taken)
    calibration = _some(rest if len(rest) >= CALIBRATION else judged, CALIBRATION)
    how = "the recognizer itself, which did not learn from them" if asked else "heads taught on each variant, by cross-validation"
    words = f"{len(judged)} photos of {source.name}, {len(judged.labels)} labels; {how}"
    return Photos(judged, calibration, asked, words)


@dataclass(frozen=True)
class Judge:
    """Says what comes out on the photos, with any network in the place of the recognizer's own."""

    store: Store
    recognizer: Recognizer
    photos: Photos
    folder: Path  # for features: most of them are wanted once

    def __call__(self, network: Network, progress: Callable[[float], None]) -> Answers:
        """What comes out with this network; the photos are the same, in the same order, for every network."""
        if self.photos.asked:
            asked = replace(self.recognizer, network=network)
            return Answers(predictions_of(self.store, asked, self.photos.judged, lambda _step, share: progress(share)).right)
        outputs = tuple(name for name in network.runtime.outputs if name != MAP)
        extract = Extractor(network, self.store.blobs, outputs, FeatureCache(self.folder))
        right = _taught(extract, self.photos.judged, progress).right
        return Answers(right, self._own(extract))

    def _own(self, extract: Extractor) -> Scores | None:
        """What the recognizer itself says about these photos, of which it knows no label."""
        if self.recognizer.head is None:
            return None
        values = extract(self.recognizer.manifest.pixels, [example.image for example in self.photos.judged]).values
        scores = self.recognizer.scores_from(values)
        return scores[np.isfinite(scores).all(axis=1)]


def _taught(extract: Extractor, dataset: Dataset, progress: Callable[[float], None]) -> Predictions:
    """What heads say that are taught on a network's features, each on photos that it did not learn from."""
    kind = Kind(*USUAL) if dataset.multi_label else Kind(USUAL[0])
    options = Options(effort="quick", view=extract.network.artifact.manifest.pixels, head=(extract.outputs, kind))
    taught = learn(dataset, extract, options=options, progress=lambda _step, share: progress(share))
    if taught.held_out is None:
        raise Conflict("the photos are too few to teach on some and ask about the others; give at least 2 of each label")
    examples = [example for example in learnable(dataset) if example.image not in taught.refused]
    return Predictions.of(taught.labels, examples, taught.held_out, multi_label=taught.multi_label)


def _once(dataset: Dataset) -> Dataset:
    """The first of each group."""
    return Dataset.of({example.group: replace(example, split=None) for example in reversed(dataset.examples)}.values())


def _unseen(store: Store, dataset: Dataset, recognizer: Recognizer) -> Dataset:
    """The photos that the recognizer can be asked about: it knows their labels, and did not learn from them."""
    known = set(recognizer.manifest.labels)
    told = Dataset.of(example for example in dataset if known.issuperset(example.labels))
    try:
        return unseen(store, told, recognizer)
    except Conflict:  # it learned from them all
        return Dataset(())


def _some(dataset: Dataset, most: int) -> Dataset:
    """Any sample, and the same one each time."""
    return Dataset.of(sorted(dataset, key=lambda example: example.image)[:most])
