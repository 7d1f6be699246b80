"""A measurement in a few sentences, whatever kind of recognizer was measured."""

from __future__ import annotations

from mingmu.evaluate import box_words, words
from mingmu.evaluate.box_measures import BoxMeasures
from mingmu.evaluate.measure import Measures


def headline(measures: Measures | BoxMeasures) -> str:
    """The result in a sentence."""
    return box_words.headline(measures) if isinstance(measures, BoxMeasures) else words.headline(measures)


def cautions(measures: Measures | BoxMeasures) -> list[str]:
    """What a reader must know before believing the figures."""
    return box_words.cautions(measures) if isinstance(measures, BoxMeasures) else words.cautions(measures)


def summary(measures: Measures | BoxMeasures) -> list[str]:
    """All of it, a sentence or two a line."""
    trust = box_words.operation(measures) if isinstance(measures, BoxMeasures) else words.trust(measures)
    return [headline(measures), trust, *cautions(measures)]
