"""Support vector machines, linear and with Gaussian kernels: one machine for each label, it against all others.

C. Cortes, V. Vapnik, "Support-Vector Networks", Machine Learning 20, 1995. That this way to many labels is no worse than others:
R. Rifkin, A. Klautau, "In Defense of One-Vs-All Classification", JMLR 5, 2004. scikit-learn's SVC (libsvm) solves them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mingmu.core.errors import BadRequest
from mingmu.train.features import seen, standardised
from mingmu.train.feed import Photos
from mingmu.train.nets.classical import Kernel, alike
from mingmu.train.nets.classifier import Classifier
from mingmu.train.recipe import Recipe

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

COSTS = (1.0, 10.0, 100.0, 0.1)  # of a photo on the wrong side; the usual one first, which is kept where no other is better
WIDTHS = (1.0, 0.25, 4.0)  # gamma times the number of features
MOST = 8_000  # photos: how alike each is to each takes half a gigabyte


@dataclass(frozen=True, eq=False)
class Machines:
    """One for each label: its decision is the sum of how alike a photo is to those that taught, times coefficients; and a bias."""

    cost: float  # C
    gamma: float | None  # None: linear
    coefficients: Doubles  # [N, C]; 0 for a photo that is no support vector
    biases: Doubles  # [C]
    right: float  # share of the held-out photos; 0 of none


def learn(
    net: Classifier,
    photos: Photos,
    held_out: Photos,
    recipe: Recipe,
    size: int,
    budget: float | None = None,
    tell: Callable[[float], None] = lambda share: None,
) -> Machines:
    """Put machines into a new network, `svm_linear` or `svm_rbf`: those that get most held-out photos right, of all that are tried in
    `budget` seconds. Raises BadRequest for more photos than can be compared with each other.
    """
    if len(photos) > MOST:
        raise BadRequest(f"{recipe.net.name} compares each photo with each, and {len(photos)} are too many; the limit is {MOST}")
    end = math.inf if budget is None else time.perf_counter() + budget
    known = standardised(net, photos, size, tell)
    tries = _tried(known, photos.truth, seen(net, held_out, size), held_out.truth, recipe)
    best = next(tries)
    while time.perf_counter() < end and (other := next(tries, None)):
        if other.right > best.right:
            best = other
    _put(net, best, known)
    return best


def _tried(known: Tensor, classes: Ints, asked: Tensor, truth: Ints, recipe: Recipe) -> Iterator[Machines]:
    """Machines of all settings, the usual ones first."""
    features = known.shape[1]
    weights = np.bincount(classes)[classes].astype(np.float64) ** -recipe.balance
    for gamma in [width / features for width in WIDTHS] if recipe.net.name == "svm_rbf" else [None]:
        likeness, to_asked = _likeness(known, known, gamma), _likeness(asked, known, gamma)
        for cost in COSTS:
            coefficients, biases = _solved(likeness, classes, cost, weights)
            found = (to_asked @ coefficients + biases).argmax(axis=1)
            yield Machines(cost, gamma, coefficients, biases, right=float((found == truth).sum() / max(1, len(truth))))


def _likeness(one: Tensor, other: Tensor, gamma: float | None) -> Doubles:
    """The kernel of all pairs, [M, F] and [N, F] to [M, N]; the linear one is the mean of the products of features."""
    found = one @ other.T / one.shape[1] if gamma is None else alike(one, other, gamma)
    return np.asarray(found.double().numpy(), np.float64)


def _solved(likeness: Doubles, classes: Ints, cost: float, weights: Doubles) -> tuple[Doubles, Doubles]:
    """The coefficients [N, C] and biases [C] of one machine for each class."""
    from sklearn.svm import SVC

    count = int(classes.max()) + 1
    coefficients, biases = np.zeros((len(classes), count)), np.zeros(count)
    for number in range(count):
        machine = SVC(C=cost, kernel="precomputed").fit(likeness, classes == number, weights)
        coefficients[machine.support_, number], biases[number] = machine.dual_coef_[0], machine.intercept_[0]
    return coefficients, biases


def _put(net: Classifier, machines: Machines, known: Tensor) -> None:
    """Make the layers of a network do what machines do."""
    support = machines.coefficients.any(axis=1)
    vectors, coefficients = known[torch.from_numpy(support)], torch.from_numpy(machines.coefficients[support])
    if machines.gamma is None:  # a sum of products with support vectors is one product with their sum
        weight = coefficients.T @ vectors.double() / vectors.shape[1]
    else:
        net.neck, weight = Kernel(vectors, machines.gamma), coefficients.T
    net.head = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        net.head.weight.copy_(weight)
        net.head.bias.copy_(torch.from_numpy(machines.biases))
