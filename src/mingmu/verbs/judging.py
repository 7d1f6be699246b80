"""Which answers are right when a network runs in another way: asked of a recognizer, or of heads that are taught for the purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from mingmu.compress.gate import Answers, Bools
from mingmu.compress.variants import CALIBRATION_PART
from mingmu.core.errors import BadModel, Conflict
from mingmu.core.head import Scores
from mingmu.core.network import Network
from mingmu.core.pixels import PixelSpec
from mingmu.core.recognizer import Recognizer
from mingmu.core.runtime import MAP, Outputs
from mingmu.data import reading
from mingmu.data.dataset import Dataset
from mingmu.evaluate.predictions import Predictions
from mingmu.registry.store import Store, Version
from mingmu.teach.cache import FeatureCache
from mingmu.teach.choose import USUAL
from mingmu.teach.features import Extractor
from mingmu.teach.heads import Kind
from mingmu.teach.teach import Options, learnable
from mingmu.teach.teach import teach as learn
from mingmu.verbs.measuring import new_to, unseen
from mingmu.verbs.parting import grouped, groups_of
from mingmu.verbs.recognizing import Progress

ENOUGH = 200  # photos that the recognizer itself can be asked about; with fewer, heads that are taught anew say more
CALIBRATION = 128  # photos that INT8 is calibrated with, and not judged on


@dataclass(frozen=True)
class Photos:
    """Labelled photos: those that answers are judged on, and others that INT8 is calibrated with."""

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
    once = new_to(store, _once(grouped(labelled, groups_of(labelled, store, progress))), recognizer.network.backbone, progress=progress)
    fresh = _unseen(store, once, recognizer)
    asked = len(fresh) >= min(ENOUGH, len(once)) or recognizer.artifact.manifest.kind == "model"
    left = fresh if asked else once
    if not len(left):
        raise Conflict(f"the photos have other labels than {recognizer.manifest.name}, and it has no features to teach those on")
    spare = without(once, left)
    aside = sample(spare if len(spare) >= CALIBRATION else left, min(CALIBRATION, len(left) // CALIBRATION_PART))
    judged = sample(without(left, aside), most)
    how = "the recognizer itself, which did not learn from them" if asked else "heads taught on each variant, by cross-validation"
    words = f"{len(judged)} photos of {source.name}, {len(judged.labels)} labels; {how}; {calibrated_with(aside)}"
    return Photos(judged, aside, asked, words)


@dataclass(frozen=True)
class Judge:
    """Says what comes out on the photos, with any network in the place of the one that was sealed.

    The recognizer and the others come with the network that they were taught on: there they give the answers that are to stay.
    """

    store: Store
    sealed: Network
    recognizer: Recognizer
    others: Mapping[Version, Recognizer]  # the other heads on the network
    photos: Photos
    folder: Path  # for features: most of them are wanted more than once
    _seen: dict[tuple[str, PixelSpec], Outputs] = field(default_factory=dict, repr=False, compare=False)  # with the network at hand

    def __call__(self, network: Network, progress: Callable[[float], None]) -> Answers:
        """What comes out with this network; the photos are the same, in the same order, for every network.

        Raises BadModel where it gives something that is no number for a photo of which the sealed network gives numbers.
        """
        self._seen.clear()
        right = self._right(network, progress)
        own = self._own(self.recognizer, network) if self.recognizer.manifest.labels else None
        return Answers(right, own, {version: self._own(each, network) for version, each in self.others.items()})

    @cached_property
    def _judged(self) -> Dataset:
        """The photos that can be read, and of which the sealed network gives numbers."""
        examples = self.photos.judged.examples
        numbers = np.ones(len(examples), np.bool_)
        asked = (self.sealed.artifact.manifest, self.recognizer.manifest, *(each.manifest for each in self.others.values()))
        for pixels in {manifest.pixels for manifest in asked}:
            numbers &= _finite(self._extract(self.sealed)(pixels, [example.image for example in examples]).values)
        if not numbers.any():
            raise Conflict("none of the photos can be read")
        return Dataset.of(example for example, is_number in zip(examples, numbers, strict=True) if is_number)

    def _right(self, network: Network, progress: Callable[[float], None]) -> Bools:
        judged = self._judged
        if self.photos.asked:
            scores = self._scores(self.recognizer, network, progress)
            several = self.recognizer.manifest.multi_label or judged.multi_label
            return Predictions.of(self.recognizer.manifest.labels, judged.examples, scores, multi_label=several).right
        self._values(network, network.artifact.manifest.pixels, progress)
        return _taught(self._extract(network), judged, progress).right

    def _own(self, recognizer: Recognizer, network: Network) -> Scores:
        """What a recognizer itself says, whether or not it knows the photos' labels: where it was taught, or on a variant."""
        return self._scores(recognizer, recognizer.network if network is self.sealed else network)

    def _scores(self, recognizer: Recognizer, network: Network, progress: Callable[[float], None] | None = None) -> Scores:
        return recognizer.scores_from(self._values(network, recognizer.manifest.pixels, progress))

    def _values(self, network: Network, pixels: PixelSpec, progress: Callable[[float], None] | None = None) -> Outputs:
        """The pooled outputs of all photos, [N, F] each."""
        key = network.artifact.digest, pixels
        if key not in self._seen:  # heads that see alike share them
            values = self._extract(network)(pixels, [example.image for example in self._judged], progress).values
            finite = _finite(values)
            if not finite.all():
                raise BadModel(f"what comes out for {(~finite).sum()} of {finite.size} photos is no number")
            self._seen[key] = values
        return self._seen[key]

    def _extract(self, network: Network) -> Extractor:
        outputs = tuple(name for name in network.runtime.outputs if name != MAP)
        return Extractor(network, self.store.blobs, outputs, FeatureCache(self.folder))


def _finite(values: Outputs) -> Bools:
    """Of which photos every output is a number, bool [N]."""
    return np.asarray(np.isfinite(np.concatenate([*values.values()], axis=1)).all(axis=1))


def _taught(extract: Extractor, dataset: Dataset, progress: Callable[[float], None]) -> Predictions:
    """What heads say that are taught on a network's features, each on photos that it did not learn from."""
    kind = Kind(*USUAL) if dataset.multi_label else Kind(USUAL[0])
    options = Options(effort="quick", view=extract.network.artifact.manifest.pixels, head=(extract.outputs, kind))
    taught = learn(dataset, extract, options=options, progress=lambda _step, share: progress(share))
    if taught.held_out is None:
        raise Conflict("the photos are too few to teach on some and ask about the others; give at least 2 of each label")
    return Predictions.of(taught.labels, learnable(dataset), taught.held_out, multi_label=taught.multi_label)


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


def calibrated_with(aside: Dataset) -> str:
    """What INT8 is calibrated with, in words."""
    return f"INT8 is calibrated with {len(aside)} others" if len(aside) else "too few to calibrate INT8 with others"


def without(dataset: Dataset, others: Dataset) -> Dataset:
    taken = {example.image for example in others}
    return Dataset.of(example for example in dataset if example.image not in taken)


def sample(dataset: Dataset, most: int) -> Dataset:
    """Any sample, and the same one each time."""
    return Dataset.of(sorted(dataset, key=lambda example: example.image)[:most])
