from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mingmu.evaluate.card import card
from tests.evaluate.made import report


def test_the_card_says_what_it_is_how_good_and_where_its_limits_lie(tmp_path: Path) -> None:
    made, recognizer, _ = report(tmp_path)
    text = card(made)
    for part in (
        "# tiny\n",
        recognizer.digest,
        made.data.digest,
        "Licence of the network: Apache-2.0",
        "| accuracy | 93.8 % | 71.7 to 98.9 % | Wilson |",
        "blue taken for red (1)",
        "Sets that promise 90 %",
        "With twice the photos",
        "mingmu evaluate tiny DATA",
    ):
        assert part in text


def test_names_from_outside_cannot_break_the_table(tmp_path: Path) -> None:
    made = report(tmp_path)[0]
    odd = replace(made.measures.classes[0], label="a|b\n# <i>")
    text = card(replace(made, measures=replace(made.measures, classes=(odd, *made.measures.classes[1:]))))
    assert r"a\|b \# \<i\>" in text
