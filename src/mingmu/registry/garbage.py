"""Frees what nothing refers to any more: artifacts, blobs, what trainings left, and work that dead processes left aside."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, select

from mingmu.core.errors import Conflict, NotFound
from mingmu.core.manifest import Manifest
from mingmu.registry.datasets import images_of
from mingmu.registry.index import dataset_versions, reports, versions
from mingmu.registry.store import Store
from mingmu.registry.tuning import Tunings

DAY = 24 * 3600.0
AT_ONCE = 500  # blobs that are freed while writers wait


@dataclass(frozen=True, slots=True)
class Freed:
    """How many of each."""

    artifacts: int
    blobs: int
    aside: int  # folders and files
    trainings: int  # of names that nothing has, and weights of what was freed


def collect(store: Store, min_age: float = DAY) -> Freed:
    """Free what nothing refers to and what was last put at least `min_age` seconds ago.

    Work in progress puts first and refers later: `min_age` is the time it may take in between. Whatever it puts again in the
    meantime counts as new. Raises BadArtifact or NotFound, and frees no more, where what refers cannot be read.
    """
    before = time.time() - min_age
    needs = _Needs(store)
    with store.index.writing("recognizers") as connection:
        needed = needs.artifacts(connection)
        artifacts = store.shelf.discard(needed, before)
    names = {*store.names()}
    trainings = sum(_free_folder(path, before) for path in _folders(store.trained) if path.name not in needed)
    trainings += sum(_free_run(store, path, before) for path in _folders(store.runs) if path.name not in names)
    return Freed(artifacts, _free_blobs(store, needs, before), store.sweep(before) + store.blobs.sweep(before), trainings)


def _folders(path: Path) -> list[Path]:
    return [each for each in path.iterdir() if each.is_dir()] if path.is_dir() else []


def _free_folder(path: Path, before: float) -> bool:
    """Remove a folder that nobody has written to since; gives whether it did."""
    old = max(each.stat().st_mtime for each in (path, *path.rglob("*"))) < before
    if old:
        shutil.rmtree(path)
    return old


def _free_run(store: Store, path: Path, before: float) -> bool:
    """The same for a training, unless it goes on at this moment."""
    try:
        with store.lock(f"train-{path.name}", busy="it is under way"):
            return _free_folder(path, before)
    except Conflict:
        return False


class _Needs:
    """What must stay. Remembers what it has read: the second look, while writers wait, is quick."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._manifests: dict[str, Manifest | None] = {}
        self._images: dict[str, set[str]] = {}

    def artifacts(self, connection: Connection) -> set[str]:
        """Every artifact that has a name, what these are nothing without, and the variants of these that machines run."""
        named = _column(connection, versions.c.digest)
        sealed = self._with_beneath(named)
        return sealed | {tuning.chosen for tuning in Tunings(self._store.data_dir).all() if tuning.network in sealed}

    def _with_beneath(self, digests: set[str]) -> set[str]:
        found: set[str] = set()
        while digests:
            found |= digests
            digests = {needed for digest in digests if (manifest := self._manifest(digest)) for needed in manifest.beneath} - found
        return found

    def blobs(self, connection: Connection) -> set[str]:
        """Every report, every dataset's examples and pictures, and the copies of artifacts."""
        examples = _column(connection, dataset_versions.c.examples)
        pictures = (self._pictures(blob) for blob in examples)
        copies = self.artifacts(connection) if self._store.shelf.mirror else set()
        files = (manifest.files.values() for digest in copies if (manifest := self._manifest(digest)))
        return _column(connection, reports.c.blob).union(examples, *pictures, copies, *files)

    def _manifest(self, digest: str) -> Manifest | None:
        if digest not in self._manifests:
            try:
                self._manifests[digest] = self._store.shelf.manifest(digest)
            except NotFound:  # it is on another machine: nothing of it to keep here
                self._manifests[digest] = None
        return self._manifests[digest]

    def _pictures(self, examples: str) -> set[str]:
        if examples not in self._images:
            self._images[examples] = set(images_of(self._store.blobs.get(examples)))
        return self._images[examples]


def _column(connection: Connection, column: Column[Any]) -> set[str]:
    return set(connection.execute(select(column).distinct()).scalars())


def _free_blobs(store: Store, needs: _Needs, before: float) -> int:
    with store.index.reading() as connection:
        needed = needs.blobs(connection)
    old = [blob.sha256 for blob in store.blobs if blob.modified < before and blob.sha256 not in needed]
    freed = 0
    for start in range(0, len(old), AT_ONCE):
        with store.index.writing("datasets") as connection:
            unneeded = set(old[start : start + AT_ONCE]) - needs.blobs(connection)
            freed += sum(store.blobs.delete(sha256, unless_after=before) for sha256 in unneeded)
    return freed
