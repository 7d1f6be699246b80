from __future__ import annotations

import json
from pathlib import Path

import pytest

from mingmu.core.errors import Conflict
from mingmu.evaluate.report import Report
from tests.evaluate.made import report


def test_a_report_survives_json(tmp_path: Path) -> None:
    made, recognizer, _ = report(tmp_path)
    assert Report.from_json(made.to_json()) == made
    document = json.loads(made.to_json())
    assert document["schema"] == "mingmu-report/1"
    assert document["subject"]["digest"] == recognizer.digest
    assert document["subject"]["backbone"] == "tiny-backbone"
    assert document["measures"]["left_out"]["unknown"] == [["pink", 1]]
    assert document["cost"]["head_bytes"] > 0


@pytest.mark.parametrize("change", [{"schema": "mingmu-report/2"}, {"extra": 1}, {"measures": None}])
def test_a_document_of_another_kind_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    document = json.loads(report(tmp_path)[0].to_json()) | change
    with pytest.raises(Conflict, match="not a report of schema mingmu-report/1"):
        Report.from_json(json.dumps(document).encode())


def test_what_could_not_be_measured_lowers_the_figure_that_counts_all(tmp_path: Path) -> None:
    measures = report(tmp_path)[0].measures
    assert (measures.examples, measures.left_out.missed) == (16, 2)
    assert measures.accuracy.value == 15 / 16
    assert measures.accuracy_of_all is not None
    assert measures.accuracy_of_all.value == 15 / 18
