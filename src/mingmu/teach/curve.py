"""How accuracy grows with the number of photos: heads of the chosen kind, taught on parts of what there is."""

from __future__ import annotations

import numpy as np

from mingmu.teach.heads import Floats, Ints, Kind, Lesson

SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
REPEATS = 2  # held-out folds that are asked


def growth(features: Floats, classes: Ints, fold: Ints, kind: Kind, balance: float, seed: int) -> list[tuple[int, float]]:
    """Pairs of how many photos were learned from and the accuracy on a held-out fold, for a few folds and growing shares."""
    random = np.random.default_rng(seed)
    found = []
    for held_out in range(min(REPEATS, int(fold.max()) + 1)):
        asked = fold == held_out
        order = random.permutation(np.flatnonzero(~asked))
        for share in SHARES:
            part = order[: max(2, round(share * len(order)))]
            known, learned = np.unique(classes[part], return_inverse=True)
            if len(known) > 1:
                head = Lesson(features[part], learned, len(known), balance).fit(kind)
                said = known[head(features[asked]).argmax(axis=1)]
                found.append((len(part), float((said == classes[asked]).mean())))
    return found
