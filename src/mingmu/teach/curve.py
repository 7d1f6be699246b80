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
from mingmu.teach.truth import Bools, Ints, is_right

PARTS = (1 / 8, 1 / 8, 1 / 4, 1 / 2)  # added up: an eighth, a quarter, half of the photos, all
LEAST = 1  # photos a label in a part, on average: fewer teach nothing


@dataclass(frozen=True, eq=False)
class Growth:
    """Whether heads that learned from more and more of the other photos were right about each photo."""

    sizes: tuple[int, ...]  # photos learned from, on average, ascending
    right: Bools  # [N, sizes]
    groups: Ints  # [N], 0 to G-1: what belongs together


def growth(lesson: Lesson, right: Bools, fold: Ints, groups: Sequence[str], kind: Kind, seed: int) -> Growth:
    """Every photo is asked about while its fold is held out. `right` is what heads made of it that learned from all others.

    Parts hold their share of every label, and groups as a whole, as far as that goes. Which photos are in them is chance, and
    drawn anew for every fold.
    """
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
    labels = label_sets(lesson.classes)
    folds = range(int(fold.max()) + 1)
    drawn = [allocate(labels, numbers, PARTS, seed + 1 + number) for number in folds]
    outside = [[(fold != number) & (drawn[number] <= level) for number in folds] for level in range(len(PARTS))]
    learned = [round(float(np.sum(some)) / len(folds)) for some in outside]
    levels = [level for level in range(len(PARTS) - 1) if learned[level] >= LEAST * lesson.count]
    found = np.zeros((len(fold), len(levels) + 1), np.bool_)
    found[:, -1] = right

    def run(number: int) -> None:
        asked = fold == number
        for at, level in enumerate(levels):
            some = outside[level][number]
            if some.any():  # else all of it is in this fold, and nothing is right
                less = Lesson(lesson.features[some], lesson.classes[some], lesson.count, lesson.balance)
                found[asked, at] = is_right(judged(less, [kind], lesson.features[asked])[0], lesson.classes[asked])

    with ThreadPoolExecutor(cpu_count()) as pool:
        list(pool.map(run, folds))
    return Growth((*(learned[level] for level in levels), learned[-1]), found, numbers)
