from __future__ import annotations

import numpy as np

from mingmu.tasks.saliency import overlay, stretch

GREY = np.full((40, 60, 3), 128, np.uint8)


def test_the_place_that_speaks_for_the_class_is_marked_and_the_rest_left_alone() -> None:
    activation = np.zeros((4, 6), np.float32)
    activation[0, 5] = 3
    drawn = overlay(GREY, activation)
    assert drawn.shape == GREY.shape
    assert drawn.dtype == np.uint8
    top_right, bottom_left = drawn[2, 57].astype(int), drawn[37, 2]
    assert top_right[0] > 180  # yellow: red and green up, blue down
    assert top_right[2] < 110
    np.testing.assert_array_equal(bottom_left, GREY[0, 0])


def test_evidence_against_the_class_is_not_drawn() -> None:
    np.testing.assert_array_equal(overlay(GREY, np.full((3, 3), -1, np.float32)), GREY)


def test_stretching_keeps_constants_and_interpolates_ramps() -> None:
    np.testing.assert_allclose(stretch(np.full((3, 3), 2, np.float32), 7, 5), 2)
    ramp = stretch(np.array([[0, 1]], np.float32), 1, 8)[0]
    np.testing.assert_allclose(ramp, [0, 0, 1 / 8, 3 / 8, 5 / 8, 7 / 8, 1, 1], atol=1e-6)
