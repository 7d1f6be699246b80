"""Which photos teach and which measure: what is alike stays together, and both sides have some of each label."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mingmu.core.cpus import cpu_count
from mingmu.core.errors import MingmuError
from mingmu.data import duplicates, splits
from mingmu.data.audit import label_counts
from mingmu.data.closeups import Closeups
from mingmu.data.copies import copies
from mingmu.data.dataset import Blobs, Dataset
from mingmu.data.finding import Finding
from mingmu.data.phash import SIDE, Thumbs, thumb_of
from mingmu.registry.store import Store
from mingmu.teach.cache import Copy, FeatureCache
from mingmu.verbs.recognizing import Progress

TEST_SHARE = 0.2
ENOUGH_TO_TEST = 300  # photos; of fewer, all teach, and cross-validation measures
FIRST_TEACH = 2  # groups of a label, before one that is added may measure
THUMBNAIL, LUMA = f"thumbnail {SIDE}x{SIDE}", "luma"  # in the place of a network's view, and of its output
KEPT_AT_ONCE = 256  # thumbnails, per write to the cache


def cache_of(store: Store) -> FeatureCache:
    """What is remembered of the images of a store."""
    return FeatureCache(store.data_dir / "features")


def groups_of(dataset: Dataset, store: Store, progress: Progress, before: Dataset | None = None) -> NDArray[np.int64]:
    """A group number for each example: the same picture, nearly the same, or one group for the user.

    What was compared with each other already, just these images or those of `before`, is not compared again.
    """
    cache, images = cache_of(store), [example.image for example in dataset]
    compared, pairs = _compared(cache, images, [example.image for example in before or ()])
    fresh = np.array([image not in compared for image in images], bool)
    if fresh.any():
        thumbs = thumbs_of(images, store.blobs, cache, progress)
        found = copies(thumbs, Closeups(dataset, store.blobs), fresh=fresh).pairs
        pairs = sorted({*pairs, *((images[one], images[other]) for one, other in found)})
        cache.put_copies(images, pairs, instead_of=compared)
    place = {image: at for at, image in enumerate(images)}
    alike = np.array([(place[one], place[other]) for one, other in pairs], np.int64).reshape(-1, 2)
    return duplicates.groups_of(dataset, alike)


def _compared(cache: FeatureCache, images: Sequence[str], before: Sequence[str]) -> tuple[set[str], list[Copy]]:
    """Which of the images have been compared with each other, and the copies among these."""
    for some in (images, before):
        pairs = cache.copies(some) if set(images).issuperset(some) else None
        if pairs is not None:
            return set(some), pairs
    return set(), []


def thumbs_of(images: Sequence[str], blobs: Blobs, cache: FeatureCache, progress: Progress) -> Thumbs:
    """Thumbnails [N, 32, 32], black where an image cannot be decoded; computed, or remembered."""
    known = cache.get(THUMBNAIL, LUMA, images)
    missing = [image for image in dict.fromkeys(images) if image not in known]

    def look(image: str) -> NDArray[np.float32] | None:
        try:
            return thumb_of(blobs.get(image)).ravel().astype(np.float32)
        except MingmuError:
            return None

    with ThreadPoolExecutor(cpu_count()) as pool:
        for start in range(0, len(missing), KEPT_AT_ONCE):
            some = missing[start : start + KEPT_AT_ONCE]
            seen = {image: thumb for image, thumb in zip(some, pool.map(look, some), strict=True) if thumb is not None}
            cache.put(THUMBNAIL, {image: {LUMA: thumb} for image, thumb in seen.items()})
            known |= seen
            progress("looking", (start + len(some)) / len(missing))
    black = np.zeros(SIDE * SIDE, np.float32)
    return np.array([known.get(image, black) for image in images], np.uint8).reshape(-1, SIDE, SIDE)


def grouped(dataset: Dataset, groups: NDArray[np.int64]) -> Dataset:
    """The dataset as cross-validation needs it: what is nearly the same is one group."""
    return Dataset.of(replace(example, group=str(group)) for example, group in zip(dataset, groups, strict=True))


def without_leaks(dataset: Dataset) -> Dataset:
    """What may be learned: nothing that is the same, or nearly the same, as a photo of the test part."""
    tested = {example.group for example in dataset if example.split == "test"}
    return Dataset.of(example for example in dataset if example.split == "test" or example.group not in tested)


def parted(dataset: Dataset, groups: NDArray[np.int64], seed: int) -> tuple[Dataset, tuple[Finding, ...]]:
    """The dataset with a test part, where it has enough photos for one; what is nearly the same stays on one side.

    Findings are leaks of a given test part, and labels that only it has: of these nothing can be learned.
    """
    given = any(example.split in ("test", "val") for example in dataset)
    if not given and len(dataset) < ENOUGH_TO_TEST:
        return dataset, ()
    parts = splits.split(dataset, groups, test=TEST_SHARE, seed=seed)
    tested = {*parts.test.tolist(), *_tested_of_new(dataset, groups)}
    tested -= _needed_to_learn(dataset, groups, tested)
    found = Dataset.of(replace(example, split="test" if at in tested else "train") for at, example in enumerate(dataset))
    return found, (*parts.findings, *(finding for finding in label_counts(found) if finding.kind == "test-only"))


def of_each_label(dataset: Dataset, groups: NDArray[np.int64], parts: splits.Parts) -> Iterator[int]:
    """The calibration part; where chance drew it, with some more photos, so that every label has a say that leaves enough to learn from."""
    yield from parts.calibration.tolist()
    if {"val", "test"} <= {example.split for example in dataset}:
        return
    there = {label for at in parts.calibration for label in dataset.examples[at].labels}
    members: dict[int, list[int]] = defaultdict(list)
    for at in parts.train.tolist():
        members[int(groups[at])].append(at)
    taken: set[int] = set()
    for label in sorted({*dataset.labels} - there):
        mine = [group for group, same in members.items() if any(label in dataset.examples[at].labels for at in same)]
        if len(mine) > FIRST_TEACH and taken.isdisjoint(mine):
            smallest = min(mine, key=lambda group: len(members[group]))
            taken.add(smallest)
            yield from members[smallest]


def _needed_to_learn(dataset: Dataset, groups: NDArray[np.int64], tested: set[int]) -> set[int]:
    """What chance put into the test part of labels that would then be there only."""
    taught = {label for at, example in enumerate(dataset) if at not in tested for label in example.labels}
    given = {int(groups[at]) for at in tested if dataset.examples[at].split}
    wanted = {int(groups[at]) for at in tested if not taught.issuperset(dataset.examples[at].labels)} - given
    return {at for at in tested if int(groups[at]) in wanted}


def _tested_of_new(dataset: Dataset, groups: NDArray[np.int64]) -> Iterator[int]:
    """Where a dataset is parted already and photos came later: which of these join the test part, so that new labels are measured.

    Their content draws the lot, so that as many do if they come one by one as if they come together: of each label a fifth, evenly
    spaced in the order of their SHA-256 from a start that the first one's names.
    """
    if not {"train", "test", None} <= {example.split for example in dataset}:
        return
    members: dict[int, list[int]] = defaultdict(list)
    for at, group in enumerate(groups):
        members[int(group)].append(at)
    free = [same for same in members.values() if not any(dataset.examples[at].split for at in same)]
    taught = Counter(label for example in dataset if example.split == "train" for label in example.labels)
    for label, drawn in _by_label(dataset, free).items():
        start = int(drawn[0][0][-8:], 16) / 16**8
        for number, (_, same) in enumerate(drawn):
            due = int(start + TEST_SHARE * (number + 1)) > int(start + TEST_SHARE * number)
            if due and taught[label] + number >= FIRST_TEACH:
                yield from same


def _by_label(dataset: Dataset, groups: Sequence[list[int]]) -> dict[str, list[tuple[str, list[int]]]]:
    """Groups of examples by their rarest label, each with the least SHA-256 in it, in this order."""
    counts = dataset.counts()
    found: dict[str, list[tuple[str, list[int]]]] = defaultdict(list)
    for same in groups:
        labels = {label for at in same for label in dataset.examples[at].labels}
        if labels:
            found[min(labels, key=lambda label: (counts[label], label))].append((min(dataset.examples[at].image for at in same), same))
    return {label: sorted(drawn) for label, drawn in found.items()}
