"""How accuracy grows with the number of photos: heads of the chosen kind, taught on parts of what there is."""

from __future__ import annotations

import numpy as np

from mingmu.teach.heads import Kind, Lesson, judged
from mingmu.teach.truth import Floats, Ints, Truth, is_right

SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
REPEATS = 2  # held-out folds that are asked


def growth(features: Floats, classes: Truth, count: int, fold: Ints, kind: Kind, balance: float, seed: int) -> list[tuple[int, float]]:
    """Pairs of how many photos were learned from and the accuracy on a held-out fold, for a few folds and growing shares."""
    random = np.random.default_rng(seed)
    found = []
    for held_out in range(min(REPEATS, int(fold.max()) + 1)):
        asked = fold == held_out
        order = random.permutation(np.flatnonzero(~asked))
        for share in SHARES:
            part = order[: max(2, round(share * len(order)))]
            said = judged(Lesson(features[part], classes[part], count, balance), [kind], features[asked])[0]
            found.append((len(part), float(is_right(said, classes[asked]).mean())))
    return found
