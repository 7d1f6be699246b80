"""Where the images of a batch come from: a folder, a list, an archive, a glob pattern. None of them is ever held in memory as a whole."""

from __future__ import annotations

import csv
import glob
import heapq
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mingmu.core.errors import BadRequest, NotFound
from mingmu.data.readers import archive
from mingmu.data.readers.entry import is_image
from mingmu.data.readers.table import COLUMNS
from mingmu.data.readers.tree import Tree, is_hidden

LISTS = (".txt", ".csv", ".tsv", ".jsonl", ".ndjson")
LONGEST_LINE = 2**20  # characters of a list
RUN = 50_000  # items that are sorted in memory at a time


class Item(NamedTuple):
    """One image that is to be looked at, or what is wrong with it already."""

    path: str  # what its row calls it
    key: str  # what it is read by
    error: str = ""
    detail: str = ""


class Source(Protocol):
    """Images by name."""

    @property
    def about(self) -> Mapping[str, Any]:
        """What it is, as JSON: another source, or the same one changed, says something else."""
        ...

    @property
    def remote(self) -> bool:
        """Whether reading mostly waits for a network."""
        ...

    def items(self, aside: Path) -> Iterator[Item]:
        """The images, in an order that is always the same; may write into the folder `aside`."""
        ...

    def read(self, key: str, limit: int) -> bytes:
        """At most one byte more than `limit`. Raises MingmuError. Safe to call from several threads."""
        ...


@contextmanager
def opened(given: str) -> Iterator[Source]:
    """What a path, a glob pattern or a URL stands for. Raises NotFound, BadRequest, BodyTooLarge, MissingExtra."""
    path = Path(given)
    if "://" in given:
        from mingmu.batch.remote import Prefix

        yield Prefix.of(given)
    elif path.is_dir():
        yield Folder(path)
    elif archive.is_archive(path) and path.is_file():
        with archive.opened(path) as tree:
            yield Archive(path, tree)
    elif path.suffix.lower() in LISTS and path.is_file():
        yield Listed(path)
    elif path.exists():
        known = ", ".join(("a folder", ".zip", *archive.TAR_SUFFIXES, *(f"{suffix} (a list)" for suffix in LISTS)))
        raise BadRequest(f"{path.name} is nothing that a batch is read from; known are {known}, a quoted glob pattern, and URLs")
    elif glob.has_magic(given):
        yield Pattern(given)
    else:
        raise NotFound(f"there is no file or folder {given}")


class Folder:
    """The images in a folder and below, by the names of their files; what is hidden is passed over, links to folders are not followed."""

    remote = False

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self.about = {"input": str(self._root)}

    def items(self, aside: Path) -> Iterator[Item]:
        return in_order(self._found(), aside)

    def read(self, key: str, limit: int) -> bytes:
        return read_file(self._root / key, limit)

    def _found(self) -> Iterator[Item]:
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(self._root / folder) as entries:
                    for entry in entries:
                        name = f"{folder}{entry.name}"
                        if is_hidden(entry.name):
                            continue
                        try:
                            if entry.is_dir(follow_symlinks=False):
                                waiting.append(f"{name}/")
                            elif is_image(entry.name) and not entry.is_dir():
                                yield Item(name, name)
                        except OSError as error:  # a link to itself, for one
                            yield Item(name, name, BadRequest.kind, f"the file cannot be read: {error.strerror}")
            except OSError as error:
                if not folder:
                    raise BadRequest(f"{self._root} cannot be read: {error.strerror}") from error
                yield Item(folder, folder, BadRequest.kind, f"the folder cannot be read: {error.strerror}")


class Pattern:
    """The files that a glob pattern means."""

    remote = False

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self.about = {"input": pattern, "from": str(Path.cwd())}

    def items(self, aside: Path) -> Iterator[Item]:
        found = glob.iglob(self._pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute patterns
        return in_order((Item(path, path) for path in found if not os.path.isdir(path)), aside)  # noqa: PTH112 - Path.is_dir may raise

    def read(self, key: str, limit: int) -> bytes:
        return read_file(Path(key), limit)


class Listed:
    """The images that a list names, in its order: a path a line, or a table with a column of paths. They are relative to the list."""

    remote = False

    def __init__(self, file: Path) -> None:
        self._file = file.resolve()
        self.about = {"input": str(self._file)} | _stamp(self._file)

    def items(self, aside: Path) -> Iterator[Item]:
        try:
            with self._file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
                for path in self._paths(_short(lines, self._file.name)):
                    yield Item(path, path)
        except csv.Error as error:
            raise BadRequest(f"{self._file.name}: {error}") from error

    def read(self, key: str, limit: int) -> bytes:
        return read_file(self._file.parent / key, limit)

    def _paths(self, lines: Iterator[str]) -> Iterator[str]:
        suffix = self._file.suffix.lower()
        if suffix == ".txt":
            found: Iterable[str | None] = (line.rstrip("\r\n") for line in lines)
        elif suffix in (".csv", ".tsv"):
            first = next(lines, "")
            table = csv.DictReader(chain([first], lines), delimiter=next((mark for mark in "\t,;" if mark in first), ","))
            column = self._column(table.fieldnames or ())
            found = (row[column] for row in table)
        else:
            found = (self._path_in(line) for line in lines if line.strip())
        return (path for path in found if path and path.strip())

    def _path_in(self, line: str) -> str:
        try:
            row = json.loads(line)
        except ValueError as error:
            raise BadRequest(f"{self._file.name}: a line is no JSON: {error}") from None
        return str(row[self._column(row)]) if isinstance(row, dict) else ""

    def _column(self, found: Iterable[str]) -> str:
        spelled = {name.strip().lower(): name for name in found}
        for name in COLUMNS["path"]:
            if name in spelled:
                return spelled[name]
        raise BadRequest(f"{self._file.name} has no column of paths: one of {', '.join(COLUMNS['path'])}, named in its first line")


class Archive:
    """The images in a zip or tar. What the archive must not contain becomes rows with errors."""

    remote = False

    def __init__(self, file: Path, tree: Tree) -> None:
        self._tree = tree
        self.about = {"input": str(file.resolve())} | _stamp(file)

    def items(self, aside: Path) -> Iterator[Item]:
        refused = (Item(name, name, finding.kind, finding.detail) for finding in self._tree.findings for name in finding.where)
        found = (Item(name, name) for name in self._tree.names if is_image(name))
        return iter(sorted([*refused, *found]))  # an archive has at most a quarter of a million

    def read(self, key: str, limit: int) -> bytes:
        return self._tree.read(key, limit)


def read_file(path: Path, limit: int) -> bytes:
    """At most one byte more than `limit`: enough to be refused, and no memory spent on it. Raises NotFound, BadRequest."""
    try:
        if not path.is_file():  # a pipe would wait for ever
            raise BadRequest("this is no file") if path.exists() else NotFound("no such file")
        with path.open("rb") as file:
            return file.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in a list
        raise BadRequest(f"the file cannot be read: {getattr(error, 'strerror', None) or error}") from error


def in_order(items: Iterator[Item], aside: Path) -> Iterator[Item]:
    """Items sorted by path, however many: in runs on the disk, which are then merged."""
    runs = []
    while run := sorted(islice(items, RUN)):
        runs.append(iter(run) if len(run) < RUN else _spilled(run, aside))
    return heapq.merge(*runs)


def _spilled(run: list[Item], aside: Path) -> Iterator[Item]:
    file = tempfile.TemporaryFile("w+", dir=aside, encoding="ascii")  # noqa: SIM115 - closed once it is read
    file.writelines(json.dumps(item) + "\n" for item in run)
    file.seek(0)
    return _items(file)


def _items(file: Any) -> Iterator[Item]:
    with file:
        for line in file:
            yield Item(*json.loads(line))


def _short(lines: Any, name: str) -> Iterator[str]:
    """Lines, none of which fills the memory."""
    while line := lines.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise BadRequest(f"{name} has a line of more than {LONGEST_LINE} characters; this is no list of paths")
        yield line


def _stamp(file: Path) -> dict[str, int]:
    found = file.stat()
    return {"bytes": found.st_size, "modified": found.st_mtime_ns}
