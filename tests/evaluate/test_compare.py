from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mingmu.core.errors import Conflict
from mingmu.core.manifest import DetectSpec
from mingmu.data.dataset import Example
from mingmu.evaluate.compare import compare, compare_boxes
from mingmu.evaluate.predictions import UNKNOWN, Predictions
from mingmu.evaluate.sightings import Sightings
from mingmu.tasks.boxes import Found
from mingmu.tasks.matching import Truth
from tests.evaluate.made import predictions


def right_on(right: list[bool], groups: list[str] | None = None) -> Predictions:
    return predictions([0] * len(right), np.array([[0.9, 0.1] if good else [0.1, 0.9] for good in right]), groups=groups)


def test_a_clear_gain_is_told_with_its_size() -> None:
    found = compare(right_on([True] * 60 + [False] * 40), right_on([True] * 85 + [False] * 15))
    assert (found.only_a, found.only_b, found.better) == (0, 25, "B")
    assert found.difference.value == pytest.approx(0.25)
    assert found.p == pytest.approx(2 * 0.5**25)
    assert found.verdict.startswith("B is better, by 25.0 points (95 % interval")


def test_turning_the_two_round_turns_the_verdict_round() -> None:
    found = compare(right_on([True] * 85 + [False] * 15), right_on([True] * 60 + [False] * 40))
    assert found.better == "A"
    assert found.verdict.startswith("A is better, by 25.0 points")


def test_a_small_gain_on_few_photos_is_not_called_one() -> None:
    found = compare(right_on([True] * 30 + [False] * 20), right_on([True] * 34 + [False] * 16))
    assert found.better is None
    assert found.verdict == "no difference can be shown with 50 photos (a difference under about 13.7 points would not be visible)"


def test_equal_recognizers_have_an_interval_around_nothing() -> None:
    found = compare(right_on([True, False] * 20), right_on([True, False] * 20))
    assert (found.p, found.difference.value, found.better) == (1.0, 0.0, None)


def test_gains_that_all_come_from_one_group_are_no_proof() -> None:
    groups = ["one patient"] * 12 + [f"patient {i}" for i in range(28)]
    found = compare(right_on([False] * 12 + [True] * 28, groups), right_on([True] * 40, groups))
    assert found.p < 0.05
    assert found.better is None


def test_only_photos_that_both_could_look_at_are_paired() -> None:
    a, b = right_on([True] * 10), right_on([True] * 10)
    shorter = replace(b, examples=b.examples[:8], scores=b.scores[:8], truth=b.truth[:8])
    found = compare(a, shorter)
    assert (found.examples, found.left_out) == (8, 2)


def test_recognizers_measured_on_other_photos_cannot_be_compared() -> None:
    a = right_on([True] * 4)
    with pytest.raises(Conflict, match="not measured on the same photos"):
        compare(a, replace(a, examples=tuple(replace(example, name="x" + example.name) for example in a.examples)))
    with pytest.raises(Conflict, match="different labels"):
        compare(a, replace(a, examples=tuple(replace(example, labels=("b",)) for example in a.examples)))


def test_labels_that_only_one_of_them_knows_are_left_out_said_and_counted_beside_that() -> None:
    every = right_on([True] * 30)
    half = replace(every, examples=every.examples[:10], scores=every.scores[:10], truth=every.truth[:10], unknown=(("z", 20),), left_out=20)
    found = compare(half, every)
    assert (found.examples, found.left_out, found.better) == (10, 20, None)
    assert found.counted is not None
    assert (found.counted.examples, found.counted.only_b, found.counted.better) == (30, 20, "B")
    assert found.remarks[:2] == ["Left out: 20 photos.", "A does not know z (20 photos)."]
    assert "counted as a mistake of the other: B is better" in found.remarks[2]


def test_photos_of_labels_that_neither_knows_are_counted_as_left_out() -> None:
    one = replace(right_on([True] * 10), unknown=(("z", 5),), left_out=5)
    assert (compare(one, one).left_out, compare(one, one).counted) == (5, None)


def test_where_all_was_compared_there_is_nothing_to_remark() -> None:
    one = right_on([True, False] * 10)
    assert compare(one, one).remarks == []


def test_what_may_flatter_one_of_them_is_said() -> None:
    one = right_on([True, False] * 10)
    assert "Whether B learned" in " ".join(compare(one, replace(one, source=UNKNOWN)).remarks)
    assert "Not compared on 3 photos" in " ".join(compare(replace(one, learned=3), one).remarks)


PLACE = np.array([[10.0, 10.0, 60.0, 60.0]])


def _found(kind: int, score: float, aside: float = 0.0) -> Found:
    count = int(score > 0)
    return Found(
        PLACE[:count].astype(np.float32) + aside, np.full(count, score, np.float32), np.full(count, kind), np.zeros(count, np.int64)
    )


def sightings(*scores: float, labels: tuple[str, ...] = ("cat", "dog"), groups: list[str] | None = None) -> Sightings:
    """Photos of a cat each, and the score with which it is found; 0: it is not found."""
    cat = labels.index("cat")
    said = [_found(cat, score) for score in scores]
    examples = [Example(f"{at:064d}", ("cat",), f"{at}.jpg", group=groups[at] if groups else None) for at in range(len(scores))]
    there = [Truth(PLACE, np.array([cat]))] * len(scores)
    return Sightings(labels, tuple(examples), tuple(said), tuple(there), ((99, 99),) * len(scores), DetectSpec())


def test_of_two_detectors_the_one_that_finds_more_is_better() -> None:
    found = compare_boxes(sightings(*[0.9] * 40, *[0.0] * 20), sightings(*[0.9] * 58, *[0.0] * 2, labels=("cow", "cat")))
    assert (found.better, found.boxes, found.only_a, found.only_b) == ("B", 60, 0, 18)
    assert found.a.value == pytest.approx(40 / 60, abs=0.01)
    assert found.verdict.startswith("B is better, by 29.7 points of AP50 (95 % interval")


def test_a_detector_that_makes_things_up_is_not_better_though_it_finds_more() -> None:
    careful, eager = sightings(*[0.9] * 50, *[0.0] * 10), sightings(*[0.9] * 60)
    nothing = _found(0, 0.4, aside=300)
    eager = replace(eager, said=tuple(_both(found, nothing) for found in eager.said))
    found = compare_boxes(careful, eager)
    assert (found.only_a, found.only_b, found.better) == (50, 0, None)


def _both(one: Found, other: Found) -> Found:
    return Found(*(np.concatenate([getattr(each, name) for each in (one, other)]) for name in ("boxes", "scores", "classes", "rows")))


def test_few_photos_show_no_difference_between_detectors_and_it_is_said_which_would_have_shown_itself() -> None:
    found = compare_boxes(sightings(*[0.9] * 8, 0.0, 0.0), sightings(*[0.9] * 10))
    assert found.better is None
    assert "no difference can be shown with 10 photos (a difference under about" in found.verdict
    assert "points of AP50 would not be visible" in found.verdict


def test_frames_of_one_video_count_once_when_detectors_are_compared() -> None:
    clips = [f"clip {at // 10}" for at in range(60)]
    found = compare_boxes(sightings(*[0.0] * 10, *[0.9] * 50, groups=clips), sightings(*[0.9] * 60, groups=clips))
    assert (found.only_b, found.better) == (1, None)


def test_detectors_without_a_label_in_common_cannot_be_compared() -> None:
    with pytest.raises(Conflict, match="no box has a label that both"):
        compare_boxes(sightings(0.9), replace(sightings(0.9), labels=("lynx", "dog")))


def test_what_detectors_were_not_compared_on_is_said_in_boxes() -> None:
    one = replace(sightings(*[0.9] * 10), unknown=(("cow", 3),), unboxed=2)
    found = compare_boxes(one, one)
    assert found.remarks == ["Left out: 2 photos.", "A does not know cow (3 boxes).", "B does not know cow (3 boxes)."]
