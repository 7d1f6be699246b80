from __future__ import annotations

import numpy as np
import pytest

from mingmu.core.errors import Conflict
from mingmu.evaluate.learning import Point, learning_curve


def points(accuracy: list[float], sizes: tuple[int, ...] = (50, 100, 200, 400, 800)) -> list[Point]:
    return [Point(size, value) for size, value in zip(sizes, accuracy, strict=True)]


def test_an_inverse_power_law_is_found_again_and_continued() -> None:
    rng = np.random.default_rng(0)
    sizes = np.repeat([50, 100, 200, 400, 800], 3)
    seen = [Point(int(n), float(0.93 - 1.5 * n**-0.5 + rng.normal() * 0.003)) for n in sizes]
    curve = learning_curve(seen)
    assert curve.refusal is None
    assert curve.forecast is not None
    assert curve.twice == 1600
    assert curve.forecast.value == pytest.approx(0.93 - 1.5 * 1600**-0.5, abs=0.01)
    assert curve.forecast.low < curve.forecast.value < curve.forecast.high


def test_intervals_hold_what_twice_the_photos_really_give() -> None:
    rng, held = np.random.default_rng(1), 0
    for _ in range(20):
        noise = rng.normal(size=10) * 0.005
        seen = [Point(int(n), 0.9 - n**-0.4 + float(e)) for n, e in zip(np.repeat([50, 100, 200, 400, 800], 2), noise, strict=True)]
        forecast = learning_curve(seen).forecast
        held += forecast is not None and forecast.low <= 0.9 - 1600**-0.4 + rng.normal() * 0.005 <= forecast.high
    assert held >= 17


def test_a_saturated_curve_promises_nothing_more() -> None:
    forecast = learning_curve(points([0.900, 0.901, 0.900, 0.901, 0.900])).forecast
    assert forecast is not None
    assert forecast.value == pytest.approx(0.9, abs=0.005)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (points([0.7, 0.8, 0.85], (50, 100, 200)), "3 sizes from 50 to 200 photos show too little"),
        (points([0.7, 0.72, 0.74, 0.75, 0.76], (100, 110, 120, 130, 140)), "show too little of the curve"),
        (points([0.5, 0.9, 0.6, 0.85, 0.7]), "scatter by"),
        (points([0.92, 0.91, 0.90, 0.90, 0.89]), "did not rise"),
    ],
)
def test_nothing_is_foretold_from_too_little_and_the_reason_is_said(seen: list[Point], reason: str) -> None:
    curve = learning_curve(seen)
    assert curve.forecast is None
    assert reason in (curve.refusal or "")


def test_no_points_are_no_curve() -> None:
    with pytest.raises(Conflict):
        learning_curve([])
