"""Figures in words that need no statistics to be understood; shared by the page and the model card."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mingmu.evaluate.cost import Cost
from mingmu.evaluate.intervals import Estimate
from mingmu.evaluate.learning import LearningCurve
from mingmu.evaluate.measure import FEW, LeftOut, Measures
from mingmu.evaluate.predictions import CROSS_VALIDATION, TAUGHT, TEST, UNKNOWN

BELIEVABLE = 0.03  # an ECE that hardly matters
VOUCHING = 400  # photos, from which on it can be vouched for: of 90 % right, that is then two standard errors
HARDLY_ANY = 5  # photos of a label under which its figures say next to nothing: 4 right of 4 leave a recall of 51 % possible
NAMED = 8  # labels
VAGUE = 0.15  # width of an interval that leaves nothing but to say how wide it is
FLATTERED = "What taught it is not kept here. If these photos did, every figure flatters it."
LOST = 0.3  # of the usual photo, from which on it is said how much is never looked at: a 4:3 photo loses a quarter to a square


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
    if measures.source == UNKNOWN:
        return f"{result}. Whether these taught it is not known here; only if they did not, expect {interval(found)} on others like them."
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
    copies = "just these, or from copies of them"
    found += not_asked(left, measures.source, of="Labels", counted=photos, without="a label", learned=copies)
    if measures.lost > LOST:
        found.append(f"It looks at the middle only: of the usual photo {percent(measures.lost, 0)} is never looked at.")
    found += grouped(measures.examples, measures.groups)
    if measures.source == CROSS_VALIDATION:
        found.append(
            "The kind of head was chosen by the same cross-validation that measures it, which flatters it a little; "
            "the heads that were measured learned from fewer photos than the one that serves, which does it some injustice. "
            "Photos set aside as a test part would tell."
        )
    return found + _scarcities(measures)


def not_asked(left: LeftOut, source: str, *, of: str, counted: Callable[[int], str], without: str, learned: str) -> list[str]:
    """What could not be measured, or was not, and why; and whether it is known what the recognizer learned from."""
    found = []
    if left.unreadable:
        first = left.unreadable[0]
        found.append(f"{photos(len(left.unreadable))} could not be read; the first: {first.name} ({first.reason}).")
    if left.unknown:
        found.append(f"{of} that it does not know: " + ", ".join(f"{each} ({counted(count)})" for each, count in left.unknown) + ".")
    if left.unlabelled:
        found.append(f"{photos(left.unlabelled)} without {without} {_were(left.unlabelled)} passed over.")
    if left.learned:
        found.append(f"{photos(left.learned)} {_were(left.learned)} left out: it learned from {learned}.")
    if source == UNKNOWN:
        found.append(FLATTERED)
    return found


def grouped(examples: int, groups: int) -> list[str]:
    """What it means that photos belong together, where some do."""
    if groups == examples:
        return []
    return [f"Some of the {photos(examples)} belong together ({groups:,} groups); the intervals allow for that."]


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _scarcities(measures: Measures) -> list[str]:
    """Of which labels there are too few photos to say much."""

    def named(low: int, high: int) -> str:
        return listed([label.label for label in measures.classes if low <= label.support < high])

    none, hardly, few = named(0, 1), named(1, HARDLY_ANY), named(HARDLY_ANY, FEW)
    found = []
    if none:
        found.append(f"No photo of: {none}. How well it finds them was not measured.")
    if hardly:
        found.append(f"Fewer than {HARDLY_ANY} photos of: {hardly}. Their own figures say next to nothing.")
    if few:
        found.append(f"Fewer than {FEW} photos of: {few}. Their own figures are rough; look at their intervals.")
    return found


def listed(labels: Sequence[str]) -> str:
    """The first few labels, and how many more there are."""
    return ", ".join(labels[:NAMED]) + (f" and {len(labels) - NAMED} more" if len(labels) > NAMED else "")


def trust(measures: Measures) -> str:
    """Whether its confidence can be believed; photos that belong together count once in how many there are."""
    if measures.source == TAUGHT:
        return "Whether its confidence can be believed cannot be told from photos that it was taught."
    said = _trust(measures)
    return f"Unless these photos taught it: {said[0].lower()}{said[1:]}" if measures.source == UNKNOWN else said


def _trust(measures: Measures) -> str:
    found = measures.calibration
    apart = f"confidence and accuracy lie {percent(found.ece)} apart on average"
    if found.ece <= max(BELIEVABLE, found.by_chance) and measures.groups < VOUCHING:
        few = f"{photos(measures.groups)} are too few to vouch for it; {VOUCHING} would do"
        return f"Nothing speaks against its confidence: {apart}. {few}."
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
    now, then = curve.accuracy(curve.twice / 2), curve.forecast
    if then.high - then.low > VAGUE:
        return f"With twice the photos ({curve.twice:,}) anything from {interval(then)} is to be expected: these are too few to say more."
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
    return f"{size(found.head_bytes)}, on a network of {size(found.network_bytes)} that all heads on it share"
