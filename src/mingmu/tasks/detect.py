"""Detection: boxes and their scores say what a picture shows, and where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mingmu.core.answers import Box, Boxes, Wish
from mingmu.core.manifest import DetectSpec, Manifest
from mingmu.core.pixels import View
from mingmu.core.runtime import BOXES, LANDMARKS, READ, SCORES, Outputs
from mingmu.tasks.boxes import Found, found_in

LEAST_SCORE = 0.01  # whatever threshold is asked for: of the thousands of boxes that a network proposes, a few hundred have it


class Detect:
    """Reads boxes, float32 [A, 4] (left, top, right, bottom in pixels of the frame), and scores, float32 [A, C], as things."""

    def __init__(self, *, landmarks: bool = False) -> None:
        """With `landmarks`, points float32 [A, P, 2] of the frame, too."""
        self.outputs = (*READ["detect"], LANDMARKS) if landmarks else READ["detect"]

    def kept(self, rows: Outputs) -> Outputs:
        """The boxes that might be things: those with a score worth looking at, and sides of a length that there is."""
        worth = (rows[SCORES].max(axis=1) >= LEAST_SCORE) & np.isfinite(rows[BOXES]).all(axis=1)
        return {name: rows[name][worth] for name in self.outputs}

    def interpret(self, rows: Outputs, view: View, manifest: Manifest, wish: Wish) -> Boxes:
        """What is in the original picture, the surest first; what lies outside of it is cut off."""
        found = seen(rows, view, manifest.detect or DetectSpec(), wish)
        sides = np.concatenate([found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]], axis=1)
        points = _points(rows, view, found)
        rows_of = zip(found.classes.tolist(), found.scores.tolist(), np.round(sides.astype(np.float64), 2).tolist(), points, strict=True)
        return Boxes(
            tuple(Box(manifest.labels[kind], score, x, y, width, height, at) for kind, score, (x, y, width, height), at in rows_of)
        )


def seen(rows: Outputs, view: View, spec: DetectSpec, wish: Wish) -> Found:
    """What counts of a detector's outputs, with corners in pixels of the original."""
    threshold = max(LEAST_SCORE, spec.threshold if wish.threshold is None else wish.threshold)
    overlap = spec.overlap if wish.overlap is None else wish.overlap
    boxes = view.back(rows[BOXES])
    there = (boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1)  # what is left of others lies outside of the picture
    found = found_in(boxes[there], rows[SCORES][there], threshold=threshold, overlap=overlap, most=wish.top or spec.most)
    return replace(found, rows=np.flatnonzero(there)[found.rows])


def _points(rows: Outputs, view: View, found: Found) -> list[tuple[tuple[float, float], ...]]:
    """The landmarks of each thing, in pixels of the original; of a detector that gives none, none."""
    if LANDMARKS not in rows:
        return [()] * len(found.rows)
    points = np.round(view.points_back(rows[LANDMARKS][found.rows]).astype(np.float64), 2)
    return [tuple((x, y) for x, y in each) for each in points.tolist()]
