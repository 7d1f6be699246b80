"""What a reader says about every example of a dataset, beside the text that stands there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mingmu.core.answers import Plates, Texts
from mingmu.core.errors import Conflict
from mingmu.core.pixels import Frame
from mingmu.core.recognizer import Recognizer
from mingmu.data.dataset import Blobs, Dataset, Example
from mingmu.evaluate.predictions import TEST, Failure, Progress, groups_of, seen_by


@dataclass(frozen=True, slots=True)
class Said:
    """The lines or plates of a picture as one text."""

    text: str
    score: float  # of the least sure line; 0 where there is none


@dataclass(frozen=True, eq=False)
class Transcripts:
    """Texts that were said and texts that are there, of the examples that could be measured, and a count of those that could not."""

    labels: tuple[str, ...]  # the characters that the reader knows; none where its parts know them
    examples: tuple[Example, ...]  # N, those that were measured
    said: tuple[Said, ...]  # [N]
    source: str = TEST
    failures: tuple[Failure, ...] = ()
    unlabelled: int = 0  # examples without a text, or with more than one label
    learned: int = 0  # examples that were not asked about, as it learned from their texts

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def texts(self) -> tuple[str, ...]:
        """What stands there, [N]."""
        return tuple(example.labels[0] for example in self.examples)

    @property
    def groups(self) -> NDArray[np.int64]:
        return groups_of(self.examples)


def transcribe(
    recognizer: Recognizer, dataset: Dataset, blobs: Blobs, *, threads: int = 1, progress: Progress | None = None
) -> Transcripts:
    """Show every example that says what stands in it, as its one label, to a reader, by the road that requests take.

    What cannot be looked at becomes a Failure. Raises Conflict if nothing is left.
    """
    examples = [example for example in dataset if len(example.labels) == 1]

    def look(frames: Sequence[Frame]) -> list[Said]:
        answers = (recognizer.interpret(reading) for reading in recognizer.readings(frames))
        return [_said(answer) for answer in answers if isinstance(answer, (Texts, Plates))]

    found, failures = seen_by(recognizer, examples, blobs, look, threads, progress or (lambda share: None))
    if not found:
        if failures:
            raise Conflict(f"none of {len(failures)} images could be read; the first: {failures[0].name}: {failures[0].reason}")
        raise Conflict(
            f"none of {len(dataset)} photos says what stands in it, by its file's name or in a table, so there is nothing to measure"
        )
    return Transcripts(
        labels=recognizer.manifest.labels,
        examples=tuple(examples[at] for at in found),
        said=tuple(found.values()),
        failures=tuple(failures),
        unlabelled=len(dataset) - len(examples),
    )


def _said(answer: Texts | Plates) -> Said:
    return Said(" ".join(box.label for box in answer.boxes), min((box.score for box in answer.boxes), default=0.0))
