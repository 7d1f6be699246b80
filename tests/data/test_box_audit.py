from __future__ import annotations

import numpy as np

from mingmu.data.box_audit import box_findings, doubted
from mingmu.data.dataset import Dataset, Example, Region
from mingmu.tasks.boxes import Found

CAR = Region("car", 100, 100, 200, 100)


def _kinds(*regions: Region) -> list[str]:
    dataset = Dataset.of([Example("0" * 64, ("car",), "a.jpg", regions=regions)])
    return [finding.kind for finding in box_findings(dataset, np.array([[1280.0, 720.0]]))]


def _said(*places: tuple[float, int, Region]) -> Found:
    boxes = np.array([(box.x, box.y, box.x + box.width, box.y + box.height) for _, _, box in places], np.float32).reshape(-1, 4)
    scores, classes = np.array([score for score, _, _ in places], np.float32), np.array([kind for _, kind, _ in places], np.int64)
    return Found(boxes, scores, classes, np.arange(len(boxes)))


def _doubts(regions: tuple[Region, ...], *places: tuple[float, int, Region]) -> list[tuple[str, str | None]]:
    example = Example("0" * 64, ("car",), "a.jpg", regions=regions)
    return [(finding.kind, finding.suggestion) for finding in doubted([example], [_said(*places)], ("bus", "car"))]


def test_good_boxes_are_left_alone() -> None:
    assert _kinds(CAR, Region("car", 180, 100, 200, 100)) == []


def test_boxes_too_small_to_be_found_are_said() -> None:
    assert _kinds(CAR, Region("car", 10, 10, 60, 9)) == ["tiny-box"]


def test_the_same_thing_boxed_twice_and_two_labels_in_one_place() -> None:
    assert _kinds(CAR, Region("car", 102, 101, 199, 100)) == ["double-box"]
    assert _kinds(CAR, Region("bus", 102, 101, 199, 100)) == ["box-clash"]


def test_an_image_that_cannot_be_decoded_has_no_size_to_judge_by() -> None:
    dataset = Dataset.of([Example("0" * 64, ("car",), "a.jpg", regions=(CAR,))])
    assert not [*box_findings(dataset, np.full((1, 2), np.nan))]


def test_what_a_detector_is_sure_of_and_nobody_boxed_is_missing() -> None:
    other = Region("", 500, 100, 200, 100)
    assert _doubts((CAR,), (0.9, 1, CAR), (0.8, 1, other)) == [("missing-box", "car")]
    assert _doubts((), (0.9, 0, other)) == [("missing-box", "bus")]
    assert _doubts((CAR,), (0.4, 1, other)) == []


def test_a_box_that_a_detector_takes_for_something_else_is_doubted() -> None:
    assert _doubts((CAR,), (0.9, 0, CAR)) == [("box-label", "bus")]
    assert _doubts((CAR,), (0.9, 0, Region("", 150, 100, 120, 90))) == []  # part of it: neither missing nor wrong
