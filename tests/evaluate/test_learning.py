from __future__ import annotations

import numpy as np
import pytest

from mingmu.core.errors import Conflict
from mingmu.evaluate.learning import learning_curve
from mingmu.evaluate.words import outlook
from tests.evaluate.made import SIZES, grown


def power_law(floor: float, scale: float, rate: float) -> list[float]:
    return [1 - floor - scale * n**-rate for n in SIZES]


def test_an_inverse_power_law_is_found_again_and_continued_to_twice_all_photos() -> None:
    curve = learning_curve(*grown(power_law(0.07, 1.5, 0.5)))
    assert curve.refusal is None
    assert curve.forecast is not None
    assert curve.twice == 1000
    assert curve.forecast.value == pytest.approx(0.93 - 1.5 * 1000**-0.5, abs=0.01)
    assert curve.forecast.low < curve.forecast.value < curve.forecast.high


def test_intervals_hold_what_twice_the_photos_really_give() -> None:
    truth, held = power_law(0.1, 1.0, 0.5), 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        right = rng.random((500, 1)) < np.array(truth)
        forecast = learning_curve(SIZES, right, np.arange(500)).forecast
        held += forecast is not None and forecast.low <= 0.9 - 1000**-0.5 <= forecast.high
    assert held >= 17


def test_photos_that_belong_together_say_less() -> None:
    wide, narrow = (learning_curve(*grown(power_law(0.07, 1.5, 0.5), each=each)).forecast for each in (10, 1))
    assert wide is not None
    assert narrow is not None
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_a_saturated_curve_promises_nothing_more() -> None:
    forecast = learning_curve(*grown([0.900, 0.902, 0.900, 0.902])).forecast
    assert forecast is not None
    assert forecast.value == pytest.approx(0.9, abs=0.005)


def test_accuracies_that_scatter_or_fall_are_answered_by_a_wide_interval_not_by_silence() -> None:
    for seen in ([0.5, 0.9, 0.6, 0.7], [0.92, 0.91, 0.90, 0.89]):
        assert learning_curve(*grown(seen)).forecast is not None
    sizes, right, groups = grown([0.3, 0.7, 0.5, 0.6], photos=20)
    assert "anything from" in outlook(learning_curve(sizes, right, groups))


def test_without_a_single_mistake_nothing_is_certain_yet() -> None:
    forecast = learning_curve(*grown([0.8, 0.9, 0.95, 1.0], photos=100)).forecast
    assert forecast is not None
    assert (forecast.value, forecast.high) == (1.0, 1.0)
    assert forecast.low < 0.98


def test_nothing_is_foretold_from_too_little_and_the_reason_is_said() -> None:
    _, right, groups = grown([0.7, 0.8, 0.85, 0.9])
    for sizes, seen in (((50, 100, 200), right[:, :3]), ((2, 4, 8, 16), right)):
        curve = learning_curve(sizes, seen, groups)
        assert curve.forecast is None
        assert "show too little of the curve" in outlook(curve)


def test_answers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(Conflict, match="do not fit"):
        learning_curve((), np.zeros((0, 0), bool), np.zeros(0, np.int64))
    with pytest.raises(Conflict, match="do not fit"):
        learning_curve((1, 2), np.zeros((4, 3), bool), np.arange(4))
