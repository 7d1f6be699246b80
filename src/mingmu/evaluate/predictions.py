"""What a recognizer says about every example of a dataset, beside the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mingmu.core.errors import Conflict, MingmuError
from mingmu.core.head import Scores
from mingmu.core.pixels import Frame
from mingmu.core.recognizer import Recognizer
from mingmu.data.dataset import Blobs, Dataset, Example

BATCH = 16
TEST = "photos it was not taught on"
UNKNOWN = "photos of which it is not known here whether they taught it"
CROSS_VALIDATION = "cross-validation on the training data"
TAUGHT = "the very photos it was taught on"

T = TypeVar("T")
Progress = Callable[[float], None]  # the share that is done, 0 to 1


@dataclass(frozen=True, slots=True)
class Failure:
    """An example that could not be looked at, and why."""

    name: str
    kind: str  # of the error: bad-image, image-too-large, not-found ...
    reason: str


@dataclass(frozen=True, eq=False)
class Predictions:
    """Scores and truth of the examples that could be measured, and a count of those that could not."""

    labels: tuple[str, ...]  # C
    examples: tuple[Example, ...]  # N, those that were measured
    scores: Scores  # float32 [N, C]
    truth: NDArray[np.bool_]  # [N, C]
    multi_label: bool  # False: one label is true for each example
    source: str = TEST  # what kind of examples these are, in words, such as "5-fold cross-validation on training data"
    failures: tuple[Failure, ...] = ()
    unknown: tuple[tuple[str, int], ...] = ()  # labels that the recognizer does not know, with their examples
    left_out: int = 0  # examples that carry no other label than those
    unlabelled: int = 0
    learned: int = 0  # examples that were not asked about, as it learned from them or from copies of them

    @classmethod
    def of(
        cls,
        labels: Sequence[str],
        examples: Sequence[Example],
        scores: Scores,
        *,
        multi_label: bool = False,
        source: str = TEST,
    ) -> Predictions:
        """Scores float32 [N, C] that were made elsewhere, for N labelled examples: those of cross-validation, say. Raises Conflict."""
        if scores.shape != (len(examples), len(labels)):
            raise Conflict(f"scores of shape {scores.shape} do not fit {len(examples)} examples and {len(labels)} labels")
        truth = truth_of(labels, examples)
        if not (truth.any(axis=1) if multi_label else truth.sum(axis=1) == 1).all():
            raise Conflict("each example needs a label that is known" + ("" if multi_label else ", and just one"))
        return cls(tuple(labels), tuple(examples), scores, truth, multi_label, source)

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def groups(self) -> NDArray[np.int64]:
        return groups_of(self.examples)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which answers are right, bool [N]: the surest label is the true one; with several labels: all are, at a threshold of 0.5."""
        if self.multi_label:
            return np.asarray(((self.scores >= 0.5) == self.truth).all(axis=1))
        return np.asarray(self.truth[np.arange(len(self)), self.scores.argmax(axis=1)])


def groups_of(examples: Sequence[Example]) -> NDArray[np.int64]:
    """A number for each example, int64 [N], 0..G-1; examples share one where they share a group or are the same image."""
    keys = [f"group {e.group}" if e.group is not None else f"image {e.image}" for e in examples]
    return np.unique(keys, return_inverse=True)[1].astype(np.int64)


def truth_of(labels: Sequence[str], examples: Sequence[Example]) -> NDArray[np.bool_]:
    """Which of the C labels each example carries, bool [N, C]; labels that are not among them are passed over."""
    column = {label: i for i, label in enumerate(labels)}
    truth = np.zeros((len(examples), len(labels)), bool)
    for row, example in enumerate(examples):
        truth[row, [column[label] for label in example.labels if label in column]] = True
    return truth


def evaluate(
    recognizer: Recognizer,
    dataset: Dataset,
    blobs: Blobs,
    *,
    threads: int = 1,
    progress: Progress | None = None,
    source: str = TEST,
) -> Predictions:
    """Show every labelled example to a recognizer, by the road that requests take.

    Memory does not grow with the dataset. What cannot be read
    becomes a Failure; labels that the recognizer does not know are counted. Raises Conflict if nothing is left to measure.
    """
    labels = recognizer.manifest.labels
    if not labels:
        raise Conflict(f"{recognizer.manifest.name} says no labels, so there is nothing to measure; teach a head on it first")
    labelled = [example for example in dataset if example.labels]
    known = [example for example in labelled if not set(labels).isdisjoint(example.labels)]
    rows, failures = seen_by(
        recognizer, known, blobs, lambda frames: [*recognizer.scores(frames)], threads, progress or (lambda share: None)
    )
    if not rows:
        raise Conflict(_nothing_left(recognizer, dataset, known, failures))
    seen = tuple(known[i] for i in rows)
    return Predictions(
        labels=labels,
        examples=seen,
        scores=np.stack([*rows.values()]),
        truth=truth_of(labels, seen),
        multi_label=recognizer.manifest.multi_label or dataset.multi_label,
        source=source,
        failures=tuple(failures),
        unknown=tuple(sorted((label, count) for label, count in dataset.counts().items() if label not in labels)),
        left_out=len(labelled) - len(known),
        unlabelled=len(dataset) - len(labelled),
    )


def seen_by(
    recognizer: Recognizer,
    examples: Sequence[Example],
    blobs: Blobs,
    look: Callable[[Sequence[Frame]], Sequence[T]],
    threads: int,
    progress: Progress,
) -> tuple[dict[int, T], list[Failure]]:
    """What `look` makes of each example, by its place, and the failures. `threads` batches of 16 images are in work at a time."""

    def look_from(start: int) -> tuple[dict[int, T], list[Failure]]:
        frames: dict[int, Frame] = {}
        failed = []
        for at in range(start, min(start + BATCH, len(examples))):
            try:
                frames[at] = recognizer.frame(blobs.get(examples[at].image))
            except MingmuError as error:
                failed.append(Failure(examples[at].name, error.kind, str(error)))
        return dict(zip(frames, look([*frames.values()]) if frames else (), strict=True)), failed

    found: dict[int, T] = {}
    failures: list[Failure] = []
    starts = range(0, len(examples), BATCH)
    with ThreadPoolExecutor(threads, thread_name_prefix="evaluate") as pool:
        for start, (some, failed) in zip(starts, pool.map(look_from, starts), strict=True):
            found |= some
            failures += failed
            progress(min(1.0, (start + BATCH) / len(examples)))
    return found, failures


def _nothing_left(recognizer: Recognizer, dataset: Dataset, known: Sequence[Example], failures: Sequence[Failure]) -> str:
    if failures:
        return f"none of {len(known)} images could be read; the first: {failures[0].name}: {failures[0].reason}"
    theirs = ", ".join(label for label, _ in Counter(dataset.counts()).most_common(5)) or "none"
    ours = ", ".join(recognizer.manifest.labels[:5])
    return f"no example carries a label that {recognizer.manifest.name} knows: the dataset's are {theirs}, the recognizer's {ours}"
