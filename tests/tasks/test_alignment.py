from __future__ import annotations

import numpy as np
import pytest

from mingmu.tasks.alignment import SIDE, TEMPLATE, aligned, scale_of, similarity


def turned(points: np.ndarray, degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ (scale * turn).T + shift


@pytest.mark.parametrize("degrees", [0, 30, 180, -75])
def test_a_similarity_is_found_again(degrees: float) -> None:
    points = turned(TEMPLATE, degrees, 3, (40, -7))
    matrix, shift = similarity(points, TEMPLATE)
    assert points @ matrix.T + shift == pytest.approx(TEMPLATE, abs=1e-9)
    assert scale_of(points) == pytest.approx(3)


def test_a_larger_frame_shows_the_same_in_more_pixels() -> None:
    ramp = np.arange(SIDE, dtype=np.uint8) * 2
    picture = np.stack([np.tile(ramp, (SIDE, 1))] * 3, axis=-1)
    large = aligned(picture, TEMPLATE, 2 * SIDE)
    assert large.shape == (2 * SIDE, 2 * SIDE, 3)
    assert np.abs(large[8:-8:2, 8:-8:2].astype(int) - picture[4:-4, 4:-4]).max() <= 2
    assert scale_of(TEMPLATE, 2 * SIDE) == pytest.approx(0.5)


def test_nothing_is_mirrored() -> None:
    matrix, _ = similarity(TEMPLATE * (-1, 1), TEMPLATE)
    assert np.linalg.det(matrix) > 0


def test_a_face_that_lies_right_stays_as_it_is() -> None:
    ramp = np.arange(SIDE, dtype=np.uint8) * 2
    picture = np.stack([np.tile(ramp, (SIDE, 1))] * 3, axis=-1)
    inner = np.s_[4:-4, 4:-4]
    assert np.abs(aligned(picture, TEMPLATE)[inner].astype(int) - picture[inner]).max() <= 1


def test_fine_stripes_of_a_large_face_become_grey_and_no_other_stripes() -> None:
    picture = np.zeros((8 * SIDE, 8 * SIDE, 3), np.uint8)
    picture[:, ::2] = 255
    inner = aligned(picture, TEMPLATE * 7.9)[8:-8, 8:-8]
    assert inner.mean() == pytest.approx(127.5, abs=3)
    assert inner.std() < 10


def test_what_lies_outside_of_the_picture_is_black() -> None:
    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    found = aligned(white, TEMPLATE - np.array([56.0, 0.0]))
    assert (found[4:-4, :50].max(), found[4:-4, 60:-4].min()) == (0, 255)
    assert aligned(white, TEMPLATE + 1e4).max() == 0


@pytest.mark.parametrize("points", [TEMPLATE * 1e6, TEMPLATE * 1e-9, TEMPLATE * 0, TEMPLATE - 1e9])
def test_landmarks_that_no_face_has_take_no_memory(points: np.ndarray) -> None:
    assert aligned(np.full((SIDE, SIDE, 3), 255, np.uint8), points).shape == (SIDE, SIDE, 3)
