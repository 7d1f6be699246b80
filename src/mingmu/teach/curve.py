"""How accuracy grows with the number of photos: heads of the chosen kind, taught on parts of what there is."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from mingmu.core.cpus import cpu_count
from mingmu.data.splits import allocate
from mingmu.teach.folds import label_sets
from mingmu.teach.heads import Kind, Lesson, judged
from mingmu.teach.truth import Bools, Floats, Ints, is_right

PARTS = (1 / 8, 1 / 8, 1 / 4, 1 / 2)  # added up: an eighth, a quarter, half of the photos, all
DRAWS = 2  # of such parts: which photos are in them is chance


@dataclass(frozen=True, eq=False)
class Growth:
    """How often heads that learned from more and more of the other photos were right about each photo."""

    sizes: tuple[int, ...]  # photos learned from, on average, ascending
    right: Floats  # [N, sizes], 0 to 1
    groups: Ints  # [N], 0 to G-1: what belongs together


def growth(lesson: Lesson, right: Bools, fold: Ints, groups: Sequence[str], kind: Kind, seed: int) -> Growth:
    """Every photo is asked about while its fold is held out. `right` is what heads made of it that learned from all others.

    Parts hold their share of every label, and groups as a whole, as far as that goes.
    """
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
    labels = label_sets(lesson.classes)
    drawn = [allocate(labels, numbers, PARTS, seed + draw) for draw in range(1, DRAWS + 1)]
    folds, levels = range(int(fold.max()) + 1), range(len(PARTS) - 1)
    found = np.zeros((len(fold), len(PARTS)), np.float32)
    found[:, -1] = right

    def run(number: int) -> None:
        asked = fold == number
        for level in levels:
            for part in drawn:
                some = ~asked & (part <= level)
                less = Lesson(lesson.features[some], lesson.classes[some], lesson.count, lesson.balance)
                said = judged(less, [kind], lesson.features[asked])[0]
                found[asked, level] += is_right(said, lesson.classes[asked]) / np.float32(DRAWS)

    with ThreadPoolExecutor(cpu_count()) as pool:
        list(pool.map(run, folds))
    learned = [float(np.mean([(part <= level).sum() for part in drawn])) for level in levels] + [len(fold)]
    return Growth(tuple(round(count * (1 - 1 / len(folds))) for count in learned), found, numbers)
