"""How well text is read: the share of texts without a mistake, and how many characters are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import TypeAdapter

from mingmu.core.answers import Texts
from mingmu.core.errors import Conflict, MingmuError
from mingmu.core.recognizer import Recognizer
from mingmu.data.dataset import Blobs, Example
from mingmu.evaluate.intervals import Estimate, bootstrap, proportion
from mingmu.evaluate.words import interval, percent

WORST = 20  # misread texts that a report names


@dataclass(frozen=True, slots=True)
class Misread:
    """A text that was not read as it stands there."""

    name: str
    image: str  # SHA-256
    text: str
    read: str
    score: float  # of the least certain character


@dataclass(frozen=True, slots=True)
class ReadMeasures:
    """What was measured on texts that a reader did not learn from."""

    texts: int
    exact: Estimate  # share of texts without a mistake
    character_errors: Estimate  # edits that would mend all texts, as a share of their characters
    misread: tuple[Misread, ...]  # the surest first
    unreadable: int  # images that could not be decoded; they count as wrong

    @property
    def headline(self) -> str:
        """The result in a sentence."""
        return (
            f"It read {percent(self.exact.value)} of {self.texts:,} texts without a mistake ({interval(self.exact)}); "
            f"{percent(self.character_errors.value, 2)} of the characters were wrong ({interval(self.character_errors)})."
        )

    def to_json(self) -> bytes:
        return TypeAdapter(ReadMeasures).dump_json(self)


def read_measures(recognizer: Recognizer, examples: Sequence[Example], blobs: Blobs) -> ReadMeasures:
    """Show texts to a reader by the road that requests take. An example's label is its text. Raises Conflict without any."""
    said = [(example, *_read(recognizer, blobs.get(example.image))) for example in examples if example.labels]
    if not said:
        raise Conflict("no photo has a text, so there is nothing to measure")
    truths = [example.labels[0] for example, _, _ in said]
    return measured(
        truths,
        [text for _, text, _ in said],
        tuple(
            Misread(example.name, example.image, example.labels[0], text or "", score)
            for example, text, score in sorted(said, key=lambda row: -row[2])
            if text != example.labels[0]
        ),
    )


def measured(truths: Sequence[str], read: Sequence[str | None], misread: tuple[Misread, ...] = ()) -> ReadMeasures:
    """The figures for texts, and what was read of them; None: the image could not be decoded."""
    edits = np.array([distance(truth, text or "") for truth, text in zip(truths, read, strict=True)], np.float64)
    lengths = np.array([len(truth) for truth in truths], np.float64)
    right = sum(truth == text for truth, text in zip(truths, read, strict=True))
    return ReadMeasures(
        texts=len(truths),
        exact=proportion(right, len(truths)),
        character_errors=bootstrap(lambda weights: float((edits * weights).sum() / (lengths * weights).sum()), np.arange(len(truths))),
        misread=misread[:WORST],
        unreadable=sum(text is None for text in read),
    )


def distance(one: str, other: str) -> int:
    """The fewest characters to put in, take out or exchange (V. Levenshtein, 1966)."""
    row: list[int] = [*range(len(other) + 1)]
    for i, character in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, theirs in enumerate(other, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (character != theirs))
    return row[-1]


def _read(recognizer: Recognizer, image: bytes) -> tuple[str | None, float]:
    """All lines as one text, and how sure its least certain character is."""
    try:
        answer = recognizer.interpret(recognizer.read(recognizer.frame(image)))
    except MingmuError:
        return None, 0.0
    lines = answer.texts if isinstance(answer, Texts) else ()
    return "".join(line.text for line in lines), min((line.score for line in lines), default=0.0)
