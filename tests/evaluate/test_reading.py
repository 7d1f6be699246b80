from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mingmu.core.errors import Conflict
from mingmu.data.dataset import Dataset, Example
from mingmu.evaluate.card import card
from mingmu.evaluate.page import page
from mingmu.evaluate.report import TextReport
from mingmu.evaluate.summary import summary
from mingmu.evaluate.text_measures import LONGEST, TextMeasures, aligned, measure_texts
from mingmu.evaluate.thumbnails import thumbnails_of
from mingmu.evaluate.transcripts import Said, Transcripts, transcribe
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.verbs.measuring import measured
from tests import tiny_text


def measures_of(texts: Sequence[str], read: Sequence[str], labels: str = "", groups: Sequence[str | None] | None = None) -> TextMeasures:
    of = groups or [None] * len(texts)
    examples = [Example(f"{at:064}", (text,), f"{at}.png", None, of[at]) for at, text in enumerate(texts)]
    return measure_texts(Transcripts(tuple(labels), tuple(examples), tuple(Said(text, 0.9) for text in read)))


def edits(one: str, other: str) -> int:
    return sum(a != b for a, b in aligned(one, other))


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("AB", "BA", 2), ("京A", "京B", 1)],
)
def test_the_distance_is_the_fewest_edits(one: str, other: str, count: int) -> None:
    assert edits(one, other) == count


@given(st.text("AB", max_size=6), st.text("AB", max_size=6), st.text("AB", max_size=6))
def test_the_distance_is_one(a: str, b: str, c: str) -> None:
    assert edits(a, b) == edits(b, a)
    assert (edits(a, b) == 0) == (a == b)
    assert edits(a, c) <= edits(a, b) + edits(b, c)


@given(st.text(max_size=8), st.text(max_size=8))
def test_what_lies_beside_each_other_is_both_texts(one: str, other: str) -> None:
    pairs = aligned(one, other)
    assert ("".join(a for a, _ in pairs), "".join(b for _, b in pairs)) == (one, other)


def test_of_a_very_long_text_the_beginning_is_compared() -> None:
    assert len(aligned("A" * 3 * LONGEST, "B" * 3 * LONGEST)) == LONGEST


def test_figures_come_with_their_intervals() -> None:
    found = measures_of(["AB12"] * 9 + ["CD34"], ["AB12"] * 9 + ["CO34"])
    assert found.exact.value == pytest.approx(0.9)
    assert 0.5 < found.exact.low < 0.9 < found.exact.high < 1
    assert found.character_errors.value == pytest.approx(1 / 40)
    assert "90.0 % of 10 texts" in summary(found)[0]
    assert "2.50 % of the characters" in summary(found)[1]


def test_photos_that_belong_together_widen_the_intervals() -> None:
    texts, read = ["AB", "CD"] * 10, ["AB", "CX"] * 10
    alone, together = measures_of(texts, read), measures_of(texts, read, groups=["a", "b"] * 10)
    assert together.groups == 2
    assert together.exact.high - together.exact.low > alone.exact.high - alone.exact.low
    assert any("belong together" in text for text in summary(together))


def test_each_character_says_what_it_was_taken_for() -> None:
    found = measures_of(["0A0", "0B"], ["OA0X", "B"], labels="0AB")
    zero = found.classes[0]
    assert (zero.label, zero.there) == ("0", 3)
    assert zero.right is not None
    assert zero.right.value == pytest.approx(1 / 3)
    assert {*zero.taken_for} == {("O", 1), ("", 1)}
    assert found.invented == 1
    assert [each.label for each in found.occurring()] == ["0", "A", "B"]


def test_characters_that_a_reader_does_not_know_are_named_and_count_as_wrong() -> None:
    found = measures_of(["AÉ", "A"], ["A", "A"], labels="A")
    assert found.left_out.unknown == (("É", 1),)
    assert found.exact.value == 0.5
    assert any("does not know: É (1 text)" in text for text in summary(found))


def test_a_reader_has_a_report_a_page_and_a_card(tmp_path: Path) -> None:
    store = Store(tmp_path)
    reader = Library(store).open(store.publish("colours", store.add(tiny_text.seal_reader).digest).digest)
    examples = [Example(store.blobs.put(tiny_text.picture(text)), (said,), f"{said}.png") for text, said in (("RG", "RG"), ("GB", "B<"))]
    dataset = Dataset.of([*examples, Example(store.blobs.put(b"junk"), ("R",), "junk.png"), Example(examples[0].image, (), "bare.png")])
    report = measured(store, reader, dataset, dataset, lambda step, share: None)
    assert isinstance(report, TextReport)
    assert b'"schema":"mingmu-text-report/1"' in report.to_json()
    found = report.measures
    assert found.examples == 2
    assert [failure.name for failure in found.left_out.unreadable] == ["junk.png"]
    assert found.left_out.unlabelled == 1
    assert [misread.text for misread in found.misread] == ["B<"]
    drawn = page(report, thumbnails_of(found, reader, store.blobs))
    assert "B&lt;" in drawn
    assert drawn.count("data:image/jpeg") == 1
    assert "## Character by character" in card(report)


def test_a_chain_is_measured_as_one_reader(tmp_path: Path) -> None:
    store = Store(tmp_path)
    tiny_text.publish_text(tmp_path)
    tiny_text.publish_plates(tmp_path)
    dataset = Dataset.of(Example(store.blobs.put(tiny_text.picture(text)), (text,), f"{text}.png") for text in ("RG", "GR", "RGR"))
    for name in ("lines", "cars"):
        report = measured(store, Library(store).open(store.resolve(name).digest), dataset, dataset, lambda step, share: None)
        assert isinstance(report, TextReport)
        assert report.measures.exact.value > 0.5


def test_without_a_text_there_is_nothing_to_measure(tmp_path: Path) -> None:
    store = Store(tmp_path)
    reader = Library(store).open(store.add(tiny_text.seal_reader).digest)
    with pytest.raises(Conflict, match="none of 0 photos says what stands in it"):
        transcribe(reader, Dataset(()), store.blobs)
    junk = Dataset.of([Example(store.blobs.put(b"junk"), ("R",), "junk.png")])
    with pytest.raises(Conflict, match="none of 1 images could be read"):
        transcribe(reader, junk, store.blobs)
