from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mingmu.core.pipeline import Done, Look, advance
from mingmu.core.pixels import Frame, encode_png
from mingmu.core.recognizer import Reading, Recognizer
from mingmu.core.runtime import BOXES, LANDMARKS, SCORES, Outputs
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from tests import tiny_text

Seen = dict[tuple[float, float, float, float], float]  # boxes in pixels of the photo, and how sure the detector is of each

LARGE, SMALL = (2, 20, 42, 36), (46, 44, 60, 50)
PART, EDGE = (10, 20, 42, 36), (4, 22, 14, 34)  # of the large one


@pytest.fixture
def cars(tmp_path: Path) -> Recognizer:
    return Library(Store(tmp_path)).open(tiny_text.publish_plates(tmp_path).digest)


def test_a_second_look_at_a_large_plate_leaves_the_small_one_beside_it(cars: Recognizer) -> None:
    assert _found(cars, {PART: 0.6, SMALL: 0.7}, {LARGE: 0.9}) == {LARGE, SMALL}


def test_a_large_plate_takes_the_place_of_its_parts(cars: Recognizer) -> None:
    assert _found(cars, {PART: 0.6, EDGE: 0.7}, {LARGE: 0.9}) == {LARGE}


def test_a_second_look_that_is_less_sure_changes_nothing(cars: Recognizer) -> None:
    assert _found(cars, {PART: 0.8, SMALL: 0.6}, {LARGE: 0.7}) == {PART, SMALL}


def test_a_second_look_has_no_word_on_what_the_first_saw_well(cars: Recognizer) -> None:
    moved = (45, 43, 61, 51)
    assert _found(cars, {PART: 0.6, SMALL: 0.7}, {LARGE: 0.9, moved: 0.9}) == {LARGE, SMALL}
    assert _found(cars, {}, {moved: 0.6}) == {moved}


def _found(cars: Recognizer, *looks: Seen) -> set[tuple[int, ...]]:
    """Where plates are found on a photo of two, where the detector sees this at its first and its second look."""
    pixels = np.zeros((tiny_text.SIDE, tiny_text.SIDE, 3), np.uint8)
    for left, top, right, bottom in (LARGE, SMALL):
        pixels[top:bottom, left:right] = tiny_text.COLOURS["R"]
    left_over, road = iter(looks), cars.road(cars.frame(encode_png(pixels)))
    at = advance(road)
    while isinstance(at, Look):
        recognizer, frames = at.recognizer, at.frames
        if recognizer.manifest.task == "detect":
            at = advance(road, [Reading(_rows(next(left_over), frame), frame.view, None) for frame in frames])
        else:
            at = advance(road, recognizer.readings(frames))
    assert isinstance(at, Done)
    return {tuple(box) for box in np.rint(at.value.rows[BOXES]).astype(int).tolist()}


def _rows(seen: Seen, frame: Frame) -> Outputs:
    """What a detector gives that sees this."""
    left, top, right, bottom = frame.box
    scale = np.array([frame.pixels.shape[1] / (right - left), frame.pixels.shape[0] / (bottom - top)] * 2)
    boxes = ((np.array([*seen]).reshape(-1, 4) - (left, top, left, top)) * scale).astype(np.float32)
    points = boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]
    return {BOXES: boxes, SCORES: np.array([[score] for score in seen.values()], np.float32).reshape(-1, 1), LANDMARKS: points}
