from __future__ import annotations

import re
from pathlib import Path

from mingmu.data.finding import KINDS, Finding

PAGE = Path(__file__).resolve().parents[2] / "docs/data.md"


def test_every_kind_is_documented_with_its_severity() -> None:
    documented = dict(re.findall(r"^\| `([a-z-]+)` \| (error|warning|info) \|", PAGE.read_text("utf-8"), re.MULTILINE))
    assert documented == {name: kind.severity for name, kind in KINDS.items()}


def test_a_finding_brings_the_advice_of_its_kind() -> None:
    finding = Finding.of("duplicate", "a.png", "b.png")
    assert (finding.severity, finding.where, finding.detail) == ("warning", ("a.png", "b.png"), "the same file more than once")
    assert finding.advice == "keep one of them"
