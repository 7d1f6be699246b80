"""Detection: boxes and their scores say what a picture shows, and where."""

from __future__ import annotations

import numpy as np

from mingmu.core.answers import Box, Boxes, Wish
from mingmu.core.errors import BadArtifact
from mingmu.core.manifest import DetectSpec, Manifest
from mingmu.core.pixels import View
from mingmu.core.runtime import BOXES, READ, SCORES, Outputs
from mingmu.tasks.boxes import Found, found_in


class Detect:
    """Reads boxes, float32 [A, 4] (left, top, right, bottom in pixels of the frame), and scores, float32 [A, C], as things."""

    outputs = READ["detect"]

    def check(self, rows: Outputs, manifest: Manifest) -> None:
        """Raise BadArtifact unless each box has a score for each label."""
        boxes, scores = rows[BOXES], rows[SCORES]
        if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != (len(boxes), len(manifest.labels)):
            raise BadArtifact(f"{manifest.name}: boxes {boxes.shape} and scores {scores.shape} for {len(manifest.labels)} labels")

    def interpret(self, rows: Outputs, view: View, manifest: Manifest, wish: Wish) -> Boxes:
        """What is in the original picture, the surest first; what lies outside of it is cut off."""
        found = seen(rows, view, manifest.detect or DetectSpec(), wish)
        sides = np.concatenate([found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]], axis=1)
        rows_of = zip(found.classes.tolist(), found.scores.tolist(), np.round(sides.astype(np.float64), 2).tolist(), strict=True)
        return Boxes(tuple(Box(manifest.labels[kind], score, *place) for kind, score, place in rows_of))


def seen(rows: Outputs, view: View, spec: DetectSpec, wish: Wish) -> Found:
    """What counts of a detector's outputs, with corners in pixels of the original."""
    threshold = spec.threshold if wish.threshold is None else wish.threshold
    overlap = spec.overlap if wish.overlap is None else wish.overlap
    found = found_in(rows[BOXES], rows[SCORES], threshold=threshold, overlap=overlap, most=wish.top or spec.most)
    placed = found.moved(view.back(found.boxes))
    corners = placed.boxes
    return placed[(corners[:, 2] - corners[:, 0] >= 1) & (corners[:, 3] - corners[:, 1] >= 1)]
