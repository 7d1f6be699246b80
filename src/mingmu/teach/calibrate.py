"""What scores may promise: probabilities that come true, sets that hold the truth, and when to say nothing.

All of it is learned from out-of-fold logits: what heads said about photos that they had not learned from.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mingmu.core.head import sigmoid, softmax
from mingmu.teach.truth import Floats, Ints, Truth, is_right, is_several, table

MOST_SCORES = 1000  # conformal scores kept; their resolution is a thousandth
UNPROVEN = 0.1  # share of photos that count as wrong where a head can be tried only on those that it learned from
FARTHEST = 0.4  # of the way between two temperatures that a line is continued: five folds need a third; farther, noise outweighs bias
STRANGE = 0.01  # share of known photos that look stranger than the limit, by construction


def temperature_of(logits: Floats, classes: Truth, *, wrong: float = 0.0) -> float:
    """The temperature that makes the log-loss of the scores least, as if a share of the examples were `wrong`.

    C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
    """
    from scipy.optimize import minimize_scalar

    spread = max(float(np.std(logits)), 1e-6)
    found = minimize_scalar(
        lambda power: log_losses(logits, classes, spread * math.exp(power), wrong).mean(),
        bounds=(-7.0, 4.0),
        method="bounded",
        options={"xatol": 1e-3},
    )
    return float(spread * math.exp(found.x))


def careful_temperature(logits: Floats, classes: Truth) -> float:
    """`temperature_of`; but where every answer is right, as if one in n + 2 were not: else no temperature would be too low.

    J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999, section 2.2: Laplace's rule of succession for n of n.
    """
    unlucky = 1 / (len(logits) + 2) if is_right(logits, classes).all() else 0.0
    return temperature_of(logits, classes, wrong=unlucky)


def foreseen_temperature(temperature: float, fold: Ints, halved: float, half: Ints) -> float:
    """The temperature for a head that learned from all photos, from those of heads that learned from fewer.

    `temperature` is that of heads held out by `fold`, `halved` by `half`. What is estimated from n examples is off by a term in 1/n
    (M. Quenouille, "Notes on Bias in Estimation", Biometrika 1956; for cross-validation P. Burman, Biometrika 1989): the
    logarithm of the temperature is continued on a straight line in 1/n, unless that is too far.
    """
    near, far = _inverse_share(fold), _inverse_share(half)
    if near - 1 > FARTHEST * (far - near):
        return temperature
    return float(temperature * (temperature / halved) ** ((near - 1) / (far - near)))


def _inverse_share(fold: Ints) -> float:
    """All photos to those that a head learned from, on average over the photos held out: 1.25 for five folds, 2 for halves."""
    sizes = np.bincount(fold)
    return float((sizes / (len(fold) - sizes)).sum())


def log_losses(logits: Floats, classes: Truth, temperature: float, wrong: float = 0.0) -> NDArray[np.float64]:
    """-log of the true class's probability, for each example; with several labels the mean over them. A share counts as wrong."""
    scaled = logits.astype(np.float64) / temperature
    count = scaled.shape[1]
    target = table(classes, count) * (1 - wrong) + wrong / (2 if is_several(classes) else count)
    if is_several(classes):
        return np.asarray((np.logaddexp(0, scaled) - target * scaled).mean(axis=1), np.float64)
    top = scaled.max(axis=1)
    return np.asarray(np.log(np.exp(scaled - top[:, None]).sum(axis=1)) + top - (target * scaled).sum(axis=1), np.float64)


def conformal_scores(probabilities: Floats, classes: Truth) -> Floats:
    """How badly the true class did, 1 - its probability: float32, sorted, at most MOST_SCORES of them.

    V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World", 2005, cross-conformal in V. Vovk, 2015;
    the score is the one with the smallest sets: M. Sadinle, J. Lei, L. Wasserman, JASA 2019 (LAC). Where scores are left out, each
    kept one is not less than those it stands for: sets may become larger, never smaller.
    """
    scores: Floats = np.sort(1 - probabilities[np.arange(len(classes)), classes]).astype(np.float32)
    if len(scores) <= MOST_SCORES:
        return scores
    ranks = np.ceil(np.arange(1, MOST_SCORES + 1) * (len(scores) + 1) / (MOST_SCORES + 1)).astype(int)
    return np.asarray(scores[np.minimum(ranks, len(scores)) - 1], np.float32)


def directions(means: Floats) -> Floats:
    """Unit vectors from the middle of the classes to each of them, float32 [C, F], for `likeness`."""
    away = means - means.mean(axis=0)
    return np.asarray(away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12), np.float32)


def strangest(known: Floats) -> float:
    """The likeness below which a photo counts as unlike anything seen: one in a hundred known photos is."""
    return float(np.quantile(known, STRANGE))


def probabilities_of(logits: Floats, temperature: float, *, several: bool = False) -> Floats:
    """What the sealed head will say: softmax, or with several labels sigmoid, of logits / temperature."""
    return (sigmoid if several else softmax)(logits / np.float32(temperature))


def held_out_scores(logits: Floats, classes: Truth, fold: Ints) -> Floats:
    """Out-of-fold logits as scores, each fold at the temperature that fits the others: no photo's label has a part in its scores."""
    scores = np.empty_like(logits)
    for number in np.unique(fold):
        held_out = fold == number
        temperature = careful_temperature(logits[~held_out], classes[~held_out])
        scores[held_out] = probabilities_of(logits[held_out], temperature, several=is_several(classes))
    return scores
