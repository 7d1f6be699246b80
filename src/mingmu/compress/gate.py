"""Whether a variant may serve in a network's place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mingmu.core.artifact import PROBES, Artifact
from mingmu.core.errors import Conflict
from mingmu.core.head import Scores
from mingmu.core.manifest import Precision
from mingmu.core.recognizer import BETWEEN_VARIANTS
from mingmu.core.runtime import BOXES, SCORES
from mingmu.registry.store import Version

Bools = NDArray[np.bool_]

LEAST_COSINE: Mapping[Precision, float] = {"fp32": 0.999, "bf16": 0.97, "int8": 0.80}
LEAST_KEPT = 0.99  # of the accuracy, as measured
LEAST_SURELY_KEPT = 0.985  # of the accuracy, at the lower end of its interval
LIKELY = 0.25  # the score of a box that counts
LEAST_SHARED = 0.85  # intersection over union
SURE = 0.5  # an answer with such a score is more likely right than wrong
ERROR = 0.05  # how often, at most, the truth is below the lower end of any candidate's interval


@dataclass(frozen=True)
class Answers:
    """What comes out on N photos with one network."""

    right: Bools  # [N]: which answers about their labels are right
    own: Scores | None = None  # float32 [N, C]: what the recognizer itself says
    others: Mapping[Version, Scores] = field(default_factory=dict)  # float32 [N, C] each: what the other heads on the network say


@dataclass(frozen=True)
class Kept:
    """How much of a network's accuracy its variant has, from the same photos; its interval holds to 95 % at each end."""

    photos: int
    right: int  # of the variant's answers
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    """Whether a variant passed, and why, in words."""

    passed: bool
    reason: str
    kept: Kept | None = None

    def __and__(self, other: Verdict) -> Verdict:
        """Passed only if both are; the reason of what fails, or both."""
        failed = [verdict.reason for verdict in (self, other) if not verdict.passed]
        return Verdict(not failed, "; ".join(failed or (self.reason, other.reason)), self.kept or other.kept)


def judge_probes(sealed: Artifact, variant: Artifact) -> Verdict:
    """Hold what a variant makes of the probe images against what the network was sealed with.

    For each probe and each pooled output, the cosine of the two vectors must reach LEAST_COSINE; a score of a whole model may
    move by BETWEEN_VARIANTS; a box with a score of at least LIKELY must share LEAST_SHARED of its union with the one before.
    This finds what is broken; whether answers are still right, only photos can tell.
    """
    least = LEAST_COSINE[variant.manifest.runs.precision]
    before, after = _outputs(sealed), _outputs(variant)
    worst = 1.0
    for name, values in before.items():
        if after[name].shape != values.shape or not np.isfinite(after[name]).all():
            return Verdict(False, f"{name} of the probes is not finite, or of another shape")
        if name == BOXES:
            likely = before[SCORES].max(axis=2) >= LIKELY
            shared = float(_shared(values[likely], after[name][likely]).min(initial=1.0))
            if shared < LEAST_SHARED:
                return Verdict(False, f"a box of the probes shares only {shared:.2f} of its union; at least {LEAST_SHARED} is needed")
        elif name != SCORES:
            worst = min(worst, float(_cosines(values, after[name]).min()))
        elif (moved := float(np.abs(after[name] - values).max())) > BETWEEN_VARIANTS:
            return Verdict(False, f"a probe's score moves by {moved:.2f}; the limit is {BETWEEN_VARIANTS}")
    if not worst >= least:
        return Verdict(False, f"the probes' features differ: cosine {worst:.3f}; at least {least} is needed")
    return Verdict(True, f"probes agree (cosine {worst:.4f})" if SCORES not in before else "probes agree")


def judge_answers(before: Bools, after: Bools, *, tries: int = 1, exact: bool = False) -> Verdict:
    """Hold which answers of a variant are right, bool [N], against those of the network on the same N photos.

    Passed: the variant is right at least LEAST_KEPT times as often, and even the lower end of the interval of that ratio is
    LEAST_SURELY_KEPT. It is wider for each of so many `tries` (Bonferroni): of many candidates, one has luck more easily than of one.
    Too few photos leave the interval too wide to say so: then it is not passed, and the reason says how many would do. What is
    `exact` computes the same, and its probes showed it: there, few photos are no reason against it.
    """
    if not before.any():
        raise Conflict("the network is right on none of the photos; nothing can be compared on these")
    kept = ratio(before, after, tries=tries)
    said = f"keeps {kept.value:.1%} of the accuracy ({kept.low:.1%} to {kept.high:.1%})"
    if kept.value < LEAST_KEPT:
        return Verdict(False, f"{said}; at least {LEAST_KEPT:.0%} is needed", kept)
    if not exact and kept.low < LEAST_SURELY_KEPT:
        needed = f"the lower end must reach {LEAST_SURELY_KEPT:.1%}, which takes about {photos_needed(before, after, tries=tries):,}"
        return Verdict(False, f"{said}; {kept.photos} photos are too few to tell: {needed}", kept)
    return Verdict(True, said, kept)


def judge_own(before: Scores, after: Scores) -> Verdict:
    """Hold a recognizer's own scores, float32 [N, C], on a variant against those on the network that it was taught on.

    Where it was sure, with a score of at least SURE, the answer must be the same at least LEAST_KEPT of the time. No label is
    needed for this: it holds for photos of anything.
    """
    sure = before.max(axis=1) >= SURE
    if not sure.any():
        return Verdict(True, "it was sure of no photo")
    same = before[sure].argmax(axis=1) == after[sure].argmax(axis=1)
    share = float(same.mean())
    said = f"{same.sum()} of {same.size} sure answers stay the same"
    return Verdict(True, said) if share >= LEAST_KEPT else Verdict(False, f"only {said}; at least {LEAST_KEPT:.0%} are needed")


def ratio(before: Bools, after: Bools, *, tries: int = 1) -> Kept:
    """The ratio of two accuracies on the same photos, with its interval: 95 % at each end, for all of so many `tries`.

    With b photos that only the first got right and c that only the second did, x and y right ones in all, the logarithm of
    y / x has the variance (b + c) / (x y): Bonett and Price, "Confidence intervals for a ratio of binomial proportions based on
    paired data", Stat. Med. 25 (2006), 3039-3047. To b + c, the square of the normal quantile z is added, half of it to each, as
    Agresti and Coull do for one proportion (Am. Stat. 52 (1998), 119-126): few photos without a single difference prove little.
    """
    x, y = int(before.sum()), int(after.sum())
    differ = int((before != after).sum())
    value, z = y / x, _quantile(tries)
    spread = z * math.sqrt((differ + z * z) / ((x + 1) * (y + 1)))
    return Kept(len(before), y, value, value * math.exp(-spread), value * math.exp(spread))


def photos_needed(before: Bools, after: Bools, *, tries: int = 1) -> int:
    """How many photos would show that LEAST_SURELY_KEPT is reached, if as many of them differ and are right as of these.

    The ratio is taken as it was measured, but as no more than 1; so solve `ratio` for the number of photos.
    """
    right, differ = math.sqrt(before.mean() * after.mean()), float((before != after).mean())
    square = _quantile(tries) ** 2
    room = (right * math.log(min(1.0, after.sum() / before.sum()) / LEAST_SURELY_KEPT)) ** 2
    return math.ceil(square * (differ + math.sqrt(differ**2 + 4 * room)) / (2 * room))


def _quantile(tries: int) -> float:
    """Of the normal distribution, for one end of an interval."""
    return NormalDist().inv_cdf(1 - ERROR / tries)


def _outputs(artifact: Artifact) -> dict[str, NDArray[np.float64]]:
    """What the probe images give, by output, [P, F]."""
    return {name: values.astype(np.float64) for name, values in artifact.arrays(PROBES).items() if name != "pixels"}


def _shared(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union, row by row, of corners [N, 4]."""
    both = np.prod(np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0), axis=1)
    union = sum(np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (a, b)) - both
    return np.asarray(both / np.maximum(union, 1e-12))


def _cosines(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row by row, of [P, F]; two rows of zeros are alike."""
    dot, lengths = (a * b).sum(axis=1), np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    alike = (a == b).all(axis=1)
    return np.where(alike, 1.0, dot / np.maximum(lengths, 1e-12))
