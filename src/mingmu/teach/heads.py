"""Linear heads: discriminant analysis, and logistic regression or support vector machines in the space that it whitens.

Both learn means and one covariance from features, and end as `features @ weight + bias`: all scaling is folded in.

*Discriminant.* Classes as normal distributions with one covariance S within them (Fisher 1936; Hastie, Tibshirani, Friedman,
The Elements of Statistical Learning, 2nd ed., section 4.3). S has more entries than there are photos, so it is shrunk
towards a sphere of the same total variance: S_a = (1 - a) S + a trace(S)/F I (Friedman, JASA 1989; Ledoit, Wolf, 2004).
With a = 1 it is the nearest class mean.

*Logistic.* With S_a = L L', z = L⁻¹x has unit variance within the classes in every direction. Multinomial logistic regression
on z with an L2 penalty then starts from the discriminant's view of what is noise, and moves only as far as examples
near the borders ask for. On raw features the same penalty would trust loud directions and forget quiet ones.

*Support vector machine.* The same with squared hinge loss, one class against the rest (C. Cortes, V. Vapnik, 1995).

*Several labels.* No label is "the" class, so S is the covariance of all features, and each label is a question of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mingmu.teach.losses import LOSSES, Loss
from mingmu.teach.truth import Bools, Floats, Ints, Truth, among, is_several, present, table

Fitted = Literal["logistic", "svm"]

MAX_STEPS = 20  # of L-BFGS; in the whitened space more did not change the held-out log-loss
MEMORY = 8  # of L-BFGS


@dataclass(frozen=True)
class Linear:
    """Logits are `features @ weight + bias`."""

    weight: Floats  # [F, C]
    bias: Floats  # [C]

    def __call__(self, features: Floats) -> Floats:
        return features @ self.weight + self.bias


@dataclass(frozen=True)
class Kind:
    """Which head: its shrinkage, and for heads that are fitted by descent what to, and how strongly their weights are held back."""

    shrinkage: float
    penalty: float | None = None  # None: the discriminant itself
    fitted: Fitted = "logistic"

    def __str__(self) -> str:
        if self.penalty is None:
            return "prototype" if self.shrinkage == 1 else f"discriminant, shrinkage {self.shrinkage:g}"
        return f"{self.fitted}, penalty {self.penalty:g}, shrinkage {self.shrinkage:g}"


@dataclass(frozen=True, eq=False)
class Lesson:
    """Features float32 [N, F] and what is true of each; everything that heads of all kinds share is computed once.

    `balance` says how classes of different sizes count: 0 every photo alike, 1 every class alike. With several labels on
    a photo it has no part, and there is no discriminant.
    """

    features: Floats
    classes: Truth
    count: int  # classes; each has at least one example
    balance: float = 0.5

    def fit(self, kind: Kind) -> Linear:
        """The head of one kind."""
        return next(self.fit_all([kind]))

    def fit_all(self, kinds: Sequence[Kind]) -> Iterator[Linear]:
        """Heads of several kinds; those of one shrinkage should stand together, the strongest penalty first."""
        space: _Whitened | None = None
        for kind in kinds:
            if space is None or space.shrinkage != kind.shrinkage:
                space = self._whitened(kind.shrinkage)
            weight, bias = space.discriminant if kind.penalty is None else space.fitted(kind.penalty, self._loss(kind))
            yield self._unfolded(space, weight, bias)

    def _loss(self, kind: Kind) -> Loss:
        return LOSSES["hinge" if kind.fitted == "svm" else "sigmoid" if is_several(self.classes) else "softmax"]

    @cached_property
    def _truth(self) -> Bools:
        return table(self.classes, self.count)

    @cached_property
    def sizes(self) -> Ints:
        """How many examples each class has."""
        return np.asarray(self._truth.sum(axis=0), np.int64)

    @cached_property
    def means(self) -> Floats:
        """The mean of each class, float32 [C, F]."""
        return self._class_means(self.features)

    @cached_property
    def _centre(self) -> Floats:
        return np.asarray(self.features.mean(axis=0), np.float32)

    @cached_property
    def _basis(self) -> Floats | None:
        """Far fewer photos than features: they span a small space, and every head lies in it. Orthonormal [F, N], or None."""
        if 2 * len(self.features) >= self.features.shape[1]:
            return None
        return np.asarray(np.linalg.qr((self.features - self._centre).T)[0], np.float32)

    @cached_property
    def _points(self) -> Floats:
        """Centred features, in the basis if there is one."""
        points = self.features - self._centre
        return points if self._basis is None else np.asarray(points @ self._basis, np.float32)

    @cached_property
    def _scatter(self) -> tuple[Floats, float]:
        """The covariance within classes, and its mean variance per feature."""
        within, freedom = self._points, len(self._points)
        if not is_several(self.classes) and freedom > self.count:  # else how far apart the examples are is all that is known
            within = within - self._class_means(self._points)[self.classes]
            freedom -= self.count
        covariance = np.asarray(within.T @ within / np.float32(freedom), np.float32)
        return covariance, max(float(np.trace(covariance)) / self.features.shape[1], 1e-12)

    def _class_means(self, points: Floats) -> Floats:
        return np.asarray(self._truth.T.astype(np.float32) @ points / np.maximum(self.sizes, 1)[:, None], np.float32)

    def _whitened(self, shrinkage: float) -> _Whitened:
        from scipy.linalg import cholesky

        covariance, variance = self._scatter
        floor = np.float32(max(shrinkage, 1e-3) * variance)
        factor = cholesky((1 - shrinkage) * covariance + floor * np.eye(len(covariance), dtype=np.float32), lower=True, overwrite_a=True)
        scale = np.float32(self.features.shape[1] ** -0.5)  # so that a point's length is about 1, whatever F
        share = (self.sizes / len(self.classes)).astype(np.float32)
        prior = np.float32(1 - self.balance) * np.log(share)
        counts = np.ones(len(self.classes)) if is_several(self.classes) else share[self.classes] ** -self.balance
        weights = np.asarray(counts / counts.sum(), np.float32)
        return _Whitened(shrinkage, factor, scale, self._points, self._class_means(self._points), self._truth, prior, weights)

    def _unfolded(self, space: _Whitened, weight: Floats, bias: Floats) -> Linear:
        """A head on whitened points as a head on features."""
        from scipy.linalg import solve_triangular

        raw = solve_triangular(space.factor, weight * space.scale, lower=True, trans="T")
        raw = raw if self._basis is None else self._basis @ raw
        return Linear(np.ascontiguousarray(raw, np.float32), np.asarray(bias - self._centre @ raw, np.float32))


@dataclass(frozen=True, eq=False)
class _Whitened:
    """Points with unit variance within classes, times `scale`."""

    shrinkage: float
    factor: Floats  # lower triangular; whitened = factor⁻¹ raw
    scale: np.float32
    raw_points: Floats  # [N, D], centred
    raw_means: Floats  # [C, D]
    truth: Bools  # [N, C]
    prior: Floats  # [C], of the discriminant
    example_weights: Floats  # [N], their sum is 1

    @cached_property
    def points(self) -> Floats:
        """[N, D]; the dear part, which the discriminant can do without."""
        return self._white(self.raw_points)

    def _white(self, raw: Floats) -> Floats:
        from scipy.linalg import solve_triangular

        return np.asarray(solve_triangular(self.factor, raw.T, lower=True).T * self.scale, np.float32, order="C")

    @cached_property
    def discriminant(self) -> tuple[Floats, Floats]:
        """Weight [D, C] and bias [C] of the discriminant: log density plus log prior, less what is common to all classes."""
        means, precision = self._white(self.raw_means), np.float32(self.scale**-2)
        return means.T * precision, np.asarray(-0.5 * (means**2).sum(1) * precision + self.prior, np.float32)

    def fitted(self, penalty: float, loss_of: Loss) -> tuple[Floats, Floats]:
        """Weight [D, C] and bias [C] that minimise the weighted mean loss + penalty/2 |weight|², by L-BFGS."""
        from scipy.optimize import minimize

        points, example_weights = self.points, self.example_weights
        shape = (points.shape[1] + 1, self.truth.shape[1])

        def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            weight, bias = np.split(flat.astype(np.float32).reshape(shape), [shape[0] - 1])
            losses, slopes = loss_of(points @ weight + bias, self.truth)
            slopes *= example_weights[:, None]
            gradient = np.vstack([points.T @ slopes + penalty * weight, slopes.sum(axis=0, keepdims=True)])
            value = float(losses @ example_weights) + penalty / 2 * float(np.vdot(weight, weight))
            return value, gradient.ravel().astype(np.float64)

        options = {"maxiter": MAX_STEPS, "maxcor": MEMORY}
        found = minimize(loss, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options=options)
        weight, bias = np.split(found.x.astype(np.float32).reshape(shape), [shape[0] - 1])
        return weight, bias[0]


def judged(lesson: Lesson, kinds: Sequence[Kind], asked: Floats) -> list[Floats]:
    """What heads of several kinds say about other features: logits [M, C]; a label without an example gets the lowest logit."""
    known = present(lesson.classes)
    logits = []
    for head in Lesson(lesson.features, among(lesson.classes, known), len(known), lesson.balance).fit_all(kinds):
        part = head(asked)
        logits.append(np.repeat(part.min(axis=1, keepdims=True), lesson.count, axis=1))
        logits[-1][:, known] = part
    return logits
