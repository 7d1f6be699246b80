from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mingmu.core.errors import Conflict
from mingmu.data.dataset import Example
from mingmu.evaluate.reading import distance, measured, read_measures
from mingmu.evaluate.reading_page import reading_page
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from tests import tiny_text


@pytest.mark.parametrize(
    ("one", "other", "edits"), [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("AB", "BA", 2)]
)
def test_the_distance_is_the_fewest_edits(one: str, other: str, edits: int) -> None:
    assert distance(one, other) == edits


@given(st.text("AB", max_size=6), st.text("AB", max_size=6), st.text("AB", max_size=6))
def test_the_distance_is_one(a: str, b: str, c: str) -> None:
    assert distance(a, b) == distance(b, a)
    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, c) <= distance(a, b) + distance(b, c)


def test_figures_come_with_their_intervals() -> None:
    found = measured(["AB12"] * 9 + ["CD34"], ["AB12"] * 9 + ["CO34"])
    assert found.exact.value == pytest.approx(0.9)
    assert 0.5 < found.exact.low < 0.9 < found.exact.high < 1
    assert found.character_errors.value == pytest.approx(1 / 40)
    assert "90.0 % of 10 texts" in found.headline


def test_what_cannot_be_decoded_counts_as_wrong() -> None:
    found = measured(["AB", "CD"], ["AB", None])
    assert (found.exact.value, found.character_errors.value, found.unreadable) == (0.5, 0.5, 1)


def test_mistakes_are_named_the_surest_first_and_shown(tmp_path: Path) -> None:
    store = Store(tmp_path)
    reader = Library(store).open(store.publish("colours", store.add(tiny_text.seal_reader).digest).digest)
    examples = [Example(store.blobs.put(tiny_text.picture(text)), (said,), f"{said}.png") for text, said in (("RG", "RG"), ("GB", "B<"))]
    found = read_measures(reader, [*examples, Example(store.blobs.put(b"junk"), ("R",), "junk.png")], store.blobs)
    assert found.texts == 3
    assert found.unreadable == 1
    assert {misread.text for misread in found.misread} == {"B<", "R"}
    page = reading_page("<colours>", found, store.blobs)
    assert "&lt;colours&gt;" in page
    assert "B&lt;" in page
    assert page.count("data:image/png") == 1
    with pytest.raises(Conflict, match="no photo has a text"):
        read_measures(reader, [], store.blobs)
