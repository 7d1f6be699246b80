from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mingmu.compress.gate import Verdict, judge_answers, judge_own, judge_probes, photos_needed, ratio
from mingmu.core.errors import Conflict
from mingmu.core.manifest import Precision, Runs
from mingmu.core.sealing import seal_variant
from tests import tiny


def answers(count: int, wrong: int, start: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    right = np.ones(count, np.bool_)
    right[start : start + wrong] = False
    return right


def test_a_variant_that_answers_alike_on_many_photos_passes() -> None:
    verdict = judge_answers(answers(1000, 50), answers(1000, 52))
    assert verdict.passed
    assert verdict.accuracy
    assert verdict.accuracy.kept.value == pytest.approx(948 / 950)
    assert "keeps 99.8% of the accuracy" in verdict.reason


def test_a_variant_that_is_right_less_often_is_refused_and_the_figure_is_said() -> None:
    verdict = judge_answers(answers(1000, 50), answers(1000, 65))
    assert not verdict.passed
    assert "98.4%" in verdict.reason
    assert "at least 99% is needed" in verdict.reason


def of_boxes(folder: Path, graph: bytes, *, sure: float = 1.0) -> Verdict:
    sealed = tiny.seal_detector(folder / "sealed", sure=sure)
    return judge_probes(sealed, seal_variant(folder / "variant", sealed, Runs(precision="bf16"), graph))


@pytest.mark.parametrize(("moved", "passes"), [(0.0, True), (0.1, True), (2.0, False)])
def test_a_box_that_moves_far_is_refused(tmp_path: Path, moved: float, passes: bool) -> None:
    verdict = of_boxes(tmp_path, tiny.detector_graph(moved))
    assert verdict.passed is passes
    assert passes or "a box of the probes with a score of 0.89 is gone: a box must share 0.85 of its union" in verdict.reason


def test_boxes_that_change_places_are_the_same_boxes(tmp_path: Path) -> None:
    assert of_boxes(tmp_path, tiny.detector_graph(turned=True)).passed


@pytest.mark.parametrize(("before", "after", "problem"), [(1.0, 0.5, "is gone"), (0.2, 1.0, "is new"), (1.0, 0.9, "")])
def test_a_box_that_it_is_far_less_or_more_sure_of_is_refused(tmp_path: Path, before: float, after: float, problem: str) -> None:
    verdict = of_boxes(tmp_path, tiny.detector_graph(sure=after), sure=before)
    assert verdict.passed is not bool(problem)
    assert problem in verdict.reason


def test_a_few_photos_without_a_difference_prove_nothing_and_it_is_said_how_many_would() -> None:
    verdict = judge_answers(answers(100, 0), answers(100, 0))
    assert not verdict.passed
    assert "100 photos are too few to tell: the lower end must reach 98.5%, which takes about 180" in verdict.reason
    assert judge_answers(answers(180, 0), answers(180, 0)).passed
    assert not judge_answers(answers(178, 0), answers(178, 0)).passed


def test_few_photos_are_no_reason_against_what_computes_the_same() -> None:
    assert judge_answers(answers(30, 0), answers(30, 0), exact=True).passed
    assert not judge_answers(answers(30, 0), answers(30, 1), exact=True).passed


def test_of_many_candidates_more_is_asked_than_of_one() -> None:
    before, after = answers(1000, 50), answers(1000, 50, start=10)  # 20 answers differ
    one, four = judge_answers(before, after).accuracy, judge_answers(before, after, tries=4).accuracy
    assert one
    assert four
    assert four.kept.low < one.kept.low < 1 < one.kept.high < four.kept.high


def test_what_loses_two_percent_seldom_passes_even_as_the_best_of_three() -> None:
    random = np.random.default_rng(0)

    def passes() -> bool:
        draw = random.random(1000)  # the network is right below 0.8; the variant loses 2.6 % of all, and gains 1 %
        return judge_answers(draw < 0.8, (draw >= 0.026) & (draw < 0.81), tries=3).passed

    assert sum(any([passes(), passes(), passes()]) for _ in range(300)) <= 15


@pytest.mark.parametrize("wrong", [0, 1, 20])
def test_as_many_photos_as_are_said_to_be_needed_are_enough(wrong: int) -> None:
    before, after = answers(400, 20), answers(400, 20, start=wrong)
    needed = photos_needed(before, after, tries=3)
    share = needed / 400
    assert judge_answers(answers(needed, int(20 * share)), answers(needed, int(20 * share), start=int(wrong * share)), tries=3).passed


def test_answers_that_are_never_right_cannot_be_compared() -> None:
    with pytest.raises(Conflict, match="right on none"):
        judge_answers(answers(10, 10), answers(10, 0))


def test_each_end_of_the_interval_holds_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    above = below = 0
    for _ in range(1000):
        kind = random.choice(4, 300, p=[0.84, 0.05, 0.04, 0.07])  # both right, only the first, only the second, neither
        kept = ratio(kind <= 1, (kind == 0) | (kind == 2)).kept
        above += kept.low <= 0.88 / 0.89
        below += kept.high >= 0.88 / 0.89
    assert 0.94 <= above / 1000 <= 0.98
    assert 0.94 <= below / 1000 <= 0.98


def test_answers_that_a_recognizer_was_sure_of_must_stay_the_same() -> None:
    before = np.array([[0.9, 0.1]] * 100 + [[0.2, 0.3]] * 50, np.float32)
    after = before.copy()
    after[100:] = (0.3, 0.2)  # it was not sure of these
    assert judge_own(before, after) == Verdict(True, "100 of 100 sure answers stay the same")
    after[:2] = (0.4, 0.6)
    assert not judge_own(before, after).passed
    assert judge_own(before[100:], after[100:]).passed


def test_both_verdicts_must_be_good_and_the_reason_is_what_fails() -> None:
    good, bad = Verdict(True, "a"), Verdict(False, "b")
    assert (good & good) == Verdict(True, "a; a")
    assert (good & bad) == (bad & good) == Verdict(False, "b")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_probes_of_a_variant_that_is_nearly_the_same_agree(tmp_path: Path, precision: Precision) -> None:
    sealed = tiny.seal_backbone(tmp_path / "sealed")
    variant = seal_variant(tmp_path / "variant", sealed, Runs(precision=precision), tiny.backbone_graph(white=254.9))
    assert judge_probes(sealed, variant).passed


def test_probes_of_a_variant_that_sees_other_colours_do_not_agree(tmp_path: Path) -> None:
    sealed = tiny.seal_backbone(tmp_path / "sealed")
    variant = seal_variant(tmp_path / "variant", sealed, Runs(precision="int8"), tiny.backbone_graph(white=-255))
    verdict = judge_probes(sealed, variant)
    assert not verdict.passed
    assert "cosine -1.000; at least 0.8 is needed" in verdict.reason


def test_scores_of_a_whole_model_may_move_a_little(tmp_path: Path) -> None:
    sealed = tiny.seal_whole(tmp_path / "sealed")
    assert judge_probes(sealed, seal_variant(tmp_path / "same", sealed, Runs(precision="int8"))).passed
    other = seal_variant(tmp_path / "other", sealed, Runs(precision="int8"), tiny.whole_graph(steep=-1.0))
    assert "a probe's score moves by" in judge_probes(sealed, other).reason
