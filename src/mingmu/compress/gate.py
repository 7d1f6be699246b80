"""Whether a variant may serve in a network's place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mingmu.core.artifact import PROBES, Artifact
from mingmu.core.errors import Conflict
from mingmu.core.head import Scores
from mingmu.core.manifest import Precision
from mingmu.core.recognizer import BETWEEN_VARIANTS
from mingmu.core.runtime import BOXES, LANDMARKS, SCORES
from mingmu.registry.store import Version
from mingmu.registry.tuning import Accuracy, BoxAccuracy, Share
from mingmu.tasks.boxes import overlaps

Bools = NDArray[np.bool_]
Arrays = Mapping[str, NDArray[np.float64]]

LEAST_COSINE: Mapping[Precision, float] = {"fp32": 0.999, "bf16": 0.97, "int8": 0.80}
LEAST_KEPT = 0.99  # of the accuracy, as measured
LEAST_SURELY_KEPT = 0.985  # of the accuracy, at the lower end of its interval
LIKELY = 0.25  # the score of a box that counts
LEAST_SHARED = 0.85  # intersection over union
SURE = 0.5  # an answer with such a score is more likely right than wrong
ALL = Share(value=1.0, low=1.0, high=1.0)
ERROR = 0.05  # how often, at most, the truth is below the lower end of any candidate's interval


@dataclass(frozen=True)
class Answers:
    """What comes out on N photos with one network."""

    right: Bools  # [N]: which answers about their labels are right
    own: Scores | None = None  # float32 [N, C]: what the recognizer itself says
    others: Mapping[Version, Scores] = field(default_factory=dict)  # float32 [N, C] each: what the other heads on the network say

    @property
    def accuracy(self) -> Accuracy:
        """Held against itself."""
        return accuracy_of(self.right)

    def judge(self, after: Answers, *, tries: int, exact: bool) -> Verdict:
        """Hold what comes out with a variant against this; other heads that answer otherwise there are to stay where they are."""
        verdict = judge_answers(self.right, after.right, tries=tries, exact=exact)
        if self.own is not None and after.own is not None:
            verdict &= judge_own(self.own, after.own)
        others = {version: judge_own(self.others[version], scores) for version, scores in after.others.items()}
        apart = tuple(version for version, each in others.items() if not each.passed)
        if not apart:
            return verdict
        stay = ", ".join(f"{each.name}@{each.version} ({others[each].reason})" for each in apart)
        return replace(verdict, reason=f"{verdict.reason}; on the sealed network stay {stay}", apart=apart)


@dataclass(frozen=True)
class Verdict:
    """Whether a variant passed, and why, in words."""

    passed: bool
    reason: str
    accuracy: Accuracy | BoxAccuracy | None = None
    apart: tuple[Version, ...] = ()  # heads on the network that would answer otherwise on it

    def __and__(self, other: Verdict) -> Verdict:
        """Passed only if both are; the reason of what fails, or both."""
        failed = [verdict.reason for verdict in (self, other) if not verdict.passed]
        reason = "; ".join(failed or (self.reason, other.reason))
        return Verdict(not failed, reason, self.accuracy or other.accuracy, self.apart + other.apart)


def judge_probes(sealed: Artifact, variant: Artifact) -> Verdict:
    """Hold what a variant makes of the probe images against what the network was sealed with.

    For each probe and each pooled output, the cosine of the two vectors must reach LEAST_COSINE, and a score of a whole model may
    move by BETWEEN_VARIANTS; `_judge_boxes` says what holds for boxes. This finds what is broken; whether answers are still right,
    only photos can tell.
    """
    least = LEAST_COSINE[variant.manifest.runs.precision]
    before, after = _outputs(sealed), _outputs(variant)
    for name, values in before.items():
        if after[name].shape != values.shape or not np.isfinite(after[name]).all():
            return Verdict(False, f"{name} of the probes is not finite, or of another shape")
    if BOXES in before:
        return _judge_boxes(before, after)
    if SCORES in before and (moved := float(np.abs(after[SCORES] - before[SCORES]).max())) > BETWEEN_VARIANTS:
        return Verdict(False, f"a probe's score moves by {moved:.2f}; the limit is {BETWEEN_VARIANTS}")
    worst = min((float(_cosines(values, after[name]).min()) for name, values in before.items() if name != SCORES), default=1.0)
    if not worst >= least:
        return Verdict(False, f"the probes' features differ: cosine {worst:.3f}; at least {least} is needed")
    return Verdict(True, f"probes agree (cosine {worst:.4f})" if SCORES not in before else "probes agree")


def _judge_boxes(before: Arrays, after: Arrays) -> Verdict:
    """Hold boxes that a variant makes of the probe images, and their scores, against those that were sealed, in any order.

    Each with a score of at least LIKELY must be found again: there is one that shares LEAST_SHARED of its union, whose scores differ by
    BETWEEN_VARIANTS at most, and landmarks by no larger share of its sides than LEAST_SHARED leaves. What the variant is that much surer
    of must have been there.
    """
    for what, ones, others, least in (("gone", before, after, LIKELY), ("new", after, before, LIKELY + BETWEEN_VARIANTS)):
        for probe, scores in enumerate(ones[SCORES]):
            here, there = ({name: values[probe] for name, values in each.items()} for each in (ones, others))
            for row in np.flatnonzero(scores.max(axis=1) >= least).tolist():
                if not _found_again(row, here, there):
                    rule = f"a box must share {LEAST_SHARED} of its union with one whose score is within {BETWEEN_VARIANTS} of its own"
                    return Verdict(False, f"a box of the probes with a score of {scores[row].max():.2f} is {what}: {rule}")
    return Verdict(True, "probes agree")


def _found_again(row: int, ones: Arrays, others: Arrays) -> bool:
    box = ones[BOXES][row]
    again = overlaps(box[None], others[BOXES])[0] >= LEAST_SHARED
    again &= np.abs(others[SCORES] - ones[SCORES][row]).max(axis=1) <= BETWEEN_VARIANTS
    if LANDMARKS in ones:
        moved = np.abs(others[LANDMARKS] - ones[LANDMARKS][row]).max(axis=1)
        again &= (moved <= (1 - LEAST_SHARED) * (box[2:] - box[:2])).all(axis=1)
    return bool(again.any())


def judge_answers(before: Bools, after: Bools, *, tries: int = 1, exact: bool = False) -> Verdict:
    """Hold which answers of a variant are right, bool [N], against those of the network on the same N photos.

    Passed: the variant is right at least LEAST_KEPT times as often, and even the lower end of the interval of that ratio is
    LEAST_SURELY_KEPT. It is wider for each of so many `tries` (Bonferroni): of many candidates, one has luck more easily than of one.
    Too few photos leave the interval too wide to say so: then it is not passed, and the reason says how many would do. What is
    `exact` computes the same, and its probes showed it: there, few photos are no reason against it.
    """
    if not before.any():
        raise Conflict("the network is right on none of the photos; nothing can be compared on these")
    found = ratio(before, after, tries=tries)
    return verdict_of(found, "accuracy", lambda: photos_needed(before, after, tries=tries), exact=exact)


def verdict_of(found: Accuracy | BoxAccuracy, what: str, needed: Callable[[], int], *, exact: bool) -> Verdict:
    """Whether enough is kept, and surely; otherwise why not, and how many photos are `needed` to tell."""
    kept = found.kept
    said = f"keeps {kept.value:.1%} of the {what} ({kept.low:.1%} to {kept.high:.1%})"
    if kept.value < LEAST_KEPT:
        return Verdict(False, f"{said}; at least {LEAST_KEPT:.0%} is needed", found)
    if not exact and kept.low < LEAST_SURELY_KEPT:
        more = f"the lower end must reach {LEAST_SURELY_KEPT:.1%}, which takes about {needed():,}"
        return Verdict(False, f"{said}; {found.photos} photos are too few to tell: {more}", found)
    return Verdict(True, said, found)


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


def accuracy_of(right: Bools) -> Accuracy:
    """What is right of N answers, bool [N], and what that keeps of itself."""
    return Accuracy(photos=len(right), right=int(right.sum()), kept=ALL)


def ratio(before: Bools, after: Bools, *, tries: int = 1) -> Accuracy:
    """The ratio of two accuracies on the same photos, with its interval: 95 % at each end, for all of so many `tries`.

    With b photos that only the first got right and c that only the second did, x and y right ones in all, the logarithm of
    y / x has the variance (b + c) / (x y): Bonett and Price, "Confidence intervals for a ratio of binomial proportions based on
    paired data", Stat. Med. 25 (2006), 3039-3047. To b + c, the square of the normal quantile z is added, half of it to each, as
    Agresti and Coull do for one proportion (Am. Stat. 52 (1998), 119-126): few photos without a single difference prove little.
    """
    x, y = int(before.sum()), int(after.sum())
    differ = int((before != after).sum())
    value, z = y / x, quantile(tries)
    spread = z * math.sqrt((differ + z * z) / ((x + 1) * (y + 1)))
    return Accuracy(photos=len(before), right=y, kept=around(value, spread))


def photos_needed(before: Bools, after: Bools, *, tries: int = 1) -> int:
    """How many photos would show that LEAST_SURELY_KEPT is reached, if as many of them differ and are right as of these.

    The ratio is taken as it was measured, but as no more than 1; so solve `ratio` for the number of photos.
    """
    right, differ = math.sqrt(before.mean() * after.mean()), float((before != after).mean())
    square = quantile(tries) ** 2
    room = (right * math.log(min(1.0, after.sum() / before.sum()) / LEAST_SURELY_KEPT)) ** 2
    return math.ceil(square * (differ + math.sqrt(differ**2 + 4 * room)) / (2 * room))


def around(value: float, spread: float) -> Share:
    """A ratio whose logarithm may be off by so much on either side."""
    return Share(value=value, low=value * math.exp(-spread), high=value * math.exp(spread))


def quantile(tries: int) -> float:
    """Of the normal distribution, for one end of an interval."""
    return NormalDist().inv_cdf(1 - ERROR / tries)


def _outputs(artifact: Artifact) -> Arrays:
    """What the probe images give, by output, [P, F]."""
    return {name: values.astype(np.float64) for name, values in artifact.arrays(PROBES).items() if name != "pixels"}


def _cosines(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row by row, of [P, F]; two rows of zeros are alike."""
    dot, lengths = (a * b).sum(axis=1), np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    alike = (a == b).all(axis=1)
    return np.where(alike, 1.0, dot / np.maximum(lengths, 1e-12))
