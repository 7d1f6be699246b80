"""Figures marked scipy are those of scipy 1.17.1."""

from __future__ import annotations

import numpy as np
import pytest

from mingmu.evaluate.intervals import Estimate, bootstrap, effective_share, f1, mcnemar, mean, proportion, wilson

WAITS = np.array([0.1, 0.3, 0.2, 2.5, 0.05, 0.7, 0.9, 0.15, 4.0, 0.4, 0.33, 0.61, 1.2, 0.08, 0.5])


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(8, 10, 0.4901624715, 0.9433178485), (0, 20, 0.0, 0.1611251581), (190, 200, 0.9104218519, 0.9726173544)],
)
def test_wilsons_interval_is_that_of_scipy(right: int, n: int, low: float, high: float) -> None:
    assert wilson(right / n, n) == pytest.approx((low, high), abs=1e-9)


def test_a_perfect_score_on_few_photos_is_not_taken_for_certainty() -> None:
    found = proportion(30, 30)
    assert found == Estimate(1.0, found.low, 1.0, "Wilson")
    assert found.low == pytest.approx(0.8865, abs=1e-4)


@pytest.mark.parametrize(("a", "b", "p"), [(3, 12, 0.03515625), (40, 80, 0.00033040001839), (5, 5, 1.0), (0, 0, 1.0)])
def test_mcnemars_p_is_the_binomial_one_of_scipy(a: int, b: int, p: float) -> None:
    assert mcnemar(a, b) == mcnemar(b, a) == pytest.approx(p, rel=1e-9)


def test_mcnemar_is_exact_for_thousands_of_disagreements() -> None:
    assert mcnemar(10_000, 10_000) == 1.0
    assert 0 < mcnemar(4_800, 5_200) < 1e-4


def test_the_bootstrap_of_a_skewed_mean_is_that_of_scipy() -> None:
    found = bootstrap(lambda weights: float(WAITS @ weights / weights.sum()), np.arange(15), replicates=20_000)
    assert found.value == pytest.approx(WAITS.mean())
    assert (found.low, found.high) == pytest.approx((0.424, 1.627), abs=0.03)  # scipy.stats.bootstrap, BCa, 200,000 resamples


def test_the_same_seed_gives_the_same_interval() -> None:
    def mean_wait(weights: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
        return float(WAITS @ weights / weights.sum())

    assert bootstrap(mean_wait, np.arange(15), seed=3) == bootstrap(mean_wait, np.arange(15), seed=3)
    assert bootstrap(mean_wait, np.arange(15), seed=3) != bootstrap(mean_wait, np.arange(15), seed=4)


def test_copies_of_photos_in_groups_do_not_narrow_an_interval() -> None:
    right = np.random.default_rng(0).random(40) < 0.8
    copied, groups = np.repeat(right, 5), np.repeat(np.arange(40), 5)
    assert effective_share(right, np.arange(40)) == 1
    assert effective_share(copied, groups) == pytest.approx(1 / 5, rel=0.05)
    alone = bootstrap(lambda weights: float(right @ weights / weights.sum()), np.arange(40))
    together = bootstrap(lambda weights: float(copied @ weights / weights.sum()), groups)
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))
    assert together.method == "bootstrap over groups (BCa)"


def test_groups_without_a_single_mistake_count_as_one_photo_each() -> None:
    assert effective_share(np.ones(20, bool), np.repeat(np.arange(4), 5)) == 4 / 20


def test_f1_intervals_hold_the_true_f1_as_often_as_they_promise() -> None:
    rng, held = np.random.default_rng(0), 0
    for hits, alarms, misses, _ in rng.multinomial(150, [0.2, 0.05, 0.1, 0.65], size=1000):
        found = f1(hits, alarms, misses)
        held += found.low <= 0.4 / 0.55 <= found.high
    assert 930 <= held <= 970


def test_the_interval_of_a_mean_is_narrower_than_those_of_its_parts_and_never_empty() -> None:
    found = mean([proportion(10, 10), proportion(10, 10), proportion(9, 10)])
    assert found.value == pytest.approx(29 / 30)
    assert 0.72 < found.low < found.value < found.high <= 1
