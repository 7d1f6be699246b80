from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mingmu.core.answers import ANY
from mingmu.core.errors import Conflict
from mingmu.core.manifest import Manifest
from mingmu.core.pixels import View
from mingmu.tasks.locate import MOST, Locate, lines_in, smallest_rectangle
from tests.tiny import ORIGIN, PIXELS


def tilted(degrees: float, width: float = 60, height: float = 12) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """A map with one line in its middle."""
    y, x = np.mgrid[0:120, 0:160] + 0.5
    angle = np.radians(degrees)
    along = (x - 80) * np.cos(angle) + (y - 60) * np.sin(angle)
    aside = (y - 60) * np.cos(angle) - (x - 80) * np.sin(angle)
    inside: np.ndarray[tuple[int, int], np.dtype[np.bool_]] = (abs(along) < width / 2) & (abs(aside) < height / 2)
    return inside.astype(np.float32)


@pytest.mark.parametrize("degrees", [0, 10, -25, 40])
def test_a_line_is_found_at_any_angle_and_grown_by_its_offset(degrees: float) -> None:
    corners, scores = lines_in(tilted(degrees))
    assert len(corners) == 1
    assert scores[0] > 0.8
    across, down = corners[0][1] - corners[0][0], corners[0][3] - corners[0][0]
    offset = 1.6 * 60 * 12 / (2 * (60 + 12))
    assert np.linalg.norm(across) == pytest.approx(60 + 2 * offset, abs=6)
    assert np.linalg.norm(down) == pytest.approx(12 + 2 * offset, abs=6)
    assert np.degrees(np.arctan2(across[1], across[0])) == pytest.approx(degrees, abs=3)
    assert np.allclose(corners[0].mean(axis=0), (80, 60), atol=1)


def test_corners_begin_at_the_left_upper_one_and_go_on_clockwise() -> None:
    (corners,), _ = lines_in(tilted(0))
    left, top = corners.min(axis=0)
    right, bottom = corners.max(axis=0)
    assert np.allclose(corners, [(left, top), (right, top), (right, bottom), (left, bottom)])


def test_what_is_unlikely_or_thin_is_no_line() -> None:
    assert len(lines_in(tilted(0) * 0.4)[0]) == 0
    thin = np.zeros((40, 40), np.float32)
    thin[20, 5:30] = 1
    assert len(lines_in(thin)[0]) == 0
    assert lines_in(np.zeros((40, 40), np.float32))[0].shape == (0, 4, 2)


def test_of_very_many_lines_only_the_largest_are_kept() -> None:
    grid = np.zeros((400, 400), np.float32)
    for row in range(0, 400, 8):
        for column in range(0, 400, 8):
            grid[row : row + 5, column : column + 5] = 1
    assert len(lines_in(grid)[0]) == MOST


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=st.integers(-20, 20).map(float)))
def test_the_smallest_rectangle_holds_every_point(points: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
    spread = np.concatenate([points, points + np.array([0, 1]), points + np.array([1, 0])])  # an area, as pixels have
    corners = smallest_rectangle(spread)
    for one, other in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        edge = other - one
        away = edge[0] * (spread[:, 1] - one[1]) - edge[1] * (spread[:, 0] - one[0])
        assert (away > -1e-6 * (1 + float(np.linalg.norm(edge)))).all()


def test_lines_alone_are_no_answer() -> None:
    manifest = Manifest(kind="model", name="l", task="locate", pixels=PIXELS, origin=ORIGIN)
    with pytest.raises(Conflict, match="part of `text`"):
        Locate().interpret({}, View((8, 8), (8, 8), (0, 0, 8, 8)), manifest, ANY)
