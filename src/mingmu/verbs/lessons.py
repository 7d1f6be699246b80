"""What is taught: photos that were read, with those that were taught before, and which version of a dataset they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mingmu.core.errors import BadRequest
from mingmu.data import reading
from mingmu.data.dataset import Dataset
from mingmu.data.duplicates import exact_findings
from mingmu.data.finding import SEVERITIES, Finding
from mingmu.registry.datasets import DatasetVersion
from mingmu.registry.store import Store
from mingmu.registry.teachable import taught_digest
from mingmu.teach.teach import learnable


@dataclass(frozen=True)
class Lesson:
    """Labelled photos to teach, and where they are kept."""

    dataset: Dataset
    home: str  # the name of the dataset that they are, or become, a version of
    made_from: DatasetVersion | None = None
    as_it_is: bool = False  # they are what they were made from, nothing else
    read: tuple[reading.Reading, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        found = (finding for each in self.read for finding in each.findings)
        return tuple(dict.fromkeys((*found, *exact_findings(self.dataset))))


def combined(store: Store, parent: DatasetVersion | None, fresh: Dataset, test: Dataset | None) -> Dataset:
    """What is new, with what was there before, and with a test part of its own."""
    dataset = merged(examples_of(store, parent), fresh) if parent else fresh
    if test is None:
        return dataset
    return Dataset.of([*(replace(each, split=each.split or "train") for each in dataset), *(replace(each, split="test") for each in test)])


def examples_of(store: Store, version: DatasetVersion) -> Dataset:
    return Dataset.from_lines(store.datasets.examples(version))


def last_lesson(store: Store, name: str) -> Dataset | None:
    """What the newest version of a recognizer was taught, without what was added since; None if that is no longer here."""
    digest = taught_digest(store, store.resolve(name).digest)
    versions = store.datasets.with_digest(digest) if digest else []
    return examples_of(store, versions[-1]) if versions else None


def merged(before: Dataset, fresh: Dataset) -> Dataset:
    """What was there and what is new. A photo that comes again, wherever it lies now, takes its new labels, and stays in its part."""
    part = {example.image: example.split for example in before}
    new = [replace(each, split=part.get(each.image, each.split)) for each in fresh if each.labels or each.image not in part]
    again = {example.image for example in new}
    return Dataset.of([*(example for example in before if example.image not in again), *new])


def check_learnable(lesson: Lesson) -> None:
    """Raise BadRequest where nothing can be learned, with what was found wrong while reading."""
    try:
        learnable(lesson.dataset)
    except BadRequest as error:
        raise BadRequest("; ".join((str(error), *(said_of(found) for found in lesson.read)))) from error


def said_of(found: reading.Reading) -> str:
    """What was read, and the first thing that was wrong."""
    if not found.findings:
        return found.summary
    first = min(found.findings, key=lambda finding: SEVERITIES.index(finding.severity))
    return f"{found.summary}; the first: {', '.join(first.where[:1])}: {first.detail}"


def kept(store: Store, lesson: Lesson, dataset: Dataset) -> DatasetVersion:
    """The version of its dataset that was taught; a new one, made from what was asked for, where that had no test part yet."""
    known = [version for version in store.datasets.with_digest(dataset.digest) if version.name == lesson.home]
    if lesson.as_it_is and known:
        return known[-1]
    before = store.datasets.resolve(lesson.home) if lesson.as_it_is else None
    made_from = lesson.made_from.digest if lesson.made_from else None
    new = store.datasets.add(lesson.home, dataset.digest, dataset.to_lines(), made_from)
    if before and before.digest != made_from:  # an old version was asked for: the bare name goes on to mean what it meant
        store.datasets.add(before.name, before.digest, store.datasets.examples(before), before.digest)
    return new
