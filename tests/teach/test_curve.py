from __future__ import annotations

import numpy as np

from mingmu.teach.curve import growth
from mingmu.teach.heads import Kind, Lesson


def drawn(noise: float) -> tuple[Lesson, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    random = np.random.default_rng(0)
    classes = np.arange(120) % 3
    features = (np.eye(3, 8)[classes] + noise * random.normal(size=(120, 8))).astype(np.float32)
    return Lesson(features, classes, 3), np.arange(120) // 3 % 5


def test_more_photos_are_right_more_often_and_every_photo_is_asked_at_every_size() -> None:
    lesson, fold = drawn(0.6)
    found = growth(lesson, np.ones(120, bool), fold, [str(i) for i in range(120)], Kind(0.6), 0)
    assert found.sizes == (11, 23, 47, 96)
    assert found.right.shape == (120, 4)
    assert found.right[:, 3].all()
    first, second, third = found.right[:, :3].mean(axis=0)
    assert 1 / 3 < first < third
    assert second > 1 / 3


def test_every_part_has_every_label_so_that_even_an_eighth_can_be_all_right() -> None:
    lesson, fold = drawn(0.01)
    assert growth(lesson, np.ones(120, bool), fold, [str(i) for i in range(120)], Kind(0.6), 0).right.all()


def test_what_belongs_together_has_one_number() -> None:
    lesson, fold = drawn(0.3)
    groups = [str(i // 2) for i in range(120)]
    found = growth(lesson, np.ones(120, bool), fold, groups, Kind(0.6), 0)
    assert len(np.unique(found.groups)) == 60
    assert (found.groups[::2] == found.groups[1::2]).all()


def test_the_same_seed_gives_the_same_curve() -> None:
    lesson, fold = drawn(0.6)
    one, same, other = (growth(lesson, np.ones(120, bool), fold, [str(i) for i in range(120)], Kind(0.6), seed) for seed in (0, 0, 5))
    np.testing.assert_array_equal(one.right, same.right)
    assert not np.array_equal(one.right, other.right)


def test_parts_with_next_to_no_photo_of_a_label_are_left_out() -> None:
    lesson, fold = drawn(0.3)
    few = Lesson(lesson.features[:20], lesson.classes[:20], 3)
    found = growth(few, np.ones(20, bool), fold[:20], [str(i) for i in range(20)], Kind(0.6), 0)
    assert found.sizes == (4, 8, 16)
    assert found.right.shape == (20, 3)
