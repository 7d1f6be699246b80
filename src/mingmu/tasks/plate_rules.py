"""How number plates are written, country by country. Rules choose among what a reader saw; they never put in what it did not see."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from mingmu.tasks.read import Line

SEEN = 0.02  # how sure a character must be to be chosen against a surer one that the rules do not allow there

DIGITS = "0123456789"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
CHINESE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # GA 36-2018: neither I nor O
ENERGY = "ABCDEFGHJK"  # the same: what the engine of an electric or hybrid car runs on
LAST = {"警": "police", "学": "learner", "挂": "trailer", "港": "hong-kong", "澳": "macao", "领": "consulate"}

Pattern = tuple[str, ...]  # what may stand at each place

_ANY = CHINESE_LETTERS + DIGITS
_HEAD: Pattern = (PROVINCES, CHINESE_LETTERS)
ORDINARY: Pattern = (*_HEAD, *[_ANY] * 4, _ANY + "".join(LAST))
NEW_ENERGY: tuple[Pattern, ...] = ((*_HEAD, ENERGY, _ANY, *[DIGITS] * 4), (*_HEAD, *[DIGITS] * 5, ENERGY))


def _written(shape: str) -> Pattern:
    return tuple({"A": LETTERS, "9": DIGITS}[each] for each in shape)


LATIN = tuple(
    map(
        _written,
        (
            "AA99AAA",  # United Kingdom, Romania, …
            "AA999AA", "AA999A",  # France, Italy, Slovakia, Albania
            "A999AAA", "A99AAA", "AAA99A",  # Romania's capital, Sweden, …
            "9999AAA",  # Spain
            "AA9", "AA99", "AA999", "AA9999", "AA99999", "AAA9", "AAA99", "AAA999", "AAA9999", "AAA99999",  # Germany, Austria, Poland,
            "AAAA9", "AAAA99", "AAAA999", "AAAA9999", "AAAAA9", "AAAAA99", "AAAAA999",  # Hungary, the Americas, …
            "AA9999A", "A999999", "A99999", "A9999",  # Poland, Luxembourg, Switzerland, …
            "AA99AA", "99AAAA", "AAAA99", "99AAA9", "9AAA99", "9AA999", "99AA99", "9999AA",  # Netherlands, Portugal
            "AAA9A99",  # Brazil, Mercosur
            "9AAA999", "999AAA", "AA9999AA", "A9999AA", "9A99999", "9AA9999", "9A9999",  # California, Belgium, Ukraine, Bulgaria, Czechia
        ),
    )
)  # fmt: skip
"""A letter A, a digit 9. Where a text is of none of these shapes, it stays as it was read."""

PATTERNS: Mapping[str, tuple[Pattern, ...]] = {"chinese": (ORDINARY, *NEW_ENERGY), "latin": LATIN}


def allowed(text: str, patterns: Sequence[Pattern]) -> bool:
    """Whether a text is written as one of the patterns says."""
    return any(len(text) == len(pattern) and all(map(str.__contains__, pattern, text)) for pattern in patterns)


def bare(line: Line, labels: Sequence[str]) -> Line:
    """The same line without what is no letter and no digit: dots, hyphens and blanks stand between the parts of a plate."""
    kept = np.array([labels[each - 1].isalnum() for each in line.classes[:, 0].tolist()], bool)
    return Line(line.classes[kept], line.confidences[kept])


def ranked(line: Line, labels: Sequence[str], patterns: Sequence[Pattern]) -> Line:
    """The same line, with the likeliest of its characters chosen that a pattern allows; as it is, where none can be followed."""
    if allowed(line.text(labels), patterns):
        return line
    choices = [found for pattern in patterns if len(pattern) == len(line.classes) and (found := _choice(line, labels, pattern))]
    if not choices:
        return line
    columns = np.array(max(choices, key=lambda found: _likelihood(line, found)))[:, None]
    order = np.concatenate([columns, _others(columns, line.classes.shape[1])], axis=1)
    return Line(np.take_along_axis(line.classes, order, 1), np.take_along_axis(line.confidences, order, 1))


def kind_of(text: str) -> str | None:
    """What sort of plate it is, where its text says so: Chinese ones alone do."""
    if not allowed(text, PATTERNS["chinese"]):
        return None
    return "new-energy" if allowed(text, NEW_ENERGY) else LAST.get(text[-1], "ordinary")


def _choice(line: Line, labels: Sequence[str], pattern: Pattern) -> list[int] | None:
    """Which of the candidates stands at each place; None where one place has none that is allowed."""
    chosen = []
    for classes, confidences, may in zip(line.classes.tolist(), line.confidences.tolist(), pattern, strict=True):
        fits = [at for at, (each, sure) in enumerate(zip(classes, confidences, strict=True)) if sure >= SEEN and labels[each - 1] in may]
        if not fits:
            return None
        chosen.append(fits[0])
    return chosen


def _likelihood(line: Line, chosen: Sequence[int]) -> float:
    return sum(math.log(max(1e-9, float(row[at]))) for row, at in zip(line.confidences, chosen, strict=True))


def _others(columns: np.ndarray[tuple[int, int], np.dtype[np.int64]], count: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """All places but the chosen one, in order."""
    return np.array([[at for at in range(count) if at != chosen] for chosen in columns[:, 0].tolist()]).reshape(len(columns), count - 1)
