"""The row about an image, the same in every format: JSON lines, CSV, Parquet."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from mingmu.batch.sources import Item
from mingmu.core.answers import Answer, Box, Label, Labels
from mingmu.core.batching import FORMATS, Format
from mingmu.core.errors import BadRequest, MingmuError, MissingExtra

AT_ONCE = 4096  # rows of a Parquet file that are in memory
NO_TEXT = dict.fromkeys(range(0xD800, 0xE000), "�")  # surrogates: Python has them in names, JSON and Parquet have not

Write = Callable[[dict[str, Any]], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is written about one image. Where there is an `error`, there are no labels."""

    path: str
    label: str | None = None  # the surest; a detector may find nothing
    score: float | None = None
    labels: tuple[str, ...] = ()  # the surest first
    scores: tuple[float, ...] = ()
    ids: tuple[str, ...] = ()  # of the labels in their vocabulary, where it has ids
    boxes: tuple[tuple[float, float, float, float], ...] = ()  # x, y, width, height in pixels, one for each label, of a detector
    abstain: bool = False
    error: str | None = None  # a kind
    detail: str | None = None
    digest: str  # of the recognizer

    def line(self) -> bytes:
        return orjson.dumps(self) + b"\n"


def row_of(item: Item, answer: Answer | MingmuError | None, digest: str) -> Row:
    """The row about an image that was answered or refused; None: the source knew what was wrong."""
    path = path_of(item)
    if answer is None:
        return Row(path=path, error=item.error, detail=item.detail.translate(NO_TEXT), digest=digest)
    if isinstance(answer, MingmuError):
        return Row(path=path, error=answer.kind, detail=str(answer).translate(NO_TEXT), digest=digest)
    found = answer.labels if isinstance(answer, Labels) else answer.boxes
    return Row(
        path=path,
        label=found[0].label if found else None,
        score=found[0].score if found else None,
        labels=tuple(one.label for one in found),
        scores=tuple(one.score for one in found),
        ids=tuple(one.id for one in found if isinstance(one, Label) and one.id),
        boxes=tuple((one.x, one.y, one.width, one.height) for one in found if isinstance(one, Box)),
        abstain=isinstance(answer, Labels) and answer.abstain,
        digest=digest,
    )


def path_of(item: Item) -> str:
    """What the row of an item calls it: bytes of a name that are no text become U+FFFD."""
    return item.path.translate(NO_TEXT)


def format_of(out: Path) -> Format:
    """The format that a file's name asks for; raises BadRequest."""
    for format in FORMATS:
        if out.suffix.lower() == f".{format}":
            return format
    raise BadRequest(f"{out.name} says no format; end it with one of {', '.join(f'.{format}' for format in FORMATS)}")


def check_format(format: Format) -> None:
    """Raise MissingExtra where a format cannot be written: before hours of work, not after."""
    if format == "parquet" and find_spec("pyarrow") is None:
        raise MissingExtra("to write Parquet, pyarrow is needed: pip install 'mingmu[parquet]'")


@dataclass
class Tally:
    """What many rows say together."""

    images: int = 0
    abstained: int = 0
    labels: Counter[str] = field(default_factory=Counter)  # the surest of each image
    errors: Counter[str] = field(default_factory=Counter)  # by kind

    def add(self, row: dict[str, Any]) -> None:
        self.images += 1
        self.abstained += row["abstain"]
        if row["error"]:
            self.errors[row["error"]] += 1
        else:
            self.labels.update([row["label"]] if row["label"] else [])


def write(lines: Path, target: Path, format: Format) -> Tally:
    """Write rows that are JSON lines into `target` in a format, and count them."""
    tally = Tally()
    with lines.open("rb") as rows, _WRITERS[format](target) as put:
        for line in rows:
            row = orjson.loads(line)
            tally.add(row)
            put(row)
    with target.open("rb+") as file:
        os.fsync(file.fileno())
    return tally


@contextmanager
def _json_lines(target: Path) -> Iterator[Write]:
    with target.open("wb") as file:
        yield lambda row: file.write(orjson.dumps(row) + b"\n")


@contextmanager
def _csv(target: Path) -> Iterator[Write]:
    """RFC 4180, in UTF-8; lists are JSON."""
    with target.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(each.name for each in fields(Row))
        yield lambda row: table.writerow(map(_cell, row.values()))


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | bool) else value


@contextmanager
def _parquet(target: Path) -> Iterator[Write]:
    import pyarrow
    import pyarrow.parquet

    text, number = pyarrow.string(), pyarrow.float64()
    kinds = [
        text,
        text,
        number,
        pyarrow.list_(text),
        pyarrow.list_(number),
        pyarrow.list_(text),
        pyarrow.list_(pyarrow.list_(number)),
        pyarrow.bool_(),
        text,
        text,
        text,
    ]
    schema = pyarrow.schema(list(zip((each.name for each in fields(Row)), kinds, strict=True)))
    waiting: list[dict[str, Any]] = []
    with pyarrow.parquet.ParquetWriter(target, schema, compression="zstd") as file:

        def flush() -> None:
            file.write_table(pyarrow.Table.from_pylist(waiting, schema))
            waiting.clear()

        def put(row: dict[str, Any]) -> None:
            waiting.append(row)
            if len(waiting) == AT_ONCE:
                flush()

        yield put
        flush()


_WRITERS: dict[Format, Callable[[Path], AbstractContextManager[Write]]] = {"jsonl": _json_lines, "csv": _csv, "parquet": _parquet}
