"""What a detector finds when its network runs in another way: asked on photos with boxes, or on any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mingmu.compress.finds import Finds
from mingmu.compress.variants import CALIBRATION_PART
from mingmu.core.cpus import cpu_count
from mingmu.core.errors import Conflict
from mingmu.core.manifest import DetectSpec
from mingmu.core.network import Network
from mingmu.core.recognizer import Recognizer
from mingmu.data import reading
from mingmu.data.dataset import Dataset
from mingmu.evaluate.predictions import groups_of as groups_among
from mingmu.evaluate.sightings import found_on, truth_of
from mingmu.registry.store import Store
from mingmu.verbs.judging import CALIBRATION, Photos, calibrated_with, sample, without
from mingmu.verbs.measuring import unseen
from mingmu.verbs.parting import groups_of
from mingmu.verbs.recognizing import Progress


def boxed_photos_of(store: Store, recognizer: Recognizer, source: Path, most: int, progress: Progress) -> Photos:
    """Read photos and take at most so many to judge a detector with, each of what is nearly the same once.

    They are those with boxes of labels that it knows, and those that are said to show nothing; if none has such a box, all of them.
    What it learned from is not judged on, but INT8 is calibrated with it. Raises BadRequest, NotFound; Conflict if it learned from all.
    """
    labels = {*recognizer.manifest.labels}
    found = reading.read(source, store.blobs, progress).dataset
    boxed = not labels.isdisjoint(found.boxed_labels)
    told = Dataset.of(each for each in found.with_boxes() if not each.regions or any(box.label in labels for box in each.regions))
    once = _once(store, told if boxed else found, progress)
    left = unseen(store, once, recognizer, progress=progress)
    spare = without(once, left)
    aside = sample(spare, CALIBRATION) if len(spare) >= CALIBRATION else sample(left, min(CALIBRATION, len(left) // CALIBRATION_PART))
    judged = sample(without(left, aside), most)
    truth = "their boxes" if boxed else "none has a box of its labels, so what it is sure of as it was sealed counts as there"
    words = f"{len(judged)} photos of {source.name}, {truth}; {calibrated_with(aside)}"
    return Photos(judged, aside, True, words)


@dataclass(frozen=True)
class Spotter:
    """Says what a detector finds on the photos, with any network in the place of the one that was sealed."""

    store: Store
    recognizer: Recognizer
    photos: Photos

    def __call__(self, network: Network, progress: Callable[[float], None]) -> Finds:
        """What is found with this network; the photos are the same, in the same order, for every network.

        Raises Conflict if none can be read.
        """
        examples, manifest = self.photos.judged.examples, self.recognizer.manifest
        asked = replace(self.recognizer, network=network)
        looks, failures = found_on(asked, examples, self.store.blobs, threads=cpu_count(), progress=progress)
        if not looks:
            raise Conflict(f"none of {len(failures)} photos can be read; the first: {failures[0].name}: {failures[0].reason}")
        read = [examples[at] for at in looks]
        there = tuple(truth_of(manifest.labels, each) for each in read)
        return Finds(
            said=tuple(found for found, _ in looks.values()),
            there=there if any(len(truth.classes) for truth in there) else None,
            groups=groups_among(read),
            classes=len(manifest.labels),
            threshold=(manifest.detect or DetectSpec()).threshold,
        )


def _once(store: Store, dataset: Dataset, progress: Progress) -> Dataset:
    """The first of what is nearly the same picture; frames of one video that differ remain, and are drawn together."""
    apart = Dataset.of(replace(example, group=None) for example in dataset)
    groups = dict(zip((example.image for example in apart), groups_of(apart, store, progress).tolist(), strict=True))
    first = {groups[example.image]: replace(example, split=None) for example in reversed(dataset.examples)}
    return Dataset.of(first.values())
