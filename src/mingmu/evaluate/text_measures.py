"""How good a reader is: how many texts it reads without a mistake, and how many characters are wrong; each with its interval."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mingmu.evaluate.intervals import Estimate, bootstrap, effective_share, proportion
from mingmu.evaluate.measure import LeftOut
from mingmu.evaluate.transcripts import Transcripts

WORST = 24  # misread texts
TAKEN_FOR = 3  # characters
LONGEST = 4096  # characters of a text that are compared with what was read, and of that

Pair = tuple[str, str]  # a character that is there, and what was read in its place; "" where there is none


@dataclass(frozen=True, slots=True)
class TextClass:
    """One character: how often it was read as what it is, and what else it was taken for."""

    label: str
    there: int
    right: Estimate | None  # None: it is nowhere
    taken_for: tuple[tuple[str, int], ...]  # the commonest; "" where it was passed over


@dataclass(frozen=True, slots=True)
class Misread:
    """A text that was not read as it stands there."""

    name: str
    image: str  # SHA-256
    text: str
    read: str
    score: float


@dataclass(frozen=True, slots=True)
class TextMeasures:
    """Everything that was measured on the texts of N photos."""

    source: str  # what kind of photos
    examples: int
    groups: int  # fewer than examples where some belong together
    characters: int
    left_out: LeftOut  # unknown: characters, with their texts, which count as wrong
    exact: Estimate  # share of the texts that were read without a mistake
    character_errors: Estimate  # edits that would mend all texts, as a share of their characters
    invented: int  # characters that were read where there is none
    classes: tuple[TextClass, ...]  # in the reader's order, then what else there is
    misread: tuple[Misread, ...]  # the surest first
    task: Literal["read"] = "read"

    def occurring(self) -> list[TextClass]:
        """The characters that are there, the worst read first."""
        shown = [found for found in self.classes if found.there]
        return sorted(shown, key=lambda found: math.inf if found.right is None else found.right.value)


def measure_texts(transcripts: Transcripts, *, seed: int = 0) -> TextMeasures:
    """Measure what a reader said."""
    together, texts, said = transcripts.groups, transcripts.texts, [each.text for each in transcripts.said]
    groups = together if together.max() else np.arange(len(transcripts))  # of one group alone no spread could be seen
    pairs = [aligned(text, read) for text, read in zip(texts, said, strict=True)]
    edits = np.array([sum(there != read for there, read in each) for each in pairs], np.float64)
    lengths = np.array([min(len(text), LONGEST) for text in texts], np.float64)
    right = np.array([text == read for text, read in zip(texts, said, strict=True)])
    known = dict.fromkeys((*transcripts.labels, *sorted({character for text in texts for character in text})))
    return TextMeasures(
        source=transcripts.source,
        examples=len(transcripts),
        groups=int(together.max()) + 1,
        characters=sum(map(len, texts)),
        left_out=LeftOut(transcripts.failures, _unknown(transcripts), 0, transcripts.unlabelled, transcripts.learned),
        exact=proportion(float(right.sum()), len(right), effective=effective_share(right, groups)),
        character_errors=bootstrap(lambda weights: float((edits * weights).sum() / (lengths * weights).sum()), groups, seed=seed),
        invented=sum(not there for each in pairs for there, _ in each),
        classes=_classes([*known], pairs, groups),
        misread=_misread(transcripts, right),
    )


def aligned(text: str, read: str) -> list[Pair]:
    """The characters of two texts beside each other, so that the fewest differ (V. Levenshtein, 1966)."""
    text, read = text[:LONGEST], read[:LONGEST]
    theirs, steps = np.frombuffer(read.encode("utf-32-le"), np.uint32), np.arange(len(read) + 1, dtype=np.int32)
    costs = np.empty((len(text) + 1, len(read) + 1), np.int32)
    costs[0] = steps
    for row, character in enumerate(text, start=1):
        best = costs[row - 1] + 1
        best[1:] = np.minimum(best[1:], costs[row - 1, :-1] + (theirs != ord(character)))
        costs[row] = np.minimum.accumulate(best - steps) + steps
    return _path(text, read, costs)


def _path(text: str, read: str, costs: NDArray[np.int32]) -> list[Pair]:
    """The cheapest way through the costs, from the end."""
    pairs, row, column = [], len(text), len(read)
    while row or column:
        here = costs[row, column]
        if row and column and here == costs[row - 1, column - 1] + (text[row - 1] != read[column - 1]):
            row, column = row - 1, column - 1
            pairs.append((text[row], read[column]))
        elif row and here == costs[row - 1, column] + 1:
            row -= 1
            pairs.append((text[row], ""))
        else:
            column -= 1
            pairs.append(("", read[column]))
    return pairs[::-1]


def _classes(labels: list[str], pairs: list[list[Pair]], groups: NDArray[np.int64]) -> tuple[TextClass, ...]:
    seen: dict[str, list[tuple[str, int]]] = defaultdict(list)  # what was read, and in which group
    for each, group in zip(pairs, groups.tolist(), strict=True):
        for there, read in each:
            seen[there].append((read, group))
    return tuple(_class(label, seen.get(label, [])) for label in labels)


def _class(label: str, seen: list[tuple[str, int]]) -> TextClass:
    if not seen:
        return TextClass(label, 0, None, ())
    right = np.array([read == label for read, _ in seen])
    groups = np.unique([group for _, group in seen], return_inverse=True)[1]
    wrong = Counter(read for read, _ in seen if read != label)
    share = proportion(float(right.sum()), len(right), effective=effective_share(right, groups))
    return TextClass(label, len(seen), share, tuple(wrong.most_common(TAKEN_FOR)))


def _unknown(transcripts: Transcripts) -> tuple[tuple[str, int], ...]:
    """Characters of which the reader says that it knows others, with the texts that have them."""
    if not transcripts.labels:
        return ()
    return tuple(sorted(Counter(character for text in transcripts.texts for character in {*text} - {*transcripts.labels}).items()))


def _misread(transcripts: Transcripts, right: NDArray[np.bool_]) -> tuple[Misread, ...]:
    wrong = sorted(np.flatnonzero(~right).tolist(), key=lambda at: -transcripts.said[at].score)[:WORST]
    rows = ((transcripts.examples[at], transcripts.said[at]) for at in wrong)
    return tuple(Misread(example.name, example.image, example.labels[0], said.text, said.score) for example, said in rows)
