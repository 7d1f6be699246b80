from __future__ import annotations

import numpy as np
import pytest

from mingmu.tasks.rectification import MOST, homography, rectified, size_of
from mingmu.tasks.sampling import between, sampled

SQUARE = np.array([(0, 0), (40, 0), (40, 20), (0, 20)], float)


def test_four_points_go_exactly_where_they_are_sent() -> None:
    target = np.array([(10, 5), (90, 20), (80, 70), (5, 50)], float)
    matrix = homography(SQUARE, target)
    for point, wanted in zip(SQUARE, target, strict=True):
        x, y, w = matrix @ (*point, 1)
        assert np.allclose((x / w, y / w), wanted)


def test_an_upright_piece_comes_out_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    assert np.array_equal(rectified(picture, SQUARE + np.array([10, 20])), picture[20:40, 10:50])


def test_a_turned_piece_is_turned_back() -> None:
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[20:40, 10:30] = (255, 0, 0)
    picture[20:40, 30:50] = (0, 0, 255)
    upright = rectified(picture, np.array([(10, 20), (50, 20), (50, 40), (10, 40)], float))
    on_its_head = rectified(picture, np.array([(50, 40), (10, 40), (10, 20), (50, 20)], float))
    assert np.array_equal(upright[::-1, ::-1], on_its_head)


def test_a_trapezium_becomes_a_rectangle() -> None:
    y, x = np.mgrid[0:100, 0:100]
    picture = np.where((x > 20 + y / 4)[..., None], np.uint8(200), np.uint8(50)).repeat(3, axis=2).astype(np.uint8)
    found = rectified(picture, np.array([(20, 0), (60, 0), (85, 100), (45, 100)], float))
    assert abs(found[:, 4:-4].astype(int) - 200).mean() < 2  # its left edge lies along the step in the picture


def test_shrinking_leaves_no_jagged_edges() -> None:
    stripes = np.zeros((64, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    found = rectified(stripes, np.array([(0, 0), (256, 0), (256, 64), (0, 64)], float), height=8)
    assert abs(found[2:-2, 2:-2].astype(int) - 127.5).max() < 3


@pytest.mark.parametrize("corners", [np.zeros((4, 2)), np.full((4, 2), np.nan), SQUARE * 1e6, SQUARE + 1e7, SQUARE[[0, 1, 0, 1]]])
def test_corners_that_nothing_has_cost_no_more_than_a_picture(corners: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
    found = rectified(np.full((50, 50, 3), 99, np.uint8), corners)
    assert found.shape[0] <= MOST[1]
    assert found.shape[1] <= MOST[0]


def test_the_size_is_that_of_the_longer_edges() -> None:
    assert size_of(np.array([(0, 0), (40, 0), (30, 20), (0, 10)], float)) == pytest.approx((40, np.hypot(10, 20)))


def test_sampling_at_the_middles_of_pixels_changes_nothing() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    assert np.array_equal(sampled(picture, between(9, 6, 1), 1, 1.0), picture)
