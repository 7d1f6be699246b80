"""A measurement in a few sentences, whatever kind of recognizer was measured."""

from __future__ import annotations

from mingmu.evaluate import box_words, text_words, words
from mingmu.evaluate.box_measures import BoxMeasures
from mingmu.evaluate.measure import Measures
from mingmu.evaluate.text_measures import TextMeasures

AnyMeasures = Measures | BoxMeasures | TextMeasures


def headline(measures: AnyMeasures) -> str:
    """The result in a sentence."""
    match measures:
        case BoxMeasures():
            return box_words.headline(measures)
        case TextMeasures():
            return text_words.headline(measures)
    return words.headline(measures)


def cautions(measures: AnyMeasures) -> list[str]:
    """What a reader must know before believing the figures."""
    match measures:
        case BoxMeasures():
            return box_words.cautions(measures)
        case TextMeasures():
            return text_words.cautions(measures)
    return words.cautions(measures)


def operation(measures: AnyMeasures) -> str:
    """What its answers are like: whether its confidence can be believed, what it finds, or how much of what it reads is wrong."""
    match measures:
        case BoxMeasures():
            return box_words.operation(measures)
        case TextMeasures():
            return text_words.operation(measures)
    return words.trust(measures)


def summary(measures: AnyMeasures) -> list[str]:
    """All of it, a sentence or two a line."""
    return [headline(measures), operation(measures), *cautions(measures)]
