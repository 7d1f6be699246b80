from __future__ import annotations

import numpy as np
import pytest

from mingmu.core.answers import ANY, Box, Boxes, Wish
from mingmu.core.manifest import DetectSpec, Manifest
from mingmu.core.pixels import View
from mingmu.core.runtime import Outputs
from mingmu.tasks.detect import LEAST_SCORE, Detect
from tests.tiny import LABELS, ORIGIN, PIXELS

MANIFEST = Manifest(kind="model", name="d", task="detect", pixels=PIXELS, labels=LABELS, detect=DetectSpec(most=2), origin=ORIGIN)
WIDE = View((8, 8), (160, 80), (0, 0, 160, 160))  # a wide picture in the left upper corner of a square frame


def rows(*things: tuple[tuple[float, float, float, float], float]) -> Outputs:
    scores = np.zeros((len(things), len(LABELS)), np.float32)
    scores[:, 1] = [score for _, score in things]
    return {"boxes": np.array([box for box, _ in things], np.float32).reshape(-1, 4), "scores": scores}


def read(outputs: Outputs, wish: Wish = ANY, view: View = WIDE) -> tuple[Box, ...]:
    task = Detect()
    answer = task.interpret(task.kept(outputs), view, MANIFEST, wish)
    assert isinstance(answer, Boxes)
    return answer.boxes


def test_boxes_are_in_pixels_of_the_original() -> None:
    assert read(rows(((1, 1, 3, 2), 0.75))) == (Box("green", 0.75, 20.0, 20.0, 40.0, 20.0),)


def test_what_lies_outside_of_the_picture_is_cut_off() -> None:
    assert read(rows(((-3, 2, 2, 8), 0.75), ((1, 5, 3, 7), 0.9))) == (Box("green", 0.75, 0.0, 40.0, 40.0, 40.0),)


def test_the_manifest_says_what_counts_and_a_request_may_say_otherwise() -> None:
    outputs = rows(((0, 0, 2, 2), 0.8), ((0, 0, 2, 1.6), 0.7), ((4, 0, 6, 2), 0.5), ((6, 0, 8, 2), 0.4), ((2, 0, 4, 2), 0.2))
    assert [box.score for box in read(outputs)] == pytest.approx([0.8, 0.5])
    assert [box.score for box in read(outputs, Wish(top=9))] == pytest.approx([0.8, 0.5, 0.4])
    assert [box.score for box in read(outputs, Wish(top=9, threshold=0.1))] == pytest.approx([0.8, 0.5, 0.4, 0.2])
    assert [box.score for box in read(outputs, Wish(top=9, overlap=0.9))] == pytest.approx([0.8, 0.7, 0.5, 0.4])
    assert read(outputs, Wish(threshold=1.0)) == ()


def test_boxes_that_are_none_are_never_answers() -> None:
    nan, inf = float("nan"), float("inf")
    outputs = rows(((nan, 0, 2, 2), 0.9), ((0, 0, inf, 2), 0.9), ((3, 3, 3, 3), 0.9), ((4, 4, 1, 1), 0.9), ((0, 0, 2, 2), LEAST_SCORE / 2))
    assert read(outputs, Wish(threshold=0.0)) == ()


def test_what_is_kept_holds_on_to_nothing_else() -> None:
    kept = Detect().kept(rows(*[((0.0, 0.0, 2.0, 2.0), 0.0)] * 1000, ((0, 0, 2, 2), 0.9)))
    assert sum(values.nbytes for values in kept.values()) < 100
    assert all(values.base is None for values in kept.values())
