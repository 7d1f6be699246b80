"""Finding what is wrong with labelled photos, and what cleaning buys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mingmu.core.cpus import cpu_count
from mingmu.core.errors import BadRequest, Conflict
from mingmu.data import audit as auditing
from mingmu.data.box_audit import doubted
from mingmu.data.dataset import Dataset
from mingmu.data.exports import check_empty, export
from mingmu.data.finding import Finding
from mingmu.evaluate.measure import THRESHOLD
from mingmu.evaluate.sightings import sight
from mingmu.registry.datasets import DatasetVersion
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.teach.features import Extractor
from mingmu.teach.teach import Options
from mingmu.teach.teach import teach as learn
from mingmu.verbs.measuring import new_to
from mingmu.verbs.parting import grouped
from mingmu.verbs.recognizing import Progress, ensure, silent
from mingmu.verbs.sources import found_in
from mingmu.verbs.teaching import extractor_of, network_of


@dataclass(frozen=True, eq=False)
class Audited:
    """A dataset and what is wrong with it."""

    dataset: Dataset
    findings: tuple[Finding, ...]
    groups: NDArray[np.int64]  # [N]: the same for copies of one picture, and for what the user calls one group
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


def audit(
    store: Store, source: Path | DatasetVersion, *, backbone: str = "general", detector: str | None = None, progress: Progress = silent
) -> Audited:
    """Find what is wrong with labelled photos: duplicates, leaks, probable label errors, outliers and the like.

    A `detector` says which boxes may be missing or of another label, where it was trained on photos like these.
    Raises NotFound, and BadRequest where there is nothing to look at.
    """
    found = found_in(store, source, progress)
    if not len(found.dataset) and not any(finding.severity == "error" for finding in found.findings):
        where = source.resolve().name if isinstance(source, Path) else source.name
        raise BadRequest(f"there is no picture in {where}; give a folder for each class, an archive of it, or a table")
    network = network_of(Library(store), backbone, progress)
    if len(new_to(store, found.dataset, network.backbone, progress=progress)) < len(found.dataset):
        raise Conflict(
            f"the network of {backbone} learned from some of these photos, and believes their labels; look with another (--backbone)"
        )
    extract = extractor_of(store, network)
    images = [example.image for example in found.dataset]
    features = extract(network.artifact.manifest.pixels, images, lambda share: progress("looking at the photos", share)).values
    examined = auditing.examine(found.dataset, store.blobs, features["features"], progress)
    held_out = _out_of_fold(found.dataset, examined.groups, extract, progress)
    findings = auditing.audit(found.dataset, examined, held_out)
    if detector:
        findings = auditing.ordered((*findings, *_doubted(store, detector, found.dataset, progress)))
    return Audited(found.dataset, tuple(dict.fromkeys((*found.findings, *findings))), examined.groups, held_out)


def _doubted(store: Store, detector: str, dataset: Dataset, progress: Progress) -> Iterator[Finding]:
    """Where a detector says otherwise than the boxes."""
    recognizer = Library(store).open(ensure(store, detector, progress).digest)
    if recognizer.manifest.task != "detect":
        raise BadRequest(f"{detector} is no detector; it cannot judge boxes")
    tell: Callable[[float], None] = lambda share: progress("looking for boxes", share)  # noqa: E731
    seen = sight(recognizer, dataset, store.blobs, threads=cpu_count(), progress=tell)
    return doubted(seen.examples, seen.said, seen.labels)


def clean(store: Store, audited: Audited, folder: Path, *, backbone: str = "general", progress: Progress = silent) -> Cleaned:
    """Write the dataset without what is in its way into a new folder, and say what that buys: accuracy before and after.

    Both are measured alike, by cross-validation on the cleaned photos: heads that learned from all photos, and heads
    that learned from the cleaned ones, judge those that neither learned from. The folder is there as a whole or not at all.
    Raises Conflict if it is not empty, and BadRequest if nothing would be left.
    """
    check_empty(folder)
    dataset = auditing.fix(audited.dataset, audited.findings)
    if not len(dataset):
        raise BadRequest("cleaning would leave no photo; look at the findings first")
    kept = {example.name for example in dataset}
    rows = np.array([i for i, example in enumerate(audited.dataset) if example.name in kept])
    extract = extractor_of(store, network_of(Library(store), backbone, progress))
    after = _out_of_fold(dataset, audited.groups[rows], extract, progress)
    before = None if audited.held_out is None else audited.held_out[rows]
    export(dataset, store.blobs, folder)
    return Cleaned(dataset, _accuracy(dataset, audited.dataset.labels, before), _accuracy(dataset, dataset.labels, after))


def _accuracy(dataset: Dataset, labels: Sequence[str], scores: NDArray[np.float32] | None) -> float | None:
    """The share of the labelled photos of which all is right that is said; columns of the scores [N, C] as `labels`."""
    rows = [row for row, example in enumerate(dataset) if example.labels]
    if scores is None or not rows:
        return None
    several = dataset.multi_label
    said = scores >= THRESHOLD if several else scores == scores.max(axis=1, keepdims=True)
    return float(np.mean([{labels[int(at)] for at in np.flatnonzero(said[row])} == set(dataset.examples[row].labels) for row in rows]))


def _out_of_fold(dataset: Dataset, groups: NDArray[np.int64], extract: Extractor, progress: Progress) -> NDArray[np.float32] | None:
    """What heads say about photos that they did not learn from, nor from copies of them, [N, C]; None where nothing can be held out.

    Of photos with boxes it is not asked: what they show as a whole is not what their labels say.
    """
    if dataset.boxed_labels:
        return None
    everything = grouped(Dataset.of(replace(example, split=None) for example in dataset), groups)
    try:
        taught = learn(everything, extract, options=Options(effort="quick"), progress=progress)
    except BadRequest:  # one class, or none: there is nothing to mix up
        return None
    if taught.held_out is None:
        return None
    known = {image: taught.held_out[i] for i, image in enumerate(taught.images)}
    columns = [dataset.labels.index(label) for label in taught.labels]
    scores = np.zeros((len(dataset), len(dataset.labels)), np.float32)
    for row, example in enumerate(dataset):
        scores[row, columns] = known.get(example.image, 1 / len(columns))
    return scores
