from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest

from mingmu.batch.rows import Row, format_of, row_of, write
from mingmu.batch.sources import Item
from mingmu.core.answers import Box, Boxes, Label, Labels
from mingmu.core.batching import Format
from mingmu.core.errors import BadImage, BadRequest

DIGEST = "d" * 64
ODD = 'a\nb\r,"c"\té 红 \u2028.jpg'
ANSWER = Labels((Label('cat, "the"', 0.75, "n1"), Label("dog", 0.25, "n2")), abstain=True)
ROWS = [
    row_of(Item(ODD, ODD), ANSWER, DIGEST),
    row_of(Item("bad.jpg", "bad.jpg"), BadImage("it is cut short"), DIGEST),
    row_of(Item("../x.jpg", "", "path-outside", "it leads out"), None, DIGEST),
    row_of(Item(os.fsdecode(b"\xff.jpg"), ""), Labels((Label("cat", 1.0),)), DIGEST),
    row_of(Item("street.jpg", ""), Boxes((Box("car", 0.9, 1.5, 2, 30, 40), Box("cat", 0.5, 0, 0, 10, 10))), DIGEST),
    row_of(Item("sky.jpg", ""), Boxes(()), DIGEST),
]
PATHS = [ODD, "bad.jpg", "../x.jpg", "\ufffd.jpg", "street.jpg", "sky.jpg"]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    file = tmp_path / "rows"
    file.write_bytes(b"".join(row.line() for row in ROWS))
    return file


def read(file: Path, format: Format) -> list[dict[str, Any]]:
    """The rows of a file as any program reads them; cells of CSV that hold lists are JSON."""
    if format == "jsonl":
        return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
    if format == "csv":
        with file.open(encoding="utf-8", newline="") as opened:
            table = list(csv.DictReader(opened))
        return [{name: typed(name, cell) for name, cell in row.items()} for row in table]
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow (extra `parquet`) is not installed")
    rows: list[dict[str, Any]] = parquet.read_table(file).to_pylist()
    return rows


def typed(name: str, cell: str) -> Any:
    if name in ("labels", "scores", "ids", "boxes", "abstain"):
        return json.loads(cell)
    return (float(cell) if name == "score" else cell) if cell else None


@pytest.mark.parametrize("format", ["jsonl", "csv", "parquet"])
def test_a_row_is_the_same_in_every_format(lines: Path, tmp_path: Path, format: Format) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow (extra `parquet`) is not installed")
    tally = write(lines, tmp_path / "out", format)
    rows = read(tmp_path / "out", format)
    assert [row["path"] for row in rows] == PATHS
    assert [*rows[0]] == [*Row.__dataclass_fields__]
    assert rows[0] == {
        "path": ODD,
        "label": 'cat, "the"',
        "score": 0.75,
        "labels": ['cat, "the"', "dog"],
        "scores": [0.75, 0.25],
        "ids": ["n1", "n2"],
        "boxes": [],
        "abstain": True,
        "error": None,
        "detail": None,
        "digest": DIGEST,
    }
    assert rows[1] | {"path": ""} == {
        "path": "",
        "label": None,
        "score": None,
        "labels": [],
        "scores": [],
        "ids": [],
        "boxes": [],
        "abstain": False,
        "error": "bad-image",
        "detail": "it is cut short",
        "digest": DIGEST,
    }
    assert (rows[2]["error"], rows[2]["detail"]) == ("path-outside", "it leads out")
    assert (rows[4]["label"], rows[4]["labels"], rows[4]["boxes"]) == ("car", ["car", "cat"], [[1.5, 2, 30, 40], [0, 0, 10, 10]])
    assert (rows[5]["label"], rows[5]["boxes"], rows[5]["error"]) == (None, [], None)
    assert (tally.images, tally.abstained, dict(tally.errors)) == (6, 1, {"bad-image": 1, "path-outside": 1})
    assert dict(tally.labels) == {'cat, "the"': 1, "cat": 1, "car": 1}


def test_many_rows_of_parquet_are_written_in_groups(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow (extra `parquet`) is not installed")
    count = 10_000
    (tmp_path / "rows").write_bytes(b"".join(row_of(Item(f"{n}.jpg", ""), ANSWER, DIGEST).line() for n in range(count)))
    write(tmp_path / "rows", tmp_path / "out", "parquet")
    file = parquet.ParquetFile(tmp_path / "out")
    assert file.metadata.num_rows == count
    assert file.metadata.num_row_groups > 1
    assert file.read(["path"]).column("path").to_pylist() == [f"{n}.jpg" for n in range(count)]


def test_the_name_of_a_file_says_its_format() -> None:
    assert [format_of(Path(name)) for name in ("a.jsonl", "a.b.CSV", "a.parquet")] == ["jsonl", "csv", "parquet"]
    with pytest.raises(BadRequest, match=r"\.parquet"):
        format_of(Path("rows.xlsx"))
