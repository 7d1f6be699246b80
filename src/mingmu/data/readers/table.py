"""A table of paths and labels: CSV, TSV or JSON lines, with a header or without."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import orjson

from mingmu.core.errors import BadRequest
from mingmu.core.labels import clean_label
from mingmu.data.finding import Finding
from mingmu.data.readers.entry import Entry, Report, is_image, split_named
from mingmu.data.readers.tree import FolderTree, Tree, is_outside

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img", "name"),
    "label": ("label", "labels", "class", "class_name", "category", "tag", "tags", "target", "species", "text"),
    "split": ("split", "set", "subset", "part"),
    "group": ("group", "group_id"),
}
MAX_TABLE_BYTES = 2**30
Row = dict[str, object]  # some of the keys of COLUMNS


def is_table(tree: Tree, name: str) -> bool:
    """Whether a file is a table that has the columns we need; others may lie beside folders of images."""
    if not name.lower().endswith(TABLE_SUFFIXES):
        return False
    try:
        text = _decoded(tree.read(name, MAX_TABLE_BYTES), name)
        return any({"path", "label"} <= row.keys() for _, row in _rows_of(text, name, lambda _: None))
    except BadRequest:
        return False


def read_table(tree: Tree, table: str, report: Report, *, texts: bool = False) -> list[Entry]:
    """An entry for each row; paths are relative to the table, or absolute, and stay in its tree. Raises BadRequest without its columns.

    With `texts` a cell is one label, whatever it holds: it is what stands in the picture.
    """
    text = _decoded(tree.read(table, MAX_TABLE_BYTES), table)
    folder = PurePosixPath(table).parent
    named_after = split_named(PurePosixPath(table).stem)
    entries: dict[str, Entry] = {}
    for number, row in _rows_of(text, table, report):
        path = str(row.get("path") or "").strip()
        if not path:
            report(Finding.of("bad-annotation", table, detail=f"line {number} has no path"))
            continue
        name = tree.name_of(path) if isinstance(tree, FolderTree) else None
        if name is None and is_outside(path):
            report(Finding.of("path-outside", path, detail=f"line {number} of {table}"))
            continue
        name = name or (folder / path.replace("\\", "/")).as_posix()
        if name in entries:
            report(Finding.of("listed-twice", name, detail=f"line {number} of {table} names it again"))
            continue
        split, group = split_named(str(row.get("split") or "")), str(row.get("group") or "").strip()
        entries[name] = Entry(name, _text(row.get("label")) if texts else _labels(row.get("label")), split or named_after, group or None)
    return list(entries.values())


def _rows_of(text: str, table: str, report: Report) -> Iterator[tuple[int, Row]]:
    """Line numbers and rows."""
    return _json_rows(text, table, report) if table.lower().endswith((".jsonl", ".ndjson")) else _rows(text, table)


def _labels(cell: object) -> tuple[str, ...]:
    """`cat`, `cat|dog`, `cat;dog`, `["cat", "dog"]` or a list."""
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        try:
            cell = orjson.loads(cell)
        except orjson.JSONDecodeError:
            cell = [cell]
    words = cell if isinstance(cell, list) else re.split(r"[|;]", "" if cell is None else str(cell))
    return tuple(sorted({label for word in words if (label := clean_label(str(word)))}))


def _text(cell: object) -> tuple[str, ...]:
    text = clean_label("" if cell is None else str(cell))
    return (text,) if text else ()


def _decoded(data: bytes, table: str) -> str:
    """The text in the encoding its mark says, else UTF-8."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadRequest(f"{table} is not UTF-8 text ({error}); save it as UTF-8") from error


def _json_rows(text: str, table: str, report: Report) -> Iterator[tuple[int, Row]]:
    labelled = False
    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: U+2028 may be in a name
        if not line.strip():
            continue
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            report(Finding.of("bad-annotation", table, detail=f"line {number} is no JSON: {error}"))
            continue
        if not isinstance(record, dict):
            report(Finding.of("bad-annotation", table, detail=f"line {number} is no JSON object"))
            continue
        columns = _named(list(record))
        labelled |= "label" in columns
        yield number, {noun: record[column] for noun, column in columns.items()}
    if not labelled:
        raise BadRequest(f"{table} has no line with a label: one of {', '.join(COLUMNS['label'])}")


def _rows(text: str, table: str) -> Iterator[tuple[int, Row]]:
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = "\t" if table.endswith(".tsv") or "\t" in first else "," if "," in first else ";"
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns: dict[str, str] | None = None
    header: list[str] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                header = list(COLUMNS)[: max(2, len(cells))] if is_image(cells[0].strip()) else cells
                columns = _columns(header, table)
                if header is cells:
                    continue
            row = dict(zip(header, cells, strict=False))
            yield reader.line_num, {noun: row.get(column) for noun, column in columns.items()}
    except csv.Error as error:
        raise BadRequest(f"{table}, line {reader.line_num}: {error}") from error


def _columns(found: list[str], table: str) -> dict[str, str]:
    """Which of the columns is what; raises BadRequest without a path or a label."""
    columns = _named(found)
    for noun in ("path", "label"):
        if noun not in columns:
            wanted = ", ".join(COLUMNS[noun])
            raise BadRequest(f"{table} has the columns {', '.join(found)[:200]}; it needs a {noun}: one of {wanted}")
    return columns


def _named(found: list[str]) -> dict[str, str]:
    """Which of some columns is which of COLUMNS."""
    spelled = {name.strip().lower(): name for name in reversed(found)}
    return {noun: spelled[word] for noun, words in COLUMNS.items() for word in reversed(words) if word in spelled}
