"""What a head knows of its own limits: prediction sets that hold the truth as often as they promise, and when to say nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Doubt:
    """Learned from what the head said about photos that it had not learned from."""

    conformal: Floats  # [n], sorted: 1 - probability of the true class
    middle: Floats  # [F]: the middle of the class means
    directions: Floats  # [C, F]: unit vectors from the middle to each class mean


def largest_score(scores: Floats, coverage: float) -> float:
    """How badly a class may do and still be in the set that promises `coverage`: the ceil((n+1) coverage)-th score of n.

    Equation 1 of A. Angelopoulos, S. Bates, "A Gentle Introduction to Conformal Prediction", arXiv 2107.07511. 1, and so
    all classes, if n scores are too few for the promise.
    """
    rank = math.ceil((len(scores) + 1) * coverage)
    return 1.0 if rank > len(scores) else float(scores[max(rank, 1) - 1])


def prediction_sets(probabilities: Floats, scores: Floats, coverage: float) -> NDArray[np.bool_]:
    """Which classes are in each example's set, bool [N, C]; the likeliest class always is."""
    inside = (1 - probabilities) <= largest_score(scores, coverage)
    inside[np.arange(len(inside)), probabilities.argmax(axis=1)] = True
    return np.asarray(inside, np.bool_)


def likeness(features: Floats, middle: Floats, toward: Floats) -> Floats:
    """How much examples look like anything known: the cosine to the nearest class mean, -1 to 1, as seen from the middle."""
    away = features - middle
    return np.asarray((away @ toward.T).max(axis=1) / np.maximum(np.linalg.norm(away, axis=1), 1e-12), np.float32)
