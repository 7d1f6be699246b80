"""What a detector says about every example of a dataset, beside what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mingmu.core.answers import Wish
from mingmu.core.errors import Conflict
from mingmu.core.manifest import DetectSpec
from mingmu.core.pixels import Frame
from mingmu.core.recognizer import Recognizer
from mingmu.data.dataset import Blobs, Dataset, Example
from mingmu.evaluate.predictions import TEST, Failure, Progress, groups_of, seen_by
from mingmu.tasks.boxes import Found
from mingmu.tasks.detect import LEAST_SCORE, seen
from mingmu.tasks.matching import Truth


@dataclass(frozen=True, eq=False)
class Sightings:
    """Boxes that were said and boxes that are there, of the examples that could be measured, and a count of those that could not."""

    labels: tuple[str, ...]  # C
    examples: tuple[Example, ...]  # N, those that were measured
    said: tuple[Found, ...]  # [N], with any score that is ever given, the surest first
    there: tuple[Truth, ...]  # [N], of labels that the recognizer knows
    sizes: tuple[tuple[int, int], ...]  # [N], width and height of each upright photo
    spec: DetectSpec  # what counts of what is said, unless a request says otherwise
    source: str = TEST
    failures: tuple[Failure, ...] = ()
    unknown: tuple[tuple[str, int], ...] = ()  # labels that the recognizer does not know, with their boxes
    unboxed: int = 0  # examples with labels, and without boxes
    learned: int = 0  # examples that were not asked about, as it learned from them or from copies of them

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def groups(self) -> NDArray[np.int64]:
        return groups_of(self.examples)


Seen = tuple[Found, tuple[int, int]]


def sight(recognizer: Recognizer, dataset: Dataset, blobs: Blobs, *, threads: int = 1, progress: Progress | None = None) -> Sightings:
    """Show every example that says where things are to a detector, by the road that requests take.

    What cannot be read becomes a Failure; labels that the detector does not know are counted. Raises Conflict if nothing is left.
    """
    labels, spec = recognizer.manifest.labels, recognizer.manifest.detect or DetectSpec()
    examples = dataset.with_boxes().examples
    looks, failures = found_on(recognizer, examples, blobs, threads=threads, progress=progress)
    boxes = Counter(region.label for example in examples for region in example.regions)
    if not any(region.label in labels for at in looks for region in examples[at].regions):
        raise Conflict(_nothing_left(recognizer, dataset, boxes, failures))
    return Sightings(
        labels=labels,
        examples=tuple(examples[at] for at in looks),
        said=tuple(found for found, _ in looks.values()),
        there=tuple(truth_of(labels, examples[at]) for at in looks),
        sizes=tuple(size for _, size in looks.values()),
        spec=spec,
        failures=tuple(failures),
        unknown=tuple(sorted((label, count) for label, count in boxes.items() if label not in labels)),
        unboxed=len(dataset) - len(examples),
    )


def found_on(
    recognizer: Recognizer, examples: Sequence[Example], blobs: Blobs, *, threads: int = 1, progress: Progress | None = None
) -> tuple[dict[int, Seen], list[Failure]]:
    """What a detector finds on each example, by its place, with any score that is ever given; and the failures."""
    spec, everything = recognizer.manifest.detect or DetectSpec(), Wish(threshold=LEAST_SCORE)

    def look(frames: Sequence[Frame]) -> list[Seen]:
        readings = recognizer.readings(frames)
        return [(seen(each.rows, each.view, spec, everything), frame.original) for each, frame in zip(readings, frames, strict=True)]

    return seen_by(recognizer, examples, blobs, look, threads, progress or (lambda share: None))


def truth_of(labels: Sequence[str], example: Example) -> Truth:
    """The boxes of an example whose labels are among these."""
    known = [region for region in example.regions if region.label in labels]
    corners = [(box.x, box.y, box.x + box.width, box.y + box.height) for box in known]
    return Truth(np.array(corners, np.float64).reshape(-1, 4), np.array([labels.index(box.label) for box in known], np.int64))


def _nothing_left(recognizer: Recognizer, dataset: Dataset, boxes: Counter[str], failures: Sequence[Failure]) -> str:
    if failures:
        return f"none of {len(failures)} images could be read; the first: {failures[0].name}: {failures[0].reason}"
    if not boxes:
        return f"none of {len(dataset)} photos has a box; a detector is measured on boxes, from COCO, Pascal VOC or YOLO files"
    theirs, ours = ", ".join(label for label, _ in boxes.most_common(5)), ", ".join(recognizer.manifest.labels[:5])
    return f"no box has a label that {recognizer.manifest.name} knows: the dataset's are {theirs}, the recognizer's {ours}"
