from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mingmu.tasks.boxes import found_in, overlaps, suppress

Floats = NDArray[np.float32]


def shared(one: Floats, other: Floats) -> float:
    """Intersection over union of two boxes, as one would write it down."""
    across = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    down = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [max(0.0, float(box[2] - box[0])) * max(0.0, float(box[3] - box[1])) for box in (one, other)]
    union = sum(areas) - across * down
    return across * down / union if union else 0.0


def slowly(boxes: Floats, classes: NDArray[np.int64], overlap: float) -> list[int]:
    """The plain algorithm: take the surest, and leave out what it overlaps."""
    taken: list[int] = []
    for row in range(len(boxes)):
        if all(classes[row] != classes[other] or shared(boxes[row], boxes[other]) <= overlap for other in taken):
            taken.append(row)
    return taken


side = st.integers(0, 20)
box = st.tuples(side, side, side, side).map(lambda it: (it[0], it[1], it[0] + it[2], it[1] + it[3]))
thing = st.tuples(box, st.integers(0, 2))


def arrays(things: list[tuple[tuple[int, int, int, int], int]]) -> tuple[Floats, NDArray[np.int64]]:
    return np.array([box for box, _ in things], np.float32).reshape(-1, 4), np.array([label for _, label in things], np.int64)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.lists(thing, max_size=25), st.sampled_from([0.0, 0.3, 0.45, 0.7, 1.0]))
def test_what_remains_is_what_the_plain_algorithm_leaves(things: list[tuple[tuple[int, int, int, int], int]], overlap: float) -> None:
    boxes, classes = arrays(things)
    assert suppress(boxes, classes, overlap, 99).tolist() == slowly(boxes, classes, overlap)
    assert suppress(boxes, classes, overlap, 3).tolist() == slowly(boxes, classes, overlap)[:3]


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.lists(thing, min_size=1, max_size=25), st.floats(0.1, 0.9))
def test_no_two_that_remain_overlap_and_each_left_out_overlaps_one(
    things: list[tuple[tuple[int, int, int, int], int]], overlap: float
) -> None:
    boxes, classes = arrays(things)
    remain = suppress(boxes, classes, overlap, 99)
    shares = overlaps(boxes, boxes) * (classes[:, None] == classes[None])
    among = shares[np.ix_(remain, remain)]
    assert (among[~np.eye(len(remain), dtype=bool)] <= overlap).all()
    left_out = np.setdiff1d(np.arange(len(boxes)), remain)
    assert (shares[np.ix_(left_out, remain)].max(axis=1, initial=1.0) > overlap).all()
    assert remain[0] == 0
    np.testing.assert_array_equal(suppress(boxes[remain], classes[remain], overlap, 99), np.arange(len(remain)))


def test_the_surest_come_first_and_what_has_no_score_not_at_all() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 20, 30, 30], [0, 0, 10, 9]], np.float32)
    scores = np.array([[0.4, 0.1], [0.2, 0.9], [0.6, 0.0]], np.float32)
    found = found_in(boxes, scores, threshold=0.3, overlap=0.5, most=9)
    assert found.scores.tolist() == pytest.approx([0.9, 0.6])
    assert found.classes.tolist() == [1, 0]
    assert found.boxes.tolist() == [[20, 20, 30, 30], [0, 0, 10, 9]]


def test_nothing_is_found_among_no_boxes() -> None:
    found = found_in(np.zeros((0, 4), np.float32), np.zeros((0, 3), np.float32), threshold=0.1, overlap=0.5, most=9)
    assert len(found.scores) == 0


def test_of_very_many_boxes_the_surest_are_considered() -> None:
    random = np.random.default_rng(0)
    corners = random.uniform(0, 400, (20_000, 2)).astype(np.float32)
    scores = (random.permutation(20_000)[:, None] / 20_000).astype(np.float32)
    found = found_in(np.concatenate([corners, corners + 30], axis=1), scores, threshold=0.0, overlap=1.0, most=10_000)
    assert 500 < len(found.scores) < 5000
    assert found.scores.min() > np.sort(scores.ravel())[-len(found.scores) - 1]
    assert (np.diff(found.scores) < 0).all()
