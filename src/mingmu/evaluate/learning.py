"""What more photos would bring: a learning curve, and a careful look one doubling ahead.

The error of a recognizer falls with the number n of examples about like an inverse power law, error(n) = floor + scale * n^-rate:
* Cortes, Jackel, Solla, Vapnik and Denker, "Learning curves: asymptotic values and rate of convergence", NIPS 1993.
* Figueroa, Zeng-Treitler, Kandula and Ngo, "Predicting sample size required for classification performance",
  BMC Med. Inform. Decis. Mak. 12:8 (2012).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mingmu.core.errors import Conflict
from mingmu.evaluate.intervals import Estimate

Floats = NDArray[np.float64]

RATES = np.arange(0.05, 2.01, 0.05)
FITTED = 3  # numbers: floor, scale, rate
FEWEST_SIZES = 4
SMALLEST_SPAN = 3  # the largest size over the smallest
LARGEST_SCATTER = 0.02  # around the curve, at the largest size: standard deviation, in accuracy
WIDEST = 0.15  # of the forecast's interval
REPLICATES = 400


@dataclass(frozen=True, slots=True)
class Point:
    """The accuracy that so many examples gave."""

    examples: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """What was seen, the law that fits it, and what twice the examples would give, or why that is not said."""

    points: tuple[Point, ...]
    floor: float  # error that is left however many examples there are
    scale: float
    rate: float
    twice: int  # examples
    forecast: Estimate | None
    refusal: str | None

    def accuracy(self, examples: float) -> float:
        """What the fitted law says."""
        return 1 - self.floor - self.scale * float(examples**-self.rate)


def learning_curve(points: Sequence[Point], *, seed: int = 0) -> LearningCurve:
    """Fit accuracies at growing numbers of examples; the same size may come several times. Raises Conflict without any.

    Sizes weigh by their examples, as accuracies from few examples scatter more (Figueroa et al. weigh likewise). The
    interval is a prediction interval from resampled residuals. Nothing is foretold from fewer than 4 sizes, from sizes
    that span less than a factor of 3, from accuracies that scatter by more than 2 points around the curve at the
    largest size or do not rise, or if the interval would be wider than 15 points.
    """
    if not points:
        raise Conflict("a learning curve needs accuracies at some numbers of photos")
    seen = tuple(sorted(points, key=lambda point: (point.examples, point.accuracy)))
    sizes = np.array([point.examples for point in seen], np.float64)
    errors = 1 - np.array([point.accuracy for point in seen])
    law = _fit(sizes, errors)
    forecast, refusal = _foretell(sizes, errors, law, seed)
    return LearningCurve(seen, law.floor, law.scale, law.rate, 2 * seen[-1].examples, forecast, refusal)


class _Law(NamedTuple):
    squares: float
    floor: float
    scale: float
    rate: float

    def error(self, sizes: Floats) -> Floats:
        return np.asarray(self.floor + self.scale * sizes**-self.rate)


def _fit(sizes: Floats, errors: Floats) -> _Law:
    """Weighted least squares with floor and scale not negative: both are linear once the rate is given, so all rates are tried."""
    x, weights = sizes ** -RATES[:, None], sizes / sizes.max()  # [rates, points]
    shares = weights / weights.sum()
    x_mean, y_mean = x @ shares, float(errors @ shares)
    centred = x - x_mean[:, None]
    spread = np.maximum(np.square(centred) @ shares, np.finfo(float).tiny)
    scales = np.maximum((centred * shares) @ errors / spread, 0)
    floors = y_mean - scales * x_mean
    scales = np.where(floors < 0, (x * shares) @ errors / (np.square(x) @ shares), scales)
    floors = np.maximum(floors, 0)
    squares = np.square(errors - floors[:, None] - scales[:, None] * x) @ weights
    best = int(squares.argmin())
    return _Law(float(squares[best]), float(floors[best]), float(scales[best]), float(RATES[best]))


def _foretell(sizes: Floats, errors: Floats, law: _Law, seed: int) -> tuple[Estimate | None, str | None]:
    distinct = len(np.unique(sizes))
    if distinct < FEWEST_SIZES or sizes.max() < SMALLEST_SPAN * sizes.min():
        return None, f"{distinct} sizes from {sizes.min():.0f} to {sizes.max():.0f} photos show too little of the curve"
    scatter = float(np.sqrt(law.squares / max(1, len(errors) - FITTED)))
    if scatter > LARGEST_SCATTER:
        return None, f"the accuracies scatter by {100 * scatter:.1f} points around the curve, too much to look ahead"
    if law.scale == 0 and errors.max() - errors.min() > LARGEST_SCATTER / 2:
        return None, "accuracy did not rise with the number of photos"
    forecast = _forecast(sizes, errors, law, seed)
    if forecast.high - forecast.low > WIDEST:
        return None, f"anything from {100 * forecast.low:.0f} % to {100 * forecast.high:.0f} % would fit the accuracies"
    return forecast, None


def _forecast(sizes: Floats, errors: Floats, law: _Law, seed: int) -> Estimate:
    rng = np.random.default_rng(seed)
    fitted, root_weights, twice = law.error(sizes), np.sqrt(sizes / sizes.max()), np.array([2 * sizes.max()])
    residuals = (errors - fitted) * root_weights * np.sqrt(len(errors) / max(1, len(errors) - FITTED))
    ahead = [
        1 - float(_fit(sizes, fitted + rng.choice(residuals, len(sizes)) / root_weights).error(twice)[0]) + float(rng.choice(residuals))
        for _ in range(REPLICATES)
    ]
    value = 1 - float(law.error(twice)[0])
    low, high = np.clip(np.quantile(ahead, [0.025, 0.975]), 0, 1)
    return Estimate(value, min(value, float(low)), max(value, float(high)), "bootstrap of the residuals")
