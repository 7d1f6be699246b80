"""Finding what is wrong with labelled photos, and what cleaning buys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mingmu.core.errors import BadRequest
from mingmu.data import audit as auditing
from mingmu.data import reading
from mingmu.data.dataset import Dataset
from mingmu.data.exports import to_folder
from mingmu.data.finding import Finding
from mingmu.registry.store import Store
from mingmu.teach.features import Extractor
from mingmu.teach.teach import Options
from mingmu.teach.teach import teach as learn
from mingmu.verbs.recognizing import Progress, silent
from mingmu.verbs.teaching import extractor_of, grouped, groups_of, network_of


@dataclass(frozen=True, eq=False)
class Audited:
    """A dataset and what is wrong with it."""

    dataset: Dataset
    findings: tuple[Finding, ...]
    held_out: NDArray[np.float32] | None  # [N, C]: what heads say about photos that they did not learn from; None: too few to tell


@dataclass(frozen=True)
class Cleaned:
    """A dataset without what was in its way, and the accuracy on its photos of heads taught with and without that."""

    dataset: Dataset
    before: float | None  # None where there are too few photos to tell
    after: float | None

    @property
    def verdict(self) -> str:
        """What cleaning buys, in a sentence."""
        kept = f"{len(self.dataset)} photos kept"
        if self.before is None or self.after is None:
            return f"{kept}; too few to say what that buys"
        return f"{kept}; accuracy on them {100 * self.before:.1f} % before, {100 * self.after:.1f} % after (cross-validation)"


def audit(store: Store, source: Path, *, backbone: str = "general", progress: Progress = silent) -> Audited:
    """Find what is wrong with labelled photos: duplicates, leaks, probable label errors, outliers and the like."""
    found = reading.read(source, store.blobs, progress)
    network = network_of(store, backbone, progress)
    extract = extractor_of(store, network)
    images = [example.image for example in found.dataset]
    features = extract(network.artifact.manifest.pixels, images, lambda share: progress("looking at the photos", share)).values
    probabilities = _out_of_fold(found.dataset, extract, progress)
    findings = auditing.audit(found.dataset, store.blobs, features["features"], probabilities, progress)
    return Audited(found.dataset, tuple(dict.fromkeys((*found.findings, *findings))), probabilities)


def clean(store: Store, audited: Audited, folder: Path, *, backbone: str = "general", progress: Progress = silent) -> Cleaned:
    """Write the dataset without what is in its way into a new folder, and say what that buys: accuracy before and after.

    Both are measured alike, by cross-validation on the cleaned photos: heads that learned from all photos, and heads
    that learned from the cleaned ones, judge those that neither learned from.
    """
    dataset = auditing.fix(audited.dataset, audited.findings)
    to_folder(dataset, store.blobs, folder)
    extract = extractor_of(store, network_of(store, backbone, progress))
    after = _out_of_fold(dataset, extract, progress)
    kept = {example.name for example in dataset}
    rows = [i for i, example in enumerate(audited.dataset) if example.name in kept]
    return Cleaned(dataset, _accuracy(audited.dataset, audited.held_out, rows), _accuracy(dataset, after, range(len(dataset))))


def _accuracy(dataset: Dataset, scores: NDArray[np.float32] | None, rows: Sequence[int]) -> float | None:
    if scores is None or not rows:
        return None
    said = [dataset.labels[at] for at in scores[list(rows)].argmax(axis=1)]
    return float(np.mean([label in dataset.examples[row].labels for row, label in zip(rows, said, strict=True)]))


def _out_of_fold(dataset: Dataset, extract: Extractor, progress: Progress) -> NDArray[np.float32] | None:
    """What heads say about photos that they did not learn from, [N, C]; None where nothing can be held out."""
    everything = Dataset.of(replace(example, split=None, labels=example.labels[:1]) for example in dataset)
    everything = grouped(everything, groups_of(everything, extract.blobs, progress))
    try:
        taught = learn(everything, extract, options=Options(effort="quick"), progress=progress)
    except BadRequest:  # one class, or none: there is nothing to mix up
        return None
    if taught.held_out is None:
        return None
    row = {image: taught.held_out[i] for i, image in enumerate(taught.images)}
    column = [taught.labels.index(label) if label in taught.labels else None for label in dataset.labels]
    unknown = np.full(len(taught.labels), 1 / len(taught.labels), np.float32)
    scores = np.stack([row.get(example.image, unknown) for example in dataset])
    return np.stack([scores[:, at] if at is not None else np.zeros(len(scores), np.float32) for at in column], axis=1)
