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
from mingmu.evaluate.intervals import Estimate, Groups, Weights, bootstrap, effective_share, proportion

Floats = NDArray[np.float64]

RATES = np.arange(0.05, 2.01, 0.05)
FEWEST_SIZES = 4
REPLICATES = 400
FEWEST_LEARNED = 8  # photos: heads that learned from fewer say nothing of how accuracy grows


@dataclass(frozen=True, slots=True)
class Point:
    """The accuracy that so many examples gave."""

    examples: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """What was seen, the law that fits it, and what twice all the examples would give, or why that is not said."""

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


def learning_curve(sizes: Sequence[int], right: NDArray[np.bool_], groups: Groups, *, seed: int = 0) -> LearningCurve:
    """Fit whether N photos were said right, bool [N, S], by heads that learned from S growing numbers of the others. Raises Conflict.

    Sizes weigh by their examples, as accuracies from few examples scatter more (Figueroa et al. weigh likewise). The
    interval comes from drawing the photos, whole groups of them, again and again: all sizes are judged on the same ones.
    It is stated however wide it is; nothing is foretold only where there are fewer than 4 sizes, or of a few photos each.
    """
    if not sizes or right.shape[1:] != (len(sizes),) or len(groups) != len(right) or not len(right):
        raise Conflict(f"answers of shape {right.shape} do not fit {len(sizes)} numbers of photos and {len(groups)} groups")
    learned, every = np.array(sizes, np.float64), np.ones(len(right))
    law = _fit(learned, _errors(right, every))
    points = tuple(Point(size, 1 - float(error)) for size, error in zip(sizes, _errors(right, every), strict=True))
    refusal = None
    if len(sizes) < FEWEST_SIZES or min(sizes) < FEWEST_LEARNED:
        refusal = f"accuracies from {min(sizes)} to {max(sizes)} photos, {len(sizes)} of them, show too little of the curve"
    forecast = None if refusal else _forecast(learned, right, groups, seed)
    return LearningCurve(points, law.floor, law.scale, law.rate, 2 * len(right), forecast, refusal)


def _errors(right: NDArray[np.bool_], weights: Weights) -> Floats:
    return np.asarray(1 - weights @ right / weights.sum(), np.float64)


def _forecast(sizes: Floats, right: NDArray[np.bool_], groups: Groups, seed: int) -> Estimate:
    """The accuracy that twice as many photos would give."""
    twice = np.array([2.0 * len(right)])
    if right[:, -1].all():  # drawing among photos that were all right shows no spread
        return proportion(len(right), len(right), effective=effective_share(right[:, -1], groups))

    def ahead(weights: Weights) -> float:
        return 1 - float(_fit(sizes, _errors(right, weights)).error(twice)[0])

    return bootstrap(ahead, groups, seed=seed, replicates=REPLICATES)


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
