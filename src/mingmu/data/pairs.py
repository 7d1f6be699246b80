"""Pairs of photos, and whether both show the same person: tables, and the lists of Labeled Faces in the Wild."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mingmu.core.errors import BadRequest, NotFound

WORDS = {"yes": True, "true": True, "same": True, "1": True, "no": False, "false": False, "different": False, "0": False}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photos, and whether they show the same person."""

    a: Path
    b: Path
    same: bool


def read_pairs(file: Path, photos: Path | None = None) -> list[Pair]:
    """The pairs of a table `photo, photo, yes or no` with a header, or of a list as LFW has it; photos lie in `photos`, or beside it.

    LFW: a first line with numbers, then `name number number` for the same person, `name number name number` for two; the photos are
    `name/name_0001.jpg` (Huang et al., "Labeled Faces in the Wild", 2007). Raises BadRequest, NotFound.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFound(f"{file}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{file} cannot be read as text: {error}") from error
    lines = text.splitlines()
    if not lines:
        raise BadRequest(f"{file} is empty")
    listed = "".join(lines[0].split()).isdecimal()
    rows = [line.split() for line in lines] if listed else list(csv.reader(lines, delimiter="\t" if "\t" in lines[0] else ","))
    folder = photos or file.parent
    read = _listed if listed else _tabled
    return [read(row, folder, f"{file}, line {number}") for number, row in enumerate(rows[1:], start=2) if row]


def _listed(row: Sequence[str], folder: Path, where: str) -> Pair:
    match row:
        case [name, one, other]:
            return Pair(_numbered(folder, name, one, where), _numbered(folder, name, other, where), same=True)
        case [name, one, other_name, other]:
            return Pair(_numbered(folder, name, one, where), _numbered(folder, other_name, other, where), same=False)
    raise BadRequest(f"{where}: {len(row)} words; a pair has 3 (name number number) or 4 (name number name number)")


def _numbered(folder: Path, name: str, number: str, where: str) -> Path:
    if not number.isdecimal():
        raise BadRequest(f"{where}: {number[:20]!r} is no number of a photo")
    return folder / name / f"{name}_{int(number):04}.jpg"


def _tabled(row: Sequence[str], folder: Path, where: str) -> Pair:
    if len(row) != 3 or row[2].strip().lower() not in WORDS:
        raise BadRequest(f"{where}: a pair is two photos and {', '.join(WORDS)}")
    return Pair(folder / row[0].strip(), folder / row[1].strip(), WORDS[row[2].strip().lower()])
