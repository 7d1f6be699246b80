from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from mingmu.core.errors import BadRequest
from mingmu.core.manifest import EmbedSpec
from mingmu.evaluate.verification import Compared, measure, measures_of

STRANGERS = EmbedSpec(mean=0, deviation=0.1, pairs=100, things=9)


def drawn(same: int, other: int, apart: float = 0.5) -> Compared:
    """Pairs of photos that are in no other pair; the same are on average so much more alike."""
    rng, count = np.random.default_rng(1), same + other
    similarity = np.concatenate([rng.normal(apart, 0.1, same), rng.normal(0, 0.1, other)])
    photos = np.arange(2 * count).reshape(2, count)
    return Compared(similarity, np.arange(count) < same, photos[0], photos[1])


def test_the_rates_at_a_threshold_are_counted() -> None:
    one = Compared(np.array([0.9, 0.2, 0.4, 0.1]), np.array([True, True, False, False]), np.array([0, 0, 0, 1]), np.array([1, 2, 3, 3]))
    found = measures_of(one, 0.3)
    assert [each.value for each in (found.accuracy, found.true_match_rate, found.false_match_rate)] == [0.5, 0.5, 0.5]
    assert found.curve == ()  # of two pairs of strangers, none can be one in ten
    assert one.people().tolist() == [0, 0, 0, 1]
    assert one.strangers() == EmbedSpec(mean=0.25, deviation=0.15, pairs=2, things=2)


def test_the_curve_is_that_of_scikit_learn() -> None:
    pairs = drawn(300, 2000, apart=0.3)
    found = measures_of(pairs, 0.2)
    false, true, _ = roc_curve(pairs.same, pairs.similarity, drop_intermediate=False)
    for point in found.curve:
        assert point.true_match_rate.value == pytest.approx(true[false <= point.false_match_rate].max())
    equal = np.abs(1 - true - false).argmin()
    assert found.equal_error_rate.value == pytest.approx((1 - true[equal] + false[equal]) / 2, abs=1e-3)
    assert [point.false_match_rate for point in found.curve] == [0.1, 0.03, 0.01, 0.003, 0.001]


def everybody(people: int, photos: int) -> Compared:
    """Every pair of the photos of some people."""
    whose = np.repeat(np.arange(people), photos)
    a, b = np.triu_indices(len(whose), 1)
    same = whose[a] == whose[b]
    return Compared(np.random.default_rng(1).normal(np.where(same, 0.6, 0), 0.1), same, a, b)


def test_each_half_is_measured_by_the_threshold_of_the_other() -> None:
    pairs = drawn(200, 4000)
    report = measure(pairs, 0.01, STRANGERS, 0)
    assert (report.held_out.same, report.usual.pairs) == (200, 4200)
    assert report.held_out.pairs >= 4199  # nobody is in two pairs, so at most one pair has somebody of each half
    assert report.held_out.thresholds == pytest.approx((0.2326, 0.2326), abs=0.015)  # the 99 % quantile
    assert report.held_out.false_match_rate.low < 0.01 < report.held_out.false_match_rate.high
    assert report.held_out.accuracy.value > 0.98


def test_photos_that_come_in_many_pairs_make_no_narrow_interval() -> None:
    pairs = drawn(100, 100)
    crowded = Compared(pairs.similarity, pairs.same, pairs.a % 10, pairs.b % 10 + 10)
    wide, narrow = (measures_of(each, 0.25).accuracy for each in (crowded, pairs))
    assert wide.value == narrow.value
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_nobody_is_in_both_halves() -> None:
    pairs = everybody(12, 4)
    halves = [pairs.part(half) for half in pairs.halves()]
    first, second = ({*pairs.people()[np.union1d(half.a, half.b)].tolist()} for half in halves)
    assert first.isdisjoint(second)
    assert (len(first), len(second)) == (6, 6)
    assert [int(half.same.sum()) for half in halves] == [36, 36]
    assert measure(pairs, 0.01, STRANGERS, 0).held_out.pairs == 2 * (24 * 23 // 2)


def test_circles_of_people_are_kept_together() -> None:
    circles = [everybody(4, 3) for _ in range(10)]
    a, b = (np.concatenate([number * 12 + getattr(each, side) for number, each in enumerate(circles)]) for side in ("a", "b"))
    pairs = Compared(np.concatenate([each.similarity for each in circles]), np.concatenate([each.same for each in circles]), a, b)
    assert sum(map(len, pairs.halves())) == len(pairs.same)


@pytest.mark.parametrize("pairs", [drawn(1, 10), drawn(10, 0), everybody(2, 9), drawn(2, 10)])
def test_too_few_pairs_are_refused(pairs: Compared) -> None:
    with pytest.raises(BadRequest, match=r"of different people.*; at least 2 of each are needed in each half"):
        measure(pairs, 0.01, STRANGERS, 0)
