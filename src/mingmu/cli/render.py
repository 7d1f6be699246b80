"""What the command line prints: for eyes on a terminal, as tab-separated lines in a pipe, as JSON when asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from textwrap import indent
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from mingmu.core.answers import Answer, Labels, tagged
from mingmu.core.errors import BadRequest, MingmuError, NotFound
from mingmu.core.labels import on_one_line
from mingmu.registry.store import Version
from mingmu.verbs import Step, Stored
from mingmu.zoo.catalog import Entry

BAR = 20  # characters that a score of 1 fills
BAR_WIDTH = 16  # of progress, so that words have room beside it
NO_TEXT = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")  # surrogates: Python has them in strings, JSON has not
Row = Sequence[str]


@contextmanager
def progress() -> Iterator[Callable[[str, float], None]]:
    """A bar on stderr for as long as there is something to report; a line for each step where stderr is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _StepLines()
        return
    with Progress(TextColumn("{task.description}"), BarColumn(BAR_WIDTH), console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0, visible=False)
        yield lambda step, share: bar.update(
            task, description=escape(step.now if isinstance(step, Step) else step), completed=share, visible=True
        )


class _StepLines:
    def __init__(self) -> None:
        self._step = ""

    def __call__(self, step: str, share: float) -> None:
        if step != self._step and share < 1:
            print(step, file=sys.stderr)
        self._step = step


def note(text: str) -> None:
    """A line on stderr, which stays."""
    print(on_one_line(text), file=sys.stderr)


def print_json(document: dict[str, Any]) -> None:
    """One JSON document, in ASCII; bytes of a file's name that are no text become U+FFFD."""
    print(_json(document))


@contextmanager
def json_list(document: dict[str, Any], name: str) -> Iterator[Callable[[dict[str, Any]], None]]:
    """One JSON document whose last entry is a list, printed while it grows: the block adds to it."""
    separator = ""

    def add(row: dict[str, Any]) -> None:
        nonlocal separator
        print(separator, indent(_json(row), "  "), sep="\n", end="", flush=True)
        separator = ","

    print(_json(document | {name: []}).removesuffix("]\n}"), end="")
    yield add
    print("\n ]\n}" if separator else "]\n}")


def _json(document: dict[str, Any]) -> str:
    text = json.dumps(document, ensure_ascii=False).translate(NO_TEXT)
    return json.dumps(json.loads(text), indent=1)


def print_result(as_json: bool, document: dict[str, Any], text: str) -> None:
    """One or the other."""
    if as_json:
        print_json(document)
    else:
        print(plain(text))


def plain(text: str) -> str:
    """Text for a terminal, with its own lines and tabs and no other control characters."""
    return "\n".join("\t".join(map(on_one_line, line.split("\t"))) for line in text.split("\n"))


def print_version(as_json: bool, version: Version, what: str) -> None:
    print_result(as_json, version_json(version), f"{label(version)} {what}")


def print_answer(source: str, answer: Answer | MingmuError) -> None:
    """What one image shows; an error goes to stderr."""
    if isinstance(answer, MingmuError):
        print(on_one_line(f"error: {source}: {answer}"), file=sys.stderr)
        return
    source = on_one_line(source)
    console = Console(highlight=False)
    if not console.is_terminal:
        for label, score, rest in _lines(answer):
            print(source, label, f"{score:.4f}", *rest, sep="\t")
        sys.stdout.flush()
        return
    grid = Table.grid(padding=(0, 2))
    for label, score, rest in _lines(answer):
        grid.add_row(f"  {score:6.1%}", Text("━" * max(1, round(BAR * score)), style="green"), Text(label), Text(_place(rest), style="dim"))
    console.print(Text(source, style="bold"), Text(_remark(answer), style="yellow"))
    console.print(grid)


def _lines(answer: Answer) -> list[tuple[str, float, list[str]]]:
    """Label, score, and what else a line says: that it abstains; or where a box is: x, y, width, height."""
    if isinstance(answer, Labels):
        return [(on_one_line(one.label), one.score, ["abstain"] if answer.abstain else []) for one in answer.labels]
    return [
        (on_one_line(box.label), box.score, [f"{value:.1f}" for value in (box.x, box.y, box.width, box.height)]) for box in answer.boxes
    ]


def _place(rest: list[str]) -> str:
    return "at {}, {}: {} x {}".format(*rest) if len(rest) == 4 else ""


def _remark(answer: Answer) -> str:
    if isinstance(answer, Labels):
        return "not sure enough to say" if answer.abstain else ""
    return "" if answer.boxes else "nothing found"


def print_listing(found: Sequence[tuple[str, Stored | MingmuError]], available: Sequence[Entry]) -> None:
    """What is here; on a terminal, what else can be had too."""
    for name, stored in found:
        if isinstance(stored, MingmuError):
            print(on_one_line(f"error: {name}: {stored}"), file=sys.stderr)
    if not found:
        print("no recognizer is here yet; `mingmu recognize` makes general at its first use", file=sys.stderr)
    rows = [_row(stored) for _, stored in found if isinstance(stored, Stored)]
    print_rows(("recognizer", "version", "labels", "size", "digest", "since"), rows)
    if available and (sys.stdout.isatty() or not found):
        print("\nTo be had with `mingmu pull`:")
        print_rows(("name", "task", "size", "licence", "what it is"), [_entry_row(entry) for entry in available])


def _row(stored: Stored) -> Row:
    version = stored.version
    labels = str(len(stored.artifact.manifest.labels))
    return version.name, str(version.version), labels, megabytes(stored.size), version.digest[:12], version.created


def _entry_row(entry: Entry) -> Row:
    return entry.name, entry.task, megabytes(entry.size), entry.licence, entry.summary


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    print_rows(("", ""), pairs)


def print_rows(columns: Row, rows: Iterable[Row]) -> None:
    """A table for eyes; in a pipe, a line for each row."""
    console = Console(highlight=False)
    if not console.is_terminal:
        for row in rows:
            print(*map(on_one_line, row), sep="\t")
        return
    table = Table(*columns, box=None, show_header=any(columns), header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(Text(on_one_line(cell)) for cell in row))
    console.print(table)


def facts(stored: Stored) -> list[tuple[str, str]]:
    """What `mingmu show` says, in words."""
    manifest, version, pixels = stored.artifact.manifest, stored.version, stored.artifact.manifest.pixels
    shown = ", ".join(manifest.labels[:8]) + (", …" if len(manifest.labels) > 8 else "")
    lines = [
        ("recognizer", version.name),
        ("version", f"{version.version}, since {version.created}"),
        ("digest", version.digest),
        ("kind", f"{manifest.kind}, {manifest.task}"),
        ("pixels", f"{pixels.size[0]}x{pixels.size[1]}, {pixels.fit}, {pixels.filter}"),
        ("labels", f"{len(manifest.labels)}: {shown}"),
        ("size", megabytes(stored.size)),
        ("licence", manifest.origin.licence),
        ("source", manifest.origin.source),
        ("provenance", manifest.origin.provenance),
    ]
    if stored.backbone:
        lines.insert(4, ("backbone", f"{stored.backbone.manifest.name}, {stored.backbone.digest}"))
    lines[4:4] = [(does, f"{part.manifest.name}, {part.digest}") for does, part in stored.parts.items()]
    if within := manifest.within:
        lines.append(("looks at", f"{', '.join(within.labels) or 'everything'} with a score of at least {within.threshold:g}"))
    return [(name, text) for name, text in lines if text]


def answer_json(answer: Answer | MingmuError) -> dict[str, Any]:
    if isinstance(answer, MingmuError):
        return {"type": "error", "error": error_json(answer)}
    return tagged(answer)


def error_json(error: MingmuError | OSError) -> dict[str, str]:
    if isinstance(error, MingmuError):
        return {"kind": error.kind, "detail": str(error)}
    kind = NotFound.kind if isinstance(error, FileNotFoundError) else BadRequest.kind
    return {"kind": kind, "detail": str(error)}


def version_json(version: Version) -> dict[str, Any]:
    return {"name": version.name, "version": version.version, "digest": version.digest}


def row_json(name: str, stored: Stored | MingmuError) -> dict[str, Any]:
    if isinstance(stored, MingmuError):
        return {"name": name, "error": error_json(stored)}
    manifest = stored.artifact.manifest
    return version_json(stored.version) | {
        "created": stored.version.created,
        "task": manifest.task,
        "labels": len(manifest.labels),
        "bytes": stored.size,
        "licence": manifest.origin.licence,
        "backbone": stored.backbone.digest if stored.backbone else None,
    }


def entry_json(entry: Entry) -> dict[str, Any]:
    return {"name": entry.name, "task": entry.task, "summary": entry.summary, "bytes": entry.size, "licence": entry.licence}


def label(version: Version) -> str:
    return f"{version.name}@{version.version} ({version.digest[:12]})"


def megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
