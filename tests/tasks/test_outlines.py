from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mingmu.core.pixels import Pixels
from mingmu.tasks.outlines import outline

PLATE = np.array([(-100, -22), (100, -22), (100, 22), (-100, 22)])


def plate(degrees: float) -> tuple[Pixels, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """A light plate with dark strokes on a grey car, turned, and its corners."""
    turn = np.radians(degrees)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    picture = Image.new("RGB", (320, 240), (90, 90, 90))
    draw = ImageDraw.Draw(picture)
    draw.polygon([tuple(point) for point in (PLATE @ matrix + (160, 120)).tolist()], fill=(230, 230, 230))
    for x in range(-80, 81, 20):
        ends = np.array([(x, -14), (x + (x % 3), 14)]) @ matrix + (160, 120)
        draw.line([tuple(point) for point in ends.tolist()], fill=(20, 20, 20), width=5)
    return np.asarray(picture), PLATE @ matrix + (160, 120)


@pytest.mark.parametrize("degrees", [-20, -10, 10, 20])
def test_a_turned_plate_is_outlined_along_its_own_lines(degrees: float) -> None:
    picture, corners = plate(degrees)
    found = outline(picture, np.concatenate([corners.min(axis=0), corners.max(axis=0)]))
    across = found[1] - found[0]
    assert np.degrees(np.arctan2(across[1], across[0])) == pytest.approx(degrees, abs=2)
    assert found[0, 0] == found[3, 0] == pytest.approx(corners[:, 0].min())
    assert found.mean(axis=0) == pytest.approx(corners.mean(axis=0), abs=0.1)
    assert 40 < found[3, 1] - found[0, 1] < 60


@pytest.mark.parametrize("degrees", [0, 3])
def test_a_plate_that_is_nearly_level_keeps_its_box(degrees: float) -> None:
    picture, corners = plate(degrees)
    left, top, right, bottom = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    found = outline(picture, np.array([left, top, right, bottom]))
    assert found.tolist() == [[left, top], [right, top], [right, bottom], [left, bottom]]


def test_a_box_without_lines_or_beyond_the_picture_is_an_outline_too() -> None:
    black = np.zeros((20, 20, 3), np.uint8)
    for box in ((0, 0, 20, 20), (-50, 5, 300, 9), (5, 5, 5, 5), (3, 3, 4, 400)):
        assert np.isfinite(outline(black, np.array(box, np.float64))).all()
