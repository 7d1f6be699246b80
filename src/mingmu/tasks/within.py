"""Looking within: a detector finds things, and another recognizer looks at each of them. One road for every door."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mingmu.core.answers import Answer, Labels, Wish
from mingmu.core.manifest import DetectSpec, Manifest, WithinSpec
from mingmu.core.pipeline import Road, side_by_side
from mingmu.core.pixels import Frame, Pixels, View
from mingmu.core.recognizer import Reading, Recognizer
from mingmu.core.runtime import BOXES, LANDMARKS, SCORES, Outputs
from mingmu.tasks.boxes import CONSIDERED, suppress
from mingmu.tasks.detect import LEAST_SCORE, Detect, seen
from mingmu.tasks.locate import CORNERS
from mingmu.tasks.plates import COLOURS, ROWS, PlatesRoad
from mingmu.tasks.read import Line
from mingmu.tasks.text import TextRoad, lines_of, packed, reading_order, unpacked

DETECTOR, EXAMINER = "detector", "examiner"  # the parts: who finds, and who looks at each piece
SAME = 0.45  # of their union: plates, or lines, that share more were found twice, in pieces that overlap
MEANS: Mapping[str, Detect | TextRoad | PlatesRoad] = {"detect": Detect(), "text": TextRoad(), "plates": PlatesRoad()}

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A thing that was found, and what is cut out around it."""

    label: int  # of the detector's
    score: float
    box: NDArray[np.float64]  # [4] left, top, right, bottom in pixels of the picture
    corner: tuple[int, int]  # x and y of the left upper one of what is cut out
    pixels: Pixels


class WithinRoad:
    """Looks at what a `detector` finds through an `examiner`: a classifier, a detector, a reader, or a chain."""

    outputs: tuple[str, ...] = ()
    parts = (DETECTOR, EXAMINER)

    def road(self, parts: Mapping[str, Recognizer], frame: Frame, manifest: Manifest) -> Road[Outputs]:
        """What an answer of the chain's task is made of, of all pieces together; places are in pixels of the frame."""
        detector, examiner = parts[DETECTOR], parts[EXAMINER]
        pieces = _pieces((yield from _look(detector, frame.pixels)), detector.manifest, manifest.within, frame.pixels)
        if examiner.manifest.task == "read":
            return _read(pieces, (yield from lines_of(examiner, [piece.pixels for piece in pieces])))
        readings = yield from side_by_side([_look(examiner, piece.pixels) for piece in pieces])
        return JOINED[examiner.manifest.task](pieces, readings, parts, manifest)

    def kept(self, rows: Outputs) -> Outputs:
        """All of it."""
        return rows

    def interpret(self, rows: Outputs, view: View, manifest: Manifest, wish: Wish) -> Answer:
        """The answer of the chain's task, in pixels of the original."""
        return MEANS[manifest.task].interpret(rows, view, manifest, wish)


def _look(recognizer: Recognizer, pixels: Pixels) -> Road[Reading]:
    return (yield from recognizer.road(recognizer.frame_of(pixels)))


def _pieces(reading: Reading, detector: Manifest, within: WithinSpec | None, picture: Pixels) -> list[Piece]:
    """The things that go on, the surest first."""
    within = within or WithinSpec(threshold=0)
    wanted = np.array([not within.labels or label in within.labels for label in detector.labels], np.float32)
    rows = {**reading.rows, SCORES: reading.rows[SCORES] * wanted}
    found = seen(rows, reading.view, detector.detect or DetectSpec(), Wish(threshold=within.threshold))
    boxes = found.boxes.astype(np.float64)
    grown = np.tile((boxes[:, 2:] - boxes[:, :2]) * within.margin, 2) * (-1, -1, 1, 1) + boxes
    limits = np.tile(picture.shape[1::-1], 2)
    edges = np.clip(np.concatenate([np.floor(grown[:, :2]), np.ceil(grown[:, 2:])], axis=1), 0, limits).astype(int).tolist()
    return [
        Piece(int(label), float(score), box, (left, top), picture[top:bottom, left:right])
        for label, score, box, (left, top, right, bottom) in zip(found.classes, found.scores, boxes, edges, strict=True)
    ]


def _read(pieces: Sequence[Piece], lines: Sequence[Line]) -> Outputs:
    """One line for each piece, where the thing is."""
    boxes = _joined([piece.box[None] for piece in pieces], 4)
    return _texts(boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2), lines)


def _named(pieces: Sequence[Piece], readings: Sequence[Reading], parts: Mapping[str, Recognizer], manifest: Manifest) -> Outputs:
    """The things, as a classifier calls them; what is none of its labels keeps the detector's."""
    detector, examiner = parts[DETECTOR], parts[EXAMINER]
    labels, scores = [], []
    for piece, reading in zip(pieces, readings, strict=True):
        label, score = detector.manifest.labels[piece.label], piece.score
        said = examiner.interpret(reading, Wish(top=1))
        if isinstance(said, Labels) and not said.abstain:
            label, score = said.labels[0].label, said.labels[0].score
        labels.append(manifest.labels.index(label))
        scores.append(score)
    return {BOXES: _joined([piece.box[None] for piece in pieces], 4), SCORES: _one_label(labels, scores, len(manifest.labels))}


def _found(pieces: Sequence[Piece], readings: Sequence[Reading], parts: Mapping[str, Recognizer], manifest: Manifest) -> Outputs:
    """What a detector found in the pieces. What it found twice is left out when the answer is made, as for any detector."""
    spec = manifest.detect or DetectSpec()
    founds = [seen(each.rows, each.view, spec, Wish(threshold=LEAST_SCORE)) for each in readings]
    labels, scores = (_joined([getattr(found, name) for found in founds]) for name in ("classes", "scores"))
    surest = np.argsort(-scores, kind="stable")[:CONSIDERED]
    rows = {
        BOXES: _joined([found.boxes + np.tile(piece.corner, 2) for piece, found in zip(pieces, founds, strict=True)], 4)[surest],
        SCORES: _one_label(labels[surest].astype(int).tolist(), scores[surest].tolist(), len(manifest.labels)),
    }
    if spec.landmarks:
        points = zip(pieces, readings, founds, strict=True)
        moved = [each.view.points_back(each.rows[LANDMARKS][found.rows]) + piece.corner for piece, each, found in points]
        rows[LANDMARKS] = _joined(moved, spec.landmarks, 2)[surest]
    return rows


def _texts_found(pieces: Sequence[Piece], readings: Sequence[Reading], parts: Mapping[str, Recognizer], manifest: Manifest) -> Outputs:
    """The lines in the pieces, from top to bottom, each once."""
    lines = [line for reading in readings for line in unpacked(reading.rows)]
    corners = _moved(pieces, readings)
    sure = np.array([line.confidences[:, 0].mean() if len(line.classes) else 0.0 for line in lines])
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    once = _once(boxes, sure)
    once = once[reading_order(corners[once].astype(np.float64))]
    return _texts(corners[once], [lines[at] for at in once])


def _plates_found(pieces: Sequence[Piece], readings: Sequence[Reading], parts: Mapping[str, Recognizer], manifest: Manifest) -> Outputs:
    """The plates in the pieces, each once."""
    lines = [line for reading in readings for line in unpacked(reading.rows)]
    boxes = _joined([each.view.back(each.rows[BOXES]) + np.tile(piece.corner, 2) for piece, each in zip(pieces, readings, strict=True)], 4)
    sure = np.array([line.confidences[:, 0].min() if len(line.classes) else 0.0 for line in lines])
    once = _once(boxes, sure)
    colours, rows = (_joined([reading.rows[name] for reading in readings])[once] for name in (COLOURS, ROWS))
    found = _texts(_moved(pieces, readings)[once], [lines[at] for at in once])
    return {**found, BOXES: boxes[once], COLOURS: colours, ROWS: rows}


JOINED: Mapping[str, Callable[[Sequence[Piece], Sequence[Reading], Mapping[str, Recognizer], Manifest], Outputs]] = {
    "classify": _named,
    "detect": _found,
    "text": _texts_found,
    "plates": _plates_found,
}


def _texts(corners: Floats, lines: Sequence[Line]) -> Outputs:
    return {CORNERS: corners, **packed(lines)}


def _moved(pieces: Sequence[Piece], readings: Sequence[Reading]) -> Floats:
    """The corners [N, 4, 2] of what was read in the pieces, in pixels of the picture."""
    both = zip(pieces, readings, strict=True)
    return _joined([reading.view.points_back(reading.rows[CORNERS]) + piece.corner for piece, reading in both], 4, 2)


def _once(boxes: Floats, sure: NDArray[Any]) -> NDArray[np.int64]:
    """Which of some boxes [N, 4] are left, the surest first, without those that show the same."""
    order = np.argsort(-sure, kind="stable")
    kept: NDArray[np.int64] = order[suppress(boxes[order], np.zeros(len(order), np.int64), SAME, len(order))]
    return kept


def _one_label(labels: Sequence[int], scores: Sequence[float], count: int) -> Floats:
    """Scores [N, C] of things that have one label each."""
    rows = np.zeros((len(labels), count), np.float32)
    rows[np.arange(len(labels)), np.array(labels, int)] = scores
    return rows


def _joined(arrays: Sequence[NDArray[Any]], *shape: int) -> Floats:
    """Arrays [N, *shape] one after another; there may be none."""
    return np.concatenate([np.zeros((0, *shape), np.float32), *arrays]).astype(np.float32)
