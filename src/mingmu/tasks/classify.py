"""Classification: scores say which of the labels a picture shows."""

from __future__ import annotations

import numpy as np

from mingmu.core.answers import Label, Labels, Wish
from mingmu.core.manifest import Manifest
from mingmu.core.pixels import View
from mingmu.core.runtime import READ, SCORES, Outputs

TOP = 5


class Classify:
    """Reads scores, float32 [C], as labels: shares of 1 where one label is true, each on its own where several may be."""

    outputs = READ["classify"]

    def kept(self, rows: Outputs) -> Outputs:
        """All of it."""
        return rows

    def interpret(self, rows: Outputs, view: View, manifest: Manifest, wish: Wish) -> Labels:
        """The `top` labels, the surest first; equal scores keep the order of the labels."""
        scores, ids = rows[SCORES], manifest.label_ids
        order = np.argsort(-scores, kind="stable")[: wish.top or TOP]
        return Labels(tuple(Label(manifest.labels[i], float(scores[i]), ids[i] if ids else None) for i in order))
