from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mingmu.core.manifest import DetectSpec
from mingmu.core.pixels import encode_jpeg
from mingmu.data.dataset import Example
from mingmu.evaluate.box_measures import measure_boxes
from mingmu.evaluate.card import card
from mingmu.evaluate.page import page
from mingmu.evaluate.report import BoxReport, Data, Subject
from mingmu.evaluate.sightings import Sightings
from mingmu.evaluate.thumbnails import Thumbnail
from mingmu.tasks.boxes import Found
from mingmu.tasks.matching import Truth
from tests.evaluate.test_page import check

EVIL = "<b>cat</b>"


@pytest.fixture(scope="module")
def report() -> BoxReport:
    truth = Truth(np.array([[10.0, 10, 60, 60]]), np.array([0]))
    nothing = Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), np.arange(0))
    right = Found(np.array([[10, 10, 60, 60]], np.float32), np.array([0.9], np.float32), np.array([0]), np.arange(1))
    examples = tuple(Example(f"{number:064d}", (EVIL,), f"<{number}>.jpg") for number in range(4))
    seen = Sightings((EVIL, "dog"), examples, (right, right, right, nothing), (truth,) * 4, ((100, 80),) * 4, DetectSpec())
    subject = Subject(EVIL, "0" * 64, "model", "detect", "MIT", "here", None, None, None, None, "ONNX Runtime")
    return BoxReport(subject, Data("1" * 64, 4, 1), measure_boxes(seen), "2026-01-02T03:04:05+00:00")


def test_the_page_is_whole_and_nothing_in_it_is_markup_of_others(report: BoxReport) -> None:
    photo = Thumbnail(encode_jpeg(np.zeros((80, 100, 3), np.uint8)), None)
    html = page(report, {miss.image: photo for miss in report.measures.misses})
    check(html)
    assert EVIL not in html
    for words in ("AP50", "mAP", "Precision and recall", "1 missed", "data:image/jpeg;base64"):
        assert words in html


def test_a_missed_box_is_drawn_where_it_is(report: BoxReport) -> None:
    photo = Thumbnail(encode_jpeg(np.zeros((80, 100, 3), np.uint8)), None)
    html = page(report, {report.measures.misses[0].image: photo})
    assert '<rect class="missed" x="10.0" y="10.0" width="50.0" height="50.0">' in html


def test_a_photo_that_is_gone_is_still_listed(report: BoxReport) -> None:
    assert "&lt;3&gt;.jpg" in page(report)


def test_without_a_mistake_it_says_so(report: BoxReport) -> None:
    assert "nothing was missed" in page(replace(report, measures=replace(report.measures, misses=())))


def test_the_card_has_the_figures(report: BoxReport) -> None:
    text = card(report)
    assert "| AP50 | 75.2 %" in text
    assert "finds things of 2 labels" in text


def test_the_report_is_json(report: BoxReport) -> None:
    document = json.loads(report.to_json())
    assert document["schema"] == "mingmu-box-report/1"
    assert document["measures"]["ap50"]["method"].startswith("bootstrap")
