"""Looks a dataset over before anything is taught from it, and cleans it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mingmu.core.errors import BadRequest
from mingmu.data.box_audit import box_findings
from mingmu.data.closeups import Closeups
from mingmu.data.copies import Copies, copies
from mingmu.data.dataset import Blobs, Dataset
from mingmu.data.duplicates import exact_findings, groups_of, near_findings
from mingmu.data.finding import SEVERITIES, Finding
from mingmu.data.label_errors import JUDGED, label_errors
from mingmu.data.looks import Looks, deviation, look, look_findings
from mingmu.data.neighbours import Neighbours, neighbours
from mingmu.data.splits import leaks

Floats = NDArray[np.float32]

FEW = 10  # images of a label
MAX_IMBALANCE = 10.0  # the most frequent label to the rarest
NEIGHBOURS = 5
OUTLIER_DEVIATION = 12.0  # the distances have a long tail: on photos of hands, hands reach 12 and other things 14 to 40


@dataclass(frozen=True, eq=False)
class Examined:
    """What was seen of each image of a dataset, alone and beside the others."""

    looks: Looks
    near: Neighbours | None  # by embedding; None: there are no features
    copies: Copies
    groups: NDArray[np.int64]  # [N]: the same for copies of one picture, and for what the user calls one group


def examine(
    dataset: Dataset, blobs: Blobs, features: Floats | None = None, progress: Callable[[str, float], None] | None = None
) -> Examined:
    """Look at every image of a dataset, and find copies.

    `features` [N, F] are what a backbone makes of each example; rows may be no numbers. Outliers and larger cuts need them.
    """
    if features is not None and len(features) != len(dataset):
        raise BadRequest(f"there are features of {len(features)} images; the dataset has {len(dataset)}")
    looks = look(dataset, blobs, progress)
    near = neighbours(features) if features is not None else None
    found = copies(looks.thumbs, Closeups(dataset, blobs), near)
    found = found.where(np.asarray(looks.readable[found.pairs].all(axis=1), bool))
    return Examined(looks, near, found, groups_of(dataset, found.pairs))


def audit(dataset: Dataset, examined: Examined, probabilities: Floats | None = None) -> list[Finding]:
    """All findings about a dataset, the worst and surest first.

    `probabilities` [N, C], columns as `dataset.labels`, must come from classifiers not taught with the example, nor with a
    copy of it (out of fold): label errors need them.
    """
    looks, near = examined.looks, examined.near
    findings = [
        *look_findings(dataset, looks),
        *exact_findings(dataset),
        *near_findings(dataset, examined.copies, np.nan_to_num(looks.sizes).prod(axis=1).astype(np.int64)),
        *leaks(dataset, examined.groups),
        *(label_errors(dataset, probabilities, looks.readable) if probabilities is not None else ()),
        *(outliers(dataset, near, looks.readable) if near is not None else ()),
        *box_findings(dataset, looks.sizes),
        *label_counts(dataset),
    ]
    return ordered(findings)


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """The worst and surest first."""
    return sorted(
        findings, key=lambda finding: (SEVERITIES.index(finding.severity), finding.kind, -(finding.confidence or 1), finding.where)
    )


def outliers(dataset: Dataset, near: Neighbours, readable: NDArray[np.bool_]) -> Iterator[Finding]:
    """`outlier` for readable images whose nearest neighbours are unusually far, by cosine of the features."""
    places = np.flatnonzero(readable & (near.cosines[:, :NEIGHBOURS] > -1).all(axis=1))
    if len(places) <= 2 * NEIGHBOURS:
        return
    distance = 1 - near.cosines[places, :NEIGHBOURS].mean(axis=1)
    strangeness = deviation(distance, least=0.005)
    for at in np.flatnonzero(strangeness > OUTLIER_DEVIATION):
        confidence = round(float(1 - OUTLIER_DEVIATION / (2 * strangeness[at])), 3)
        detail = f"{distance[at] / np.median(distance):.1f} times as far from its neighbours as usual"
        yield Finding.of("outlier", dataset.examples[places[at]].name, detail=detail, confidence=confidence)


def label_counts(dataset: Dataset) -> Iterator[Finding]:
    """`test-only` and `too-few` for single labels, and `imbalance` for the whole."""
    counts = dataset.counts()
    tested = Counter(label for example in dataset if example.split == "test" for label in example.labels)
    for label, count in sorted(counts.items()):
        images = "1 image" if count == 1 else f"{count} images"
        if tested[label] == count:
            yield Finding.of("test-only", label, detail=f"{images}, in the test part only: there is nothing to learn it from")
        elif count < FEW:
            unjudged = "" if count >= JUDGED else f"; below {JUDGED}, wrong labels among them are not looked for"
            yield Finding.of("too-few", label, detail=f"{images}; with fewer than {FEW} its accuracy cannot be told{unjudged}")
    if counts and max(counts.values()) > MAX_IMBALANCE * min(counts.values()):
        (most, many), (least, few) = counts.most_common(1)[0], min(counts.items(), key=lambda item: (item[1], item[0]))
        yield Finding.of("imbalance", most, least, detail=f"{many} images of {most}, {few} of {least}")


def fix(dataset: Dataset, findings: Sequence[Finding], *, min_confidence: float = 0.8) -> Dataset:
    """The dataset without what findings say is in the way. Nothing is relabelled.

    Dropped are: unreadable images; duplicates and near duplicates but for the first; one file with different labels, on all
    sides; of a leak, what is in train (or val, where the test part has it too); and label errors at least `min_confidence` sure.
    Every other finding is for a person to judge, also that pictures which are only nearly the same have different labels.
    """
    split = {example.name: example.split for example in dataset}
    dropped: set[str] = set()
    for finding in findings:
        if finding.kind == "unreadable" or (finding.kind == "label-clash" and finding.confidence is None):
            dropped.update(finding.where)
        elif finding.kind in ("duplicate", "near-duplicate") and len({split.get(name) for name in finding.where}) == 1:
            dropped.update(finding.where[1:])  # one that straddles a split is a leak, too, and is cleaned as one
        elif finding.kind == "split-leak":
            honest = "test" if "test" in map(split.get, finding.where) else "val"
            dropped.update(name for name in finding.where if split.get(name) != honest)
        elif finding.kind == "label-error" and (finding.confidence or 0) >= min_confidence:
            dropped.update(finding.where)
    return Dataset.of(example for example in dataset if example.name not in dropped)
