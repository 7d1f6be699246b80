"""Features by content: what a network made of an image through a pixel spec is computed once. And which images are copies."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mingmu.core.pixels import PixelSpec

Floats = NDArray[np.float32]
Row = dict[str, Floats]
Copy = tuple[str, str]  # two images that are nearly the same picture

FILE = "features.sqlite"
ASKED_AT_ONCE = 500  # SQLite's oldest limit on parameters is 999
PATIENCE = 60.0  # seconds to wait while another process writes
SCHEMA = """
create table if not exists features (
    view text not null,    -- digest of the network and the pixel spec
    output text not null,
    image text not null,   -- SHA-256 of the file's bytes
    checksum integer not null,
    vector blob not null,  -- float32, little-endian
    primary key (view, output, image)
) without rowid
"""
COPIES_SCHEMA = """
create table if not exists copies (
    images text primary key,  -- digest of the images that were compared, each with each
    pairs text not null       -- JSON: which are copies
) without rowid
"""


class FeatureCache:
    """Features in one SQLite file. Several processes may use it; what is damaged counts as absent."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / FILE
        try:
            self._create()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked or not writable: not our damage to repair
                raise
            self._file.unlink()  # not a database any more; all in it can be computed again
            self._create()

    def get(self, view: str, output: str, images: Sequence[str]) -> dict[str, Floats]:
        """The vectors that are known, float32 [F], by image."""
        known: dict[str, Floats] = {}
        with closing(self._connect()) as connection:
            for start in range(0, len(images), ASKED_AT_ONCE):
                asked = images[start : start + ASKED_AT_ONCE]
                marks = ",".join("?" * len(asked))
                query = f"select image, checksum, vector from features where view = ? and output = ? and image in ({marks})"
                for image, checksum, vector in connection.execute(query, (view, output, *asked)):
                    if zlib.crc32(vector) == checksum:
                        known[image] = np.frombuffer(vector, "<f4")
        return known

    def put(self, view: str, rows: Mapping[str, Row]) -> None:
        """Keep the outputs of some images; all of them or, if the process dies, none."""
        values = [
            (view, output, image, zlib.crc32(data), data)
            for image, row in rows.items()
            for output, vector in row.items()
            for data in [np.ascontiguousarray(vector, "<f4").tobytes()]
        ]
        with closing(self._connect()) as connection, connection:
            connection.executemany("insert or replace into features values (?, ?, ?, ?, ?)", values)

    def copies(self, images: Collection[str]) -> list[Copy] | None:
        """Which of these images are copies of one another; None if just these have never been compared."""
        with closing(self._connect()) as connection:
            row = connection.execute("select pairs from copies where images = ?", (_set_of(images),)).fetchone()
        return None if row is None else [(one, other) for one, other in json.loads(row[0])]

    def put_copies(self, images: Collection[str], pairs: Sequence[Copy], instead_of: Collection[str] = ()) -> None:
        """Keep what was found among images; what was known of `instead_of`, a part of them, is then needed no more."""
        with closing(self._connect()) as connection, connection:
            connection.execute("delete from copies where images = ?", (_set_of(instead_of),))
            connection.execute("insert or replace into copies values (?, ?)", (_set_of(images), json.dumps(pairs)))

    def keep(self, images: Collection[str]) -> int:
        """Forget what is known of all other images; gives of how many."""
        with closing(self._connect()) as connection, connection:
            gone = {image for (image,) in connection.execute("select distinct image from features")}.difference(images)
            connection.execute("create temp table gone (image text primary key)")
            connection.executemany("insert into gone values (?)", ((image,) for image in gone))
            connection.execute("delete from features where image in (select image from gone)")
            known = connection.execute("select images, pairs from copies").fetchall()
            stale = [(of,) for of, pairs in known if not gone.isdisjoint(image for pair in json.loads(pairs) for image in pair)]
            connection.executemany("delete from copies where images = ?", stale)
        if gone:
            with closing(self._connect()) as connection:
                connection.execute("vacuum")  # gives the space back
        return len(gone)

    def _create(self) -> None:
        with closing(self._connect()) as connection, connection:
            connection.execute("pragma journal_mode = wal")
            connection.execute(SCHEMA)
            connection.execute(COPIES_SCHEMA)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, timeout=PATIENCE)
        connection.execute("pragma synchronous = normal")  # a power cut may cost the last rows, never the file
        return connection


def _set_of(images: Collection[str]) -> str:
    return hashlib.sha256("\n".join(sorted(set(images))).encode()).hexdigest()


def view_of(network: str, pixels: PixelSpec) -> str:
    """What names a network's look at images: SHA-256 over its digest and the pixel spec."""
    return hashlib.sha256(f"{network}\n{pixels.model_dump_json()}".encode()).hexdigest()
