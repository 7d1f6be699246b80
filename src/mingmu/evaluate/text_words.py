"""Figures of a reader in words that need no statistics to be understood; shared by the page and the model card."""

from __future__ import annotations

from mingmu.evaluate.measure import FEW
from mingmu.evaluate.predictions import UNKNOWN
from mingmu.evaluate.text_measures import TextClass, TextMeasures
from mingmu.evaluate.words import grouped, interval, listed, not_asked, percent


def texts(count: int) -> str:
    return f"{count:,} text{'' if count == 1 else 's'}"


def headline(measures: TextMeasures) -> str:
    """The result in a sentence."""
    found = measures.exact
    what = f"It read {percent(found.value)} of {texts(measures.examples)} without a mistake"
    if measures.source == UNKNOWN:
        return f"{what}. Whether these taught it is not known here; only if they did not, expect {interval(found)} of others like them."
    return f"{what}. Of other texts like these, expect {interval(found)}."


def operation(measures: TextMeasures) -> str:
    """How much of what it reads is wrong."""
    found = measures.character_errors
    return f"{percent(found.value, 2)} of the characters were wrong, passed over, or made up ({interval(found)})."


def taken_for(found: TextClass) -> str:
    """What a character was read as, where it was not right."""
    return ", ".join(f"{read or 'nothing'} ({count})" for read, count in found.taken_for)


def cautions(measures: TextMeasures) -> list[str]:
    """What a reader must know before believing the figures."""
    several = "a text, or with several labels,"
    found = not_asked(measures.left_out, measures.source, of="Characters", counted=texts, without=several, learned="their texts")
    if measures.left_out.unknown:
        found.append("Texts with such characters count as wrong.")
    found += grouped(measures.examples, measures.groups)
    if few := [each.label for each in measures.classes if 0 < each.there < FEW]:
        found.append(f"Fewer than {FEW} of: {listed(few)}. Their own figures are rough; look at their intervals.")
    return found
