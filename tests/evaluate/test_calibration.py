from __future__ import annotations

import numpy as np
import pytest

from mingmu.evaluate.calibration import calibration, coverage, selective


def test_ece_is_the_mean_gap_of_the_bins() -> None:
    confidence, right = np.array([0.95] * 10 + [0.55] * 10), np.array([True] * 8 + [False] * 2 + [True] * 5 + [False] * 5)
    found = calibration(confidence, right)
    assert found.ece == pytest.approx((0.15 + 0.05) / 2)


def test_bins_of_equal_mass_hold_equally_many_answers() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(300)
    found = calibration(confidence, rng.random(300) < confidence)
    assert [bin.count for bin in found.bins] == [20] * 15
    assert [bin.low for bin in found.bins] == sorted(bin.low for bin in found.bins)


def test_honest_confidence_looks_worse_than_chance_once_in_twenty_times_and_boasting_always() -> None:
    rng, beyond = np.random.default_rng(0), 0
    for _ in range(60):
        confidence = 0.5 + rng.random(200) / 2
        honest = calibration(confidence, rng.random(200) < confidence)
        beyond += honest.ece > honest.by_chance
    assert beyond <= 8
    boasting = calibration(confidence, rng.random(200) < confidence - 0.25)
    assert boasting.ece > boasting.by_chance


def test_a_confidence_of_one_falls_in_the_last_bin() -> None:
    assert calibration(np.ones(4), np.ones(4, bool)).ece == 0


def test_refusing_the_unsure_raises_accuracy_where_confidence_means_something() -> None:
    confidence = np.linspace(0, 1, 100)
    rows = selective(confidence, confidence > 0.5)
    assert [rows[0].share, rows[-1].share] == [1.0, 0.05]
    assert rows[0].accuracy.value == 0.5
    half = next(row for row in rows if row.share == 0.5)
    assert half.accuracy.value == 1
    assert half.threshold == pytest.approx(50 / 99)


def test_coverage_counts_sets_that_hold_the_truth_and_tells_a_broken_promise() -> None:
    truth = np.eye(2, dtype=bool)[np.arange(100) % 2]
    everything, one_sided = np.ones((100, 2), bool), np.tile([True, False], (100, 1))
    kept, broken = coverage({0.9: everything, 0.95: one_sided}, truth)
    assert (kept.held.value, kept.size, kept.kept) == (1.0, 2.0, True)
    assert (broken.held.value, broken.size, broken.empty, broken.kept) == (0.5, 1.0, 0.0, False)


def test_sets_that_hold_more_than_they_promise_are_called_wide_unless_they_are_one_label_each() -> None:
    truth = np.eye(3, dtype=bool)[np.arange(900) % 3]
    twice = truth | np.roll(truth, 1, axis=1)
    just = truth.copy()
    just[:90] = np.roll(truth[:90], 1, axis=1)
    assert coverage({0.9: twice}, truth)[0].wide
    assert not coverage({0.9: truth}, truth)[0].wide
    assert not coverage({0.9: just}, truth)[0].wide
