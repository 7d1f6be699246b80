"""Classification: scores say which of the labels a picture shows."""

from __future__ import annotations

import numpy as np

from mingmu.core.answers import Label, Labels
from mingmu.core.head import Scores
from mingmu.core.manifest import Manifest


class Classify:
    """Reads scores, float32 [C], as labels: shares of 1 where one label is true, each on its own where several may be."""

    def interpret(self, scores: Scores, manifest: Manifest, *, top: int) -> Labels:
        """The `top` labels, the surest first; equal scores keep the order of the labels."""
        order = np.argsort(-scores, kind="stable")[:top]
        ids = manifest.label_ids
        return Labels(tuple(Label(manifest.labels[i], float(scores[i]), ids[i] if ids else None) for i in order))
