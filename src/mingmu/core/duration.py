"""How long something takes, as people write it: 90s, 10m, 2m30s, 1.5h."""

from __future__ import annotations

import re

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
WRITTEN = re.compile("".join(rf"(?:([0-9]{{1,6}}(?:\.[0-9]{{1,6}})?|\.[0-9]{{1,6}}){unit})?" for unit in UNITS))


def seconds_in(text: str) -> float:
    """The seconds that a text says: hours, minutes and seconds, each at most once, in this order. 0 where it says no time."""
    found = WRITTEN.fullmatch(text)
    return sum(float(number or 0) * unit for number, unit in zip(found.groups(), UNITS.values(), strict=True)) if found else 0.0
