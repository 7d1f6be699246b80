from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mingmu.tasks.plate_rules import PATTERNS, allowed, bare, kind_of, ranked
from mingmu.tasks.read import Line

LABELS = tuple("皖京ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
CHINESE, LATIN = PATTERNS["chinese"], PATTERNS["latin"]


def line(*places: str, sure: tuple[float, ...] = (0.6, 0.3, 0.1)) -> Line:
    """For each place its candidates, the surest first."""
    width = max(map(len, places))
    classes = np.array([[LABELS.index(each) + 1 for each in place.ljust(width, place[0])] for place in places])
    return Line(classes, np.tile(np.array(sure[:width], np.float32), (len(places), 1)))


def test_a_text_that_is_written_right_stays() -> None:
    read = line("皖", "AB", "1I", "2Z", "3", "4", "5")
    assert ranked(read, LABELS, CHINESE) is read


def test_a_character_that_stands_where_it_may_not_gives_way_to_the_next_one() -> None:
    assert ranked(line("皖", "8B", "1", "O0", "3", "4", "5"), LABELS, CHINESE).text(LABELS) == "皖B10345"
    assert ranked(line("A", "B", "I1", "O0", "C", "D", "E"), LABELS, LATIN).text(LABELS) == "AB10CDE"


def test_its_confidence_is_that_of_the_character_that_was_chosen() -> None:
    found = ranked(line("皖", "8B", "1", "2", "3", "4", "5"), LABELS, CHINESE)
    assert found.confidences[1, 0] == pytest.approx(0.3)
    assert sorted(found.classes[1].tolist()) == sorted([LABELS.index("8") + 1, LABELS.index("B") + 1])


def test_what_was_hardly_seen_is_not_chosen() -> None:
    read = line("皖", "8B", "1", "2", "3", "4", "5", sure=(0.98, 0.01))
    assert ranked(read, LABELS, CHINESE) is read


def test_what_stands_between_the_parts_of_a_plate_is_left_out() -> None:
    labels = (*LABELS, "·", "-")
    read = Line(np.array([[1], [len(LABELS) + 1], [5], [len(LABELS) + 2]]), np.ones((4, 1), np.float32))
    assert bare(read, labels).text(labels) == "皖C"


def test_a_text_of_no_known_shape_stays() -> None:
    read = line("8B", "1", "2")
    assert ranked(read, LABELS, CHINESE) is read


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.sampled_from(LABELS), min_size=3, max_size=3, unique=True), min_size=1, max_size=9))
def test_nothing_is_ever_put_in_that_was_not_seen(places: list[list[str]]) -> None:
    read = line(*map("".join, places))
    for patterns in (CHINESE, LATIN):
        found = ranked(read, LABELS, patterns).text(LABELS)
        assert len(found) == len(places)
        assert all(each in place for each, place in zip(found, places, strict=True))


@pytest.mark.parametrize(
    ("text", "kind"),
    [("皖A12345", "ordinary"), ("皖AD12345", "new-energy"), ("皖A12345D", "new-energy"), ("皖A1234学", "learner"), ("AB12CDE", None)],
)
def test_the_text_says_what_sort_of_plate_it_is(text: str, kind: str | None) -> None:
    assert kind_of(text) == kind


def test_chinese_plates_have_neither_i_nor_o() -> None:
    assert not allowed("皖AO1234", CHINESE)
    assert not allowed("皖I12345", CHINESE)
    assert kind_of("AB12CDE") is None
