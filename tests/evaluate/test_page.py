from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from mingmu.evaluate.calibration import coverage
from mingmu.evaluate.measure import Measures, measure
from mingmu.evaluate.page import page
from mingmu.evaluate.report import Report
from mingmu.evaluate.thumbnails import thumbnails
from tests.evaluate.made import random_predictions, report
from tests.evaluate.test_measure import multi_label

VOID = {"meta", "br", "img"}


class Balance(HTMLParser):
    """Fails where a tag is left open or closed twice."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(document: str) -> str:
    parser = Balance()
    parser.feed(document)
    assert parser.open == []
    assert "<script" not in document
    assert re.findall(r'(?:src|href)="(?!data:)', document) == []
    assert "nan" not in re.sub(r"base64,[^\"]*", "", document).lower().replace("meaning", "")
    return document


def with_measures(folder: Path, measures: Measures) -> Report:
    return replace(report(folder)[0], measures=measures)


def test_the_page_says_the_result_in_words_and_loads_nothing(tmp_path: Path) -> None:
    made, recognizer, blobs = report(tmp_path)
    document = check(page(made, thumbnails(made.measures.mistakes, recognizer, blobs)))
    assert "It was right on 93.8 % of 16 photos." in document
    assert "2 photos could not be measured" in document
    assert "Labels that it does not know: pink (1 photo)." in document
    assert "With twice the photos (1,000) expect about" in document
    assert recognizer.digest in document


def test_the_card_of_calibration_says_what_can_be_chance(tmp_path: Path) -> None:
    made = report(tmp_path)[0]
    assert f"up to {100 * made.measures.calibration.by_chance:.1f} % can be chance" in page(made)


def test_names_from_outside_cannot_inject_markup(tmp_path: Path) -> None:
    made = report(tmp_path)[0]
    document = page(made)
    assert "<mislabelled>" not in document
    assert "&lt;mislabelled&gt;" in document


def test_a_mistake_shows_what_was_seen_and_where_it_looked(tmp_path: Path) -> None:
    made, recognizer, blobs = report(tmp_path)
    drawn = thumbnails(made.measures.mistakes, recognizer, blobs)
    assert len(drawn) == 1
    assert all(found.saliency for found in drawn.values())
    assert page(made, drawn).count("<img") == 2
    blobs.blobs.clear()
    assert thumbnails(made.measures.mistakes, recognizer, blobs) == {}


@pytest.mark.parametrize(("classes", "drawn", "numbered"), [(3, True, True), (80, True, False), (130, False, False)])
def test_the_confusion_matrix_adapts_to_the_number_of_labels(tmp_path: Path, classes: int, drawn: bool, numbered: bool) -> None:
    document = check(page(with_measures(tmp_path, measure(random_predictions(600, classes)))))
    assert ('aria-label="Confusion matrix"' in document) is drawn
    assert ('class="count' in document) is numbered


def test_a_broken_promise_of_coverage_is_named(tmp_path: Path) -> None:
    made = report(tmp_path)[0]
    nothing = coverage({0.9: np.zeros((40, 2), bool)}, np.eye(2, dtype=bool)[np.arange(40) % 2])
    assert "<b>broken</b>" in check(page(with_measures(tmp_path / "other", replace(made.measures, coverage=nothing))))


def test_several_labels_a_perfect_score_and_no_score_at_all_have_pages_too(tmp_path: Path) -> None:
    assert "Mean average precision" in check(page(with_measures(tmp_path / "a", measure(multi_label()))))
    flawless = measure(random_predictions(40, 3, sharpness=50))
    check(page(with_measures(tmp_path / "b", replace(flawless, mistakes=()))))


def test_sets_that_are_wider_than_their_promise_takes_are_named(tmp_path: Path) -> None:
    found = random_predictions(400)
    everything = np.ones_like(found.truth)
    assert "wider sets than it takes" in page(with_measures(tmp_path, measure(found, sets={0.8: everything})))
