"""Detection: boxes and their scores say what a picture shows, and where."""

from __future__ import annotations

import numpy as np

from mingmu.core.answers import Box, Boxes, Wish
from mingmu.core.manifest import DetectSpec, Manifest
from mingmu.core.pixels import View
from mingmu.core.runtime import BOXES, READ, SCORES, Outputs
from mingmu.tasks.boxes import Found, found_in

LEAST_SCORE = 0.01  # whatever threshold is asked for: of the thousands of boxes that a network proposes, a few hundred have it


class Detect:
    """Reads boxes, float32 [A, 4] (left, top, right, bottom in pixels of the frame), and scores, float32 [A, C], as things."""

    outputs = READ["detect"]

    def kept(self, rows: Outputs) -> Outputs:
        """The boxes that might be things: those with a score worth looking at, and sides of a length that there is."""
        worth = (rows[SCORES].max(axis=1) >= LEAST_SCORE) & np.isfinite(rows[BOXES]).all(axis=1)
        return {name: rows[name][worth] for name in (BOXES, SCORES)}

    def interpret(self, rows: Outputs, view: View, manifest: Manifest, wish: Wish) -> Boxes:
        """What is in the original picture, the surest first; what lies outside of it is cut off."""
        found = seen(rows, view, manifest.detect or DetectSpec(), wish)
        sides = np.concatenate([found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]], axis=1)
        rows_of = zip(found.classes.tolist(), found.scores.tolist(), np.round(sides.astype(np.float64), 2).tolist(), strict=True)
        return Boxes(tuple(Box(manifest.labels[kind], score, *place) for kind, score, place in rows_of))


def seen(rows: Outputs, view: View, spec: DetectSpec, wish: Wish) -> Found:
    """What counts of a detector's outputs, with corners in pixels of the original."""
    threshold = max(LEAST_SCORE, spec.threshold if wish.threshold is None else wish.threshold)
    overlap = spec.overlap if wish.overlap is None else wish.overlap
    boxes = view.back(rows[BOXES])
    there = (boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1)  # what is left of others lies outside of the picture
    return found_in(boxes[there], rows[SCORES][there], threshold=threshold, overlap=overlap, most=wish.top or spec.most)
