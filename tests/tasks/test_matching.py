from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest

from mingmu.tasks.boxes import Found
from mingmu.tasks.matching import SIDES, Area, Truth, mean_average_precision, rankings

CLASSES = 3


def _pictures(seed: int, count: int = 12) -> tuple[list[Found], list[Truth]]:
    """Things of all sizes, and boxes said of them: near, far, twice, of another class, and of nothing."""
    rng = np.random.default_rng(seed)
    said, there = [], []
    for _ in range(count):
        many = int(rng.integers(0, 8))
        corners, sides = rng.uniform(0, 300, (many, 2)), np.exp(rng.uniform(2, 5.5, (many, 2)))
        truth = np.concatenate([corners, corners + sides], axis=1)
        classes = rng.integers(0, CLASSES, many)
        near = np.repeat(truth, 2, axis=0) + rng.normal(0, 0.08, (2 * many, 4)) * np.repeat(np.tile(sides, 2), 2, axis=0)
        nothing = rng.uniform(0, 200, (3, 2))
        boxes = np.concatenate([near, np.concatenate([nothing, nothing + rng.uniform(5, 150, (3, 2))], axis=1)])
        kinds = np.concatenate([np.where(rng.random(2 * many) < 0.9, np.repeat(classes, 2), 0), rng.integers(0, CLASSES, 3)])
        scores = np.round(rng.random(len(boxes)), 2).astype(np.float32)  # so that some are equal
        kept = np.argsort(-scores, kind="stable")
        kept = kept[(boxes[kept, 2:] - boxes[kept, :2] > 1).all(axis=1)]
        said.append(Found(boxes[kept].astype(np.float32), scores[kept], kinds[kept].astype(np.int64), kept))
        there.append(Truth(truth, classes.astype(np.int64)))
    return said, there


def _coco(said: list[Found], there: list[Truth]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    def side(box: Any) -> list[float]:
        left, top, right, bottom = map(float, box)
        return [left, top, right - left, bottom - top]

    truth: dict[str, Any] = {
        "images": [{"id": at + 1, "width": 600, "height": 600} for at in range(len(there))],
        "categories": [{"id": kind + 1, "name": str(kind)} for kind in range(CLASSES)],
        "annotations": [],
    }
    for at, picture in enumerate(there):
        for box, kind in zip(picture.boxes, picture.classes, strict=True):
            area = float((box[2] - box[0]) * (box[3] - box[1]))
            truth["annotations"].append(
                {
                    "id": len(truth["annotations"]) + 1,
                    "image_id": at + 1,
                    "category_id": int(kind) + 1,
                    "bbox": side(box),
                    "area": area,
                    "iscrowd": 0,
                }
            )
    found = [
        {"image_id": at + 1, "category_id": int(kind) + 1, "bbox": side(box), "score": float(score)}
        for at, picture in enumerate(said)
        for box, kind, score in zip(picture.boxes, picture.classes, picture.scores, strict=True)
    ]
    return truth, found


def _pycocotools(truth: dict[str, Any], found: list[dict[str, Any]]) -> list[float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = truth
        known.createIndex()
        judged = COCOeval(known, known.loadRes(found), "bbox")
        for step in (judged.evaluate, judged.accumulate, judged.summarize):
            step()
    return [float(value) for value in judged.stats[:6]]


def _faster(truth: dict[str, Any], found: list[dict[str, Any]]) -> list[float]:
    from faster_coco_eval import COCO, COCOeval_faster

    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(truth)
        judged = COCOeval_faster(known, known.loadRes(found), "bbox", print_function=lambda *_: None)
        for step in (judged.evaluate, judged.accumulate, judged.summarize):
            step()
    return [float(value) for value in judged.stats[:6]]


def _ours(said: list[Found], there: list[Truth]) -> list[float]:
    """mAP, AP50, AP75, and mAP of small, medium and large things, as COCO lists them."""
    whole = rankings(said, there, CLASSES)
    sizes: list[Area] = ["small", "medium", "large"]
    figures = [mean_average_precision(whole), mean_average_precision(whole, (0,)), mean_average_precision(whole, (5,))]
    return figures + [mean_average_precision(rankings(said, there, CLASSES, area)) for area in sizes]


@pytest.mark.parametrize("library", ["pycocotools", "faster_coco_eval"])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.filterwarnings("ignore")
def test_figures_are_those_of_cocos_own_evaluation(library: str, seed: int) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed (extra `dev`): nothing to compare with")
    said, there = _pictures(seed)
    reference = {"pycocotools": _pycocotools, "faster_coco_eval": _faster}[library](*_coco(said, there))

    assert _ours(said, there) == pytest.approx(reference, abs=1e-9)


def test_a_picture_that_counts_twice_is_the_same_picture_given_twice() -> None:
    said, there = _pictures(7)
    weights = np.ones(len(there))
    weights[3] = 2

    weighted = mean_average_precision(rankings(said, there, CLASSES), weights=weights)

    assert weighted == pytest.approx(mean_average_precision(rankings([*said, said[3]], [*there, there[3]], CLASSES)), abs=0.02)


def test_all_right_is_one_and_nothing_said_is_zero() -> None:
    _, there = _pictures(1)
    right = [
        Found(each.boxes.astype(np.float32), np.ones(len(each.boxes), np.float32), each.classes, np.arange(len(each.boxes)))
        for each in there
    ]
    silent = [Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), np.arange(0)) for _ in there]

    assert mean_average_precision(rankings(right, there, CLASSES)) == 1
    assert mean_average_precision(rankings(silent, there, CLASSES)) == 0


def test_nothing_to_be_found_gives_no_figure() -> None:
    nothing = Truth(np.zeros((0, 4)), np.zeros(0, np.int64))
    said = Found(np.array([[0, 0, 9, 9]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), np.arange(1))

    assert np.isnan(mean_average_precision(rankings([said], [nothing], 1)))


def test_sizes_meet_without_a_gap() -> None:
    assert SIDES["small"][1] == SIDES["medium"][0]
    assert SIDES["medium"][1] == SIDES["large"][0]


def test_the_area_under_the_curve_is_what_the_mean_over_recalls_comes_near() -> None:
    for seed in range(5):
        for ranking in rankings(*_pictures(seed, 60), CLASSES):
            assert ranking.area() == pytest.approx(ranking.average_precision(), abs=0.01)
    truth, box = Truth(np.array([[0.0, 0, 9, 9]]), np.zeros(1, np.int64)), np.array([[0, 0, 9, 9]], np.float32)
    found = [Found(box[:many], np.ones(many, np.float32), np.zeros(many, np.int64), np.arange(many)) for many in [1] * 997 + [0] * 3]
    (ranking,) = rankings(found, [truth] * 1000, 1)
    assert ranking.area() == pytest.approx(0.997)
    assert ranking.average_precision() == pytest.approx(100 / 101)
    assert np.isnan(rankings(found[-1:], [Truth(np.zeros((0, 4)), np.zeros(0, np.int64))], 1)[0].area())
