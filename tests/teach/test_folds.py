from __future__ import annotations

import numpy as np

from mingmu.teach.folds import fold_of, stratified_sample


def test_a_group_is_held_out_together() -> None:
    classes = np.repeat(np.arange(3), 20)
    groups = [f"{label}-{i // 2}" for label in range(3) for i in range(20)]
    fold = fold_of(classes, groups, seed=0)
    assert fold is not None
    assert all(len({int(f) for f, g in zip(fold, groups, strict=True) if g == group}) == 1 for group in groups)
    assert set(fold) == set(range(5))


def test_two_photos_per_class_make_two_folds() -> None:
    fold = fold_of(np.repeat(np.arange(4), 2), [str(i) for i in range(8)], seed=0)
    assert fold is not None
    assert set(fold) == {0, 1}


def test_one_photo_per_class_cannot_be_held_out() -> None:
    assert fold_of(np.arange(4), [str(i) for i in range(4)], seed=0) is None


def test_with_several_labels_every_label_is_in_every_fold() -> None:
    truth = np.random.default_rng(0).random((100, 4)) < np.array([0.7, 0.5, 0.3, 0.1])
    truth[:, 0] |= ~truth.any(axis=1)
    fold = fold_of(truth, [str(i) for i in range(100)], seed=0)
    assert fold is not None
    for label in range(4):
        counts = np.bincount(fold[truth[:, label]], minlength=5)
        assert counts.min() > 0
        assert np.ptp(counts) <= 2 + truth[:, label].sum() / 10


def test_a_sample_keeps_proportions_and_forgets_no_class() -> None:
    classes = np.repeat(np.arange(3), [100, 10, 1])
    sample = stratified_sample(classes, [f"{i * 37 % 111:03}" for i in range(111)], 30)
    assert np.bincount(classes[sample]).tolist() == [27, 3, 1]
