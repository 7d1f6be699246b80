"""Figures in words that need no statistics to be understood; shared by the page and the model card."""

from __future__ import annotations

from mingmu.evaluate.cost import Cost
from mingmu.evaluate.intervals import Estimate
from mingmu.evaluate.learning import LearningCurve
from mingmu.evaluate.measure import FEW, Measures
from mingmu.evaluate.predictions import TAUGHT, TEST

BELIEVABLE = 0.03  # an ECE that hardly matters


def percent(share: float, digits: int = 1) -> str:
    """0.932 as "93.2 %"."""
    return f"{100 * share:.{digits}f} %"


def interval(found: Estimate) -> str:
    """The ends of an interval, in per cent."""
    return f"{100 * found.low:.1f} to {100 * found.high:.1f} %"


def photos(count: int) -> str:
    return f"{count:,} photo{'' if count == 1 else 's'}"


def headline(measures: Measures) -> str:
    """The result in a sentence."""
    found = measures.accuracy
    what = "It got every label of a photo right for" if measures.multi_label else "It was right on"
    result = f"{what} {percent(found.value)} of {photos(measures.examples)}"
    if measures.source == TAUGHT:
        return f"{result}, the very ones that it was taught. How it does on others cannot be told from so few."
    how = "" if measures.source == TEST else f" ({measures.source})"
    return f"{result}{how}. On other photos like these, expect {interval(found)}."


def cautions(measures: Measures) -> list[str]:
    """What a reader must know before believing the figures."""
    left, found = measures.left_out, []
    if measures.accuracy_of_all is not None:
        found.append(
            f"{photos(left.missed)} could not be measured and are not in the figures. Counted as wrong, "
            f"accuracy would be {percent(measures.accuracy_of_all.value)}."
        )
    if left.unreadable:
        first = left.unreadable[0]
        found.append(f"{photos(len(left.unreadable))} could not be read; the first: {first.name} ({first.reason}).")
    if left.unknown:
        found.append("Labels that it does not know: " + ", ".join(f"{label} ({photos(count)})" for label, count in left.unknown) + ".")
    if left.unlabelled:
        found.append(f"{photos(left.unlabelled)} without a label {'was' if left.unlabelled == 1 else 'were'} passed over.")
    if measures.groups < measures.examples:
        found.append(f"Some of the {photos(measures.examples)} belong together ({measures.groups:,} groups); the intervals allow for that.")
    few = [label.label for label in measures.classes if 0 < label.support < FEW]
    if few:
        named = ", ".join(few[:8]) + (f" and {len(few) - 8} more" if len(few) > 8 else "")
        found.append(f"Fewer than {FEW} photos of: {named}. Their own figures are rough; look at their intervals.")
    return found


def trust(measures: Measures) -> str:
    """Whether its confidence can be believed."""
    found = measures.calibration
    apart = f"confidence and accuracy lie {percent(found.ece)} apart on average"
    if found.ece <= BELIEVABLE:
        return f"Its confidence can be believed: of the answers it is 80 % sure of, about 80 % are right; {apart}."
    if found.ece <= found.by_chance:
        return f"Nothing speaks against its confidence: {apart}, no more than chance can explain with so few photos."
    sure = sum(bin.count * (bin.confidence - bin.accuracy.value) for bin in found.bins) > 0
    how = "surer than it should be" if sure else "less sure than it could be"
    return f"Its confidence is not to be taken at its word: it is {how}; {apart} (chance alone explains {percent(found.by_chance)})."


def outlook(curve: LearningCurve) -> str:
    """What twice the photos would bring."""
    if curve.forecast is None:
        return f"What more photos would bring cannot be said: {curve.refusal}."
    now, then = curve.accuracy(curve.points[-1].examples), curve.forecast
    gain = f"{100 * (then.value - now):+.1f} points" if abs(then.value - now) >= 0.0005 else "no change"
    return f"With twice the photos ({curve.twice:,}) expect about {percent(then.value)} ({gain}; 95 % interval {interval(then)})."


def size(count: int) -> str:
    """Bytes as "18.8 MB"."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


def weight(found: Cost) -> str:
    """What it weighs on disk."""
    if not found.head_bytes:
        return size(found.network_bytes)
    return f"{size(found.head_bytes)}, on a network of {size(found.network_bytes)} that all recognizers share"
