from __future__ import annotations

import numpy as np
import pytest

from mingmu.compress.finds import Finds
from mingmu.core.errors import Conflict
from mingmu.tasks.boxes import Found
from mingmu.tasks.matching import Truth

CELL, BOX = 40.0, 30.0  # each box stands in a cell of its own


def boxes(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    left = CELL * np.arange(count)
    return np.stack([left, 0 * left, left + BOX, 0 * left + BOX], axis=1)


def finds(*photos: list[float], told: bool = True, groups: list[int] | None = None) -> Finds:
    """Photos with a thing in each place, and the score with which it is found there; 0: it is not found."""
    said = []
    for scores in photos:
        order = np.argsort(-np.array(scores), kind="stable")
        order = order[np.array(scores)[order] > 0]
        found = boxes(len(scores))[order].astype(np.float32)
        said.append(Found(found, np.array(scores, np.float32)[order], np.zeros(len(order), np.int64), order))
    there = tuple(Truth(boxes(len(scores)), np.zeros(len(scores), np.int64)) for scores in photos)
    numbers = np.arange(len(photos)) if groups is None else np.array(groups)
    return Finds(tuple(said), there if told else None, numbers, 1, 0.3)


ALL = [0.9, 0.8]  # of a photo with two things


def test_what_finds_the_same_on_many_photos_passes() -> None:
    verdict = finds(*[ALL] * 200).judge(finds(*[ALL] * 200))
    assert verdict.passed
    assert verdict.accuracy
    assert (verdict.accuracy.photos, verdict.accuracy.kept.value) == (200, 1.0)
    assert verdict.reason.startswith("keeps 100.0% of the AP50 (98.7% to 101.4%); 400 of 400 sure boxes stay")


def test_few_photos_prove_nothing_however_many_boxes_each_has_and_it_is_said_how_many_would() -> None:
    crowd = [0.9] * 30
    verdict = finds(*[crowd] * 40).judge(finds(*[crowd] * 40))
    assert not verdict.passed
    assert "40 photos are too few to tell: the lower end must reach 98.5%, which takes about 180" in verdict.reason
    assert finds(*[crowd] * 40).judge(finds(*[crowd] * 40), exact=True).passed


def test_what_differs_on_frames_of_one_video_may_well_do_so_on_others() -> None:
    before, after, clips = [ALL] * 1000, [[0.9, 0.7]] * 10 + [[0.9, 0.0]] * 5 + [ALL] * 985, [number // 10 for number in range(1000)]
    apart, together = (finds(*before, groups=groups).judge(finds(*after)).accuracy for groups in (None, clips))
    assert apart
    assert together
    assert together.kept.low < apart.kept.low


def test_what_loses_boxes_is_refused_and_the_figure_is_said() -> None:
    verdict = finds(*[ALL] * 200).judge(finds(*[ALL] * 190, *[[0.9, 0.0]] * 10))
    assert not verdict.passed
    assert "of the AP50" in verdict.reason
    assert "only 390 of 400 sure boxes stay" in verdict.reason


def test_boxes_that_are_new_count_against_it_too() -> None:
    before, after = finds(*[[0.9, 0.0]] * 200, told=False), finds(*[[0.9, 0.0]] * 195, *[[0.9, 0.8]] * 5, told=False)
    verdict = before.judge(after)
    assert not verdict.passed
    assert "only 200 of 200 sure boxes stay, 5 are new" in verdict.reason


def test_where_nobody_says_what_is_there_what_it_was_sure_of_counts() -> None:
    before = finds(*[[0.9, 0.2]] * 200, told=False)
    assert (before.accuracy.boxes, before.accuracy.ap50) == (200, 1.0)
    assert before.judge(finds(*[[0.6, 0.0]] * 200, told=False)).passed


def test_what_loses_two_percent_of_the_photos_seldom_passes() -> None:
    random = np.random.default_rng(0)

    def passes() -> bool:
        scores = random.uniform(0.31, 0.49, (250, 2))  # it is sure of none
        lost = scores * (random.random((250, 1)) >= 0.02)
        return finds(*scores.tolist()).judge(finds(*lost.tolist())).passed

    assert sum(passes() for _ in range(15)) <= 2


def test_as_many_photos_as_are_said_to_be_needed_are_enough() -> None:
    before, after = finds(*[ALL] * 100), finds(*[ALL] * 99, [0.9, 0.0])
    (needed,) = (
        int(word) for word in before.judge(after).reason.replace(",", "").replace(";", "").split() if word.isdigit() and int(word) > 250
    )
    times = -(-needed // 100)
    assert finds(*[ALL] * 100 * times).judge(finds(*([ALL] * 99 + [[0.9, 0.0]]) * times)).passed


def test_a_rare_thing_that_is_lost_in_whole_draws_widens_the_interval() -> None:
    before = finds([0.9], [0.9], *[[]] * 48)  # two photos show something; a draw without the first keeps nothing or all
    verdict = before.judge(finds([0.9], [0.0], *[[]] * 48))
    assert verdict.accuracy
    assert verdict.accuracy.kept.value == 0.5
    assert verdict.accuracy.kept.low < 0.15


def test_without_a_box_nothing_can_be_compared() -> None:
    with pytest.raises(Conflict, match="no box is there"):
        _ = finds([0.0], [0.1], told=False).accuracy
    with pytest.raises(Conflict, match="finds nothing of what is there"):
        finds([0.0], [0.0]).judge(finds(ALL, ALL))
