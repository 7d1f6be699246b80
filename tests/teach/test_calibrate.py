from __future__ import annotations

import numpy as np
import pytest

from mingmu.core import doubt
from mingmu.core.head import softmax
from mingmu.teach import calibrate
from mingmu.teach.truth import Floats, Ints


def said(count: int, *, seed: int = 0, heat: float = 1.0) -> tuple[Floats, Ints]:
    """Logits whose softmax at temperature `heat` is exactly the truth's distribution."""
    random = np.random.default_rng(seed)
    logits = (2 * random.normal(size=(count, 5))).astype(np.float32)
    drawn = np.array([random.choice(5, p=row / row.sum()) for row in softmax(logits).astype(np.float64)])
    return logits * np.float32(heat), drawn


@pytest.mark.parametrize("heat", [0.05, 1.0, 40.0])
def test_the_temperature_undoes_overconfidence(heat: float) -> None:
    assert calibrate.temperature_of(*said(4000, heat=heat)) == pytest.approx(heat, rel=0.1)


@pytest.mark.parametrize("count", [200, 3000])
@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_sets_hold_the_truth_as_often_as_promised(count: int, coverage: float) -> None:
    logits, classes = said(count)
    scores = calibrate.conformal_scores(softmax(logits), classes)
    fresh, truth = said(6000, seed=1)
    inside = doubt.prediction_sets(softmax(fresh), scores, coverage)
    covered = inside[np.arange(len(truth)), truth].mean()
    assert covered == pytest.approx(coverage, abs=0.08 if count == 200 else 0.03)  # three standard errors of the calibration part


def test_thinned_scores_never_promise_more() -> None:
    logits, classes = said(3000)
    probabilities = softmax(logits)
    every = np.sort(1 - probabilities[np.arange(3000), classes])
    thinned = calibrate.conformal_scores(probabilities, classes)
    assert len(thinned) == calibrate.MOST_SCORES
    for coverage in np.linspace(0.01, 0.999, 60):
        assert doubt.largest_score(thinned, coverage) >= doubt.largest_score(every, coverage) - 1e-6


def test_too_few_scores_promise_only_the_set_of_everything() -> None:
    assert doubt.largest_score(np.zeros(9, np.float32), 0.95) == 1.0
    assert doubt.prediction_sets(np.full((1, 4), 0.25, np.float32), np.zeros(0, np.float32), 0.9).all()


def test_a_set_always_holds_the_likeliest_class() -> None:
    inside = doubt.prediction_sets(np.array([[0.4, 0.35, 0.25]], np.float32), np.full(100, 0.1, np.float32), 0.9)
    np.testing.assert_array_equal(inside, [[True, False, False]])


def test_what_points_nowhere_near_a_class_is_unlike_anything_seen() -> None:
    means = np.array([[4, 0, 0], [0, 4, 0]], np.float32)
    middle, toward = means.mean(axis=0), calibrate.directions(means)
    known = doubt.likeness(means + np.float32(0.1), middle, toward)
    strange = doubt.likeness(np.array([[2, 2, 5]], np.float32), middle, toward)
    assert strange[0] < calibrate.strangest(known)


def test_where_every_answer_is_right_a_few_photos_do_not_prove_certainty() -> None:
    """Nothing bounds such a temperature from below; 20 of 20 right, by the rule of succession, are 21 of 22."""
    logits, classes = 9 * np.tile(np.eye(4, dtype=np.float32), (5, 1)), np.tile(np.arange(4), 5)
    scores = softmax(logits / calibrate.careful_temperature(logits, classes))
    assert scores.max(axis=1).mean() == pytest.approx(21 / 22, abs=0.02)
    hardly = np.array([*classes[:-1], 0])  # one mistake is evidence enough
    assert calibrate.careful_temperature(logits, hardly) == calibrate.temperature_of(logits, hardly)


def test_no_photos_label_has_a_part_in_its_own_score() -> None:
    logits, classes = said(100)
    fold = np.arange(100) % 5
    changed = np.where(fold == 2, (classes + 1) % 5, classes)
    before, after = (calibrate.held_out_scores(logits, truth, fold) for truth in (classes, changed))
    np.testing.assert_array_equal(before[fold == 2], after[fold == 2])
    assert not np.array_equal(before[fold == 3], after[fold == 3])


def test_a_temperature_that_falls_with_the_inverse_of_the_photos_is_continued_to_all_of_them() -> None:
    """log T = 1 + 0.8 / share: at four fifths 2, at half 2.6, at all 1.8."""
    fold, half = np.arange(100) % 5, np.arange(100) % 2
    assert np.log(calibrate.foreseen_temperature(np.exp(2.0), fold, np.exp(2.6), half)) == pytest.approx(1.8)


@pytest.mark.parametrize("few", [2, 3, 4])
def test_a_temperature_is_not_continued_far(few: int) -> None:
    assert calibrate.foreseen_temperature(2.0, np.arange(60) % few, 4.0, np.arange(60) % 2) == 2.0


def test_folds_of_very_unequal_size_are_not_continued_from() -> None:
    fold, half = np.repeat([0, 1, 2], [50, 6, 4]), np.repeat([0, 1], [50, 10])
    assert calibrate.foreseen_temperature(2.0, fold, 4.0, half) == 2.0


def test_with_several_labels_the_temperature_undoes_overconfidence_too() -> None:
    random = np.random.default_rng(0)
    logits = (2 * random.normal(size=(3000, 3))).astype(np.float32)
    truth = random.random(logits.shape) < 1 / (1 + np.exp(-logits))
    assert calibrate.temperature_of(7 * logits, truth) == pytest.approx(7, rel=0.1)


def test_photos_that_count_as_wrong_make_it_less_sure() -> None:
    logits, classes = 9 * np.eye(4, dtype=np.float32), np.arange(4)
    sure, unsure = (softmax(logits / calibrate.temperature_of(logits, classes, wrong=wrong)).max() for wrong in (0.0, 0.1))
    assert sure > 0.99
    assert unsure == pytest.approx(0.925, abs=0.01)  # nine tenths, and a quarter of the tenth
