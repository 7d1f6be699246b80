from __future__ import annotations

import numpy as np

from mingmu.tasks.read import Line
from mingmu.tasks.text import packed, reading_order, unpacked


def box(x: float, y: float, width: float = 40, height: float = 10) -> list[tuple[float, float]]:
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


def test_lines_are_read_from_top_to_bottom_and_side_by_side_from_left_to_right() -> None:
    corners = np.array([box(60, 42), box(0, 80), box(0, 40), box(30, 0)])
    assert corners[reading_order(corners)][:, 0].tolist() == [[30, 0], [0, 40], [60, 42], [0, 80]]
    assert reading_order(np.zeros((0, 4, 2))).shape == (0,)


def test_lines_of_any_length_survive_being_packed() -> None:
    lines = [
        Line(np.array([[3, 1], [2, 5]]), np.array([[0.9, 0.1], [0.8, 0.2]], np.float32)),
        Line(np.zeros((0, 2), np.int64), np.zeros((0, 2), np.float32)),
        Line(np.array([[7, 4]]), np.array([[0.6, 0.3]], np.float32)),
    ]
    for before, after in zip(lines, unpacked(packed(lines)), strict=True):
        assert np.array_equal(before.classes, after.classes)
        assert np.allclose(before.confidences, after.confidences)
    assert unpacked(packed([])) == []
