"""Reading: the columns of a line of text spell what stands there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mingmu.core.answers import Text, Texts, Wish
from mingmu.core.manifest import Manifest
from mingmu.core.pixels import View
from mingmu.core.runtime import READ, TEXT, Outputs

BLANK = 0  # the class between two characters; class n is label n - 1
OTHERS = 5  # classes that are kept of each character, the surest first
CHARACTERS, CONFIDENCES = "characters", "confidences"  # what is kept of a line: classes [L, OTHERS], and how sure each is

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """What a line of text may be: for each character its likeliest classes, the surest first."""

    classes: NDArray[np.int64]  # [L, K]
    confidences: Floats  # [L, K]

    def text(self, labels: Sequence[str]) -> str:
        return "".join(labels[each - 1] for each in self.classes[:, 0])


class Read:
    """Reads text, float32 [T, 1 + C]: how likely each column is the blank, or a character of the alphabet."""

    outputs = READ["read"]

    def kept(self, rows: Outputs) -> Outputs:
        """The characters that the columns spell, with what else each might be."""
        line = spelled(rows[TEXT])
        return {CHARACTERS: line.classes.astype(np.float32), CONFIDENCES: line.confidences}

    def interpret(self, rows: Outputs, view: View, manifest: Manifest, wish: Wish) -> Texts:
        """The picture as one line of text; none, where it shows none that is sure enough."""
        line = line_of(rows)
        width, height = map(float, view.original)
        corners = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
        text = written(line.text(manifest.labels), line.confidences[:, 0], corners)
        return Texts((text,) if text.text and text.score >= (wish.threshold or 0.0) else ())


def line_of(rows: Outputs) -> Line:
    """The line that was kept of a reader's outputs."""
    return Line(rows[CHARACTERS].astype(np.int64), rows[CONFIDENCES])


def written(text: str, confidences: Floats, corners: tuple[tuple[float, float], ...]) -> Text:
    """A line as an answer has it."""
    sure = tuple(round(float(each), 4) for each in confidences)
    return Text(text, round(sum(sure) / max(1, len(sure)), 4), corners, sure)


def spelled(columns: Floats) -> Line:
    """The line that columns [T, 1 + C] spell: the surest class of each, without repetitions, then without blanks.

    Greedy decoding: A. Graves and others, "Connectionist Temporal Classification", ICML 2006, section 3.2. A character is as sure as
    the surest of its columns; what else it might be is looked up there.
    """
    best = columns.argmax(axis=1)
    starts = np.flatnonzero(np.diff(best, prepend=-1))
    stops = np.append(starts[1:], len(best))
    peaks = [
        start + int(columns[start:stop, best[start]].argmax()) for start, stop in zip(starts, stops, strict=True) if best[start] != BLANK
    ]
    peaked = columns[peaks].reshape(len(peaks), columns.shape[1])
    classes = np.argsort(-peaked[:, 1:], axis=1, kind="stable")[:, :OTHERS]
    return Line(classes + 1, np.take_along_axis(peaked[:, 1:], classes, axis=1))
