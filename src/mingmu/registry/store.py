"""The data folder: artifacts by digest, recognizers by name, version and alias, datasets, reports.

    index.db                 what refers to what (mingmu.registry.index); elsewhere with `database_url`
    artifacts/<digest>/      sealed folders; they never change
    blobs/ab/cdef…           pictures and reports by their SHA-256; elsewhere with `blobs_url`
    weights/<file>           what `mingmu pull` fetched
    trained/<digest>/        the weights of networks that were trained here, for what is made smaller of them
    runs/<name>/             trainings: photos as they see them, checkpoints, events
    aside/                   work in progress, and locks; nothing in here counts

Bytes are written aside, flushed, and renamed; only then does the index refer to them, in one transaction that is on the disk
before the call returns. A process killed at any moment leaves the old state or the new.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Row, ScalarSelect, Select, delete, insert, select

from mingmu.core.artifact import Artifact
from mingmu.core.errors import BadRequest, Conflict, NotFound
from mingmu.registry.blobs import Blobs
from mingmu.registry.datasets import Datasets
from mingmu.registry.galleries import Galleries
from mingmu.registry.index import (
    MOST_LISTED,
    Index,
    aliases,
    newest_named,
    newest_of_each,
    next_number,
    now,
    postgres_url,
    recognizers,
    sqlite_url,
    versions,
)
from mingmu.registry.jobs import Jobs
from mingmu.registry.lineage import Records
from mingmu.registry.naming import NUMBER, check_alias, unknown_name, unknown_version
from mingmu.registry.naming import check_name as check_name
from mingmu.registry.shelf import Shelf
from mingmu.settings import Settings

ABANDONED_AFTER = 24 * 3600.0  # seconds; work aside that is older belongs to a process that died
DIGEST = "sha256:"
SHORTEST_PREFIX = 8
NAMES_AT_ONCE = 1000  # in one query


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a name: which artifact it is, and since when."""

    name: str
    version: int
    digest: str
    created: str  # ISO 8601, UTC


class Store:
    """One data folder. Several processes may use it at once; with a database and blobs elsewhere, several machines may."""

    def __init__(self, data_dir: Path, *, database_url: str | None = None, blobs_url: str | None = None, mirror: str | None = None) -> None:
        self.data_dir = data_dir
        self.mirror = mirror  # where published weights come from, in place of their official source
        self.artifacts = data_dir / "artifacts"
        self.weights = data_dir / "weights"
        self.trained = data_dir / "trained"
        self.runs = data_dir / "runs"
        self._aside = data_dir / "aside"
        self._database_url = database_url
        self._blobs_url = blobs_url
        data_dir.mkdir(0o700, parents=True, exist_ok=True)  # people's faces are nobody else's business
        for folder in (self.artifacts, self.weights, self._aside):
            folder.mkdir(parents=True, exist_ok=True)
        self.sweep(time.time() - ABANDONED_AFTER)

    @classmethod
    def of(cls, settings: Settings) -> Store:
        """The store that the settings name."""
        return cls(settings.data_dir, database_url=settings.database_url, blobs_url=settings.blobs_url, mirror=settings.mirror)

    @cached_property
    def index(self) -> Index:
        """What refers to what; opened, and brought up to date, at its first use."""
        from mingmu.registry.migrations.files import import_names

        file = self.data_dir / "index.db"
        if not self._database_url:
            with suppress(FileExistsError):
                file.touch(0o600, exist_ok=False)  # SQLite gives its log the same mode
        url = postgres_url(self._database_url) if self._database_url else sqlite_url(file)
        index = Index(url, self.lock("index"))
        import_names(index, self.data_dir / "recognizers")
        return index

    @cached_property
    def blobs(self) -> Blobs:
        """Pictures and reports by their SHA-256."""
        return Blobs(self._blobs_url or str(self.data_dir / "blobs"))

    @cached_property
    def shelf(self) -> Shelf:
        """The artifacts; where blobs lie elsewhere, artifacts are copied there, so that other machines find them."""
        return Shelf(self.artifacts, self._aside, lambda: self.lock("artifacts"), self.blobs if self._blobs_url else None)

    @cached_property
    def datasets(self) -> Datasets:
        """Datasets by name and version."""
        return Datasets(self.index, self.blobs)

    @cached_property
    def galleries(self) -> Galleries:
        """Faces of people by name."""
        return Galleries(self.index)

    @cached_property
    def records(self) -> Records:
        """Lineage and reports."""
        return Records(self.index, self.blobs)

    @cached_property
    def jobs(self) -> Jobs:
        """Work that takes longer than a request."""
        return Jobs(self.index)

    def add(self, build: Callable[[Path], object]) -> Artifact:
        """Let `build` seal an artifact into an empty folder aside, then make it part of the store."""
        return self.shelf.add(build)

    def artifact(self, digest: str) -> Artifact:
        """The artifact with this digest; raises NotFound, or BadArtifact if its folder is another one."""
        return self.shelf.get(digest)

    def publish(self, name: str, digest: str) -> Version:
        """Make an artifact the newest version of a name. The same artifact again changes nothing. Raises NotFound, BadArtifact."""
        check_name(name)
        self.shelf.share(digest)
        with self.index.writing("recognizers") as connection:
            self.shelf.with_needed(digest)  # in here: gc cannot take it between the look and the entry
            newest = connection.execute(_newest(name)).first()
            if newest and newest.digest == digest:
                connection.rollback()
                return _version(newest)
            new = Version(name, next_number(connection, recognizers, name), digest, now())
            connection.execute(insert(versions).values(asdict(new)))
            return new

    def names(self) -> list[str]:
        """All names, sorted."""
        with self.index.reading() as connection:
            return sorted(connection.execute(select(recognizers.c.name)).scalars())

    def newest(self, after: str = "", most: int = MOST_LISTED) -> list[Version]:
        """The newest version of each name, in the order of the names, from the one that comes after `after`."""
        with self.index.reading() as connection:
            return [_version(row) for row in connection.execute(newest_of_each(versions, after, most))]

    def versions(self, name: str, after: int = 0, most: int | None = None) -> list[Version]:
        """The versions of a name, the newest last: all, or so many after a number. Raises NotFound."""
        check_name(name)
        query = select(versions).where(versions.c.name == name, versions.c.version > after).order_by(versions.c.version).limit(most)
        with self.index.reading() as connection:
            found = [_version(row) for row in connection.execute(query)]
            known = found or connection.execute(_newest(name)).first()
        if not known:
            raise unknown_name("recognizer", name, self.names())
        return found

    def resolve(self, reference: str) -> Version:
        """The version that `name` (its newest), `name@3`, `name@prod` (an alias) or `sha256:0a1b2c3d` (a digest's start) means.

        Raises NotFound; BadRequest where the start of a digest is too short or means several.
        """
        if reference.startswith(DIGEST):
            return self._with_digest(reference.removeprefix(DIGEST))
        name, _, wanted = reference.partition("@")
        check_name(name)
        with self.index.reading() as connection:
            row = connection.execute(_referred(name, wanted)).first()
        if row is None:
            raise self._unknown(name, wanted)
        return _version(row)

    def resolve_all(self, references: Collection[str]) -> dict[str, Version]:
        """The versions that references mean; those that mean nothing are left out. Names without more are asked for together."""
        found: dict[str, Version] = {}
        names = [reference for reference in references if "@" not in reference and not reference.startswith(DIGEST)]
        with self.index.reading() as connection:
            for start in range(0, len(names), NAMES_AT_ONCE):
                rows = connection.execute(newest_named(versions, names[start : start + NAMES_AT_ONCE]))
                found |= {row.name: _version(row) for row in rows}
        for reference in {*references} - {*names}:
            with suppress(NotFound, BadRequest):
                found[reference] = self.resolve(reference)
        return found

    def aliases(self, name: str) -> dict[str, Version]:
        """Where each alias of a name points; raises NotFound."""
        check_name(name)
        with self.index.reading() as connection:
            pointing = _pointing(connection, name)
        if not pointing:
            self.versions(name)
        return pointing

    def set_alias(self, name: str, alias: str, version: int) -> Version:
        """Point `name@alias` to a version; where it pointed before is remembered. Raises NotFound."""
        check_name(name)
        check_alias(alias)
        with self.index.writing("recognizers") as connection:
            target = connection.execute(_referred(name, str(version))).first()
            if target is None:
                raise self._unknown(name, str(version))
            if connection.execute(_referred(name, alias)).first() == target:
                connection.rollback()
            else:
                connection.execute(insert(aliases).values(name=name, alias=alias, version=version, created=now()))
            return _version(target)

    def rollback(self, name: str, alias: str) -> Version:
        """Point `name@alias` to where it pointed before, one step at a time. Raises NotFound; Conflict at the first step."""
        check_name(name)
        check_alias(alias)
        with self.index.writing("recognizers") as connection:
            if connection.execute(_referred(name, alias)).first() is None:
                raise self._unknown(name, alias)
            connection.execute(delete(aliases).where(aliases.c.id == _last_set(name, alias, aliases.c.id)))
            before = connection.execute(_referred(name, alias)).first()
            if before is None:
                raise Conflict(f"{name}@{alias} has pointed to no other version that is still here")
            return _version(before)

    def remove(self, reference: str, *, force: bool = False) -> None:
        """Forget `name` with all its versions, `name@3`, or the alias `name@prod` alone; gc then frees the artifacts.

        A version that is served under a name without a number is refused with Conflict, unless forced: the newest, for it is what
        `name` alone means, and what an alias points to, which then goes too. So is the one that a rollback of an alias would bring
        back. `name` with all its versions goes unless an alias is there. Raises NotFound.
        """
        target = self.resolve(reference)
        name, _, wanted = reference.partition("@")
        if name != target.name:
            raise BadRequest(f"{reference!r} is not removed by its digest; name it: {target.name}@{target.version}")
        with self.index.writing("recognizers") as connection:
            if wanted and not NUMBER.fullmatch(wanted):
                connection.execute(delete(aliases).where(aliases.c.name == name, aliases.c.alias == wanted))
            else:
                _remove(connection, name, target.version if wanted else None, force)

    def revision(self) -> int:
        """A number that changes whenever a name changes; cheap enough to ask every second."""
        return self.index.revision("recognizers")

    @contextmanager
    def lock(self, what: str, *, busy: str | None = None) -> Iterator[None]:
        """Hold a lock that all processes on this data folder respect. Waits for it, or raises Conflict with the words `busy`."""
        from filelock import FileLock, Timeout

        lock = FileLock(self._aside / f"{what}.lock")
        try:
            lock.acquire(timeout=-1 if busy is None else 0)
        except Timeout as error:
            raise Conflict(busy or "it is busy") from error
        try:
            yield
        finally:
            lock.release()

    def sweep(self, before: float) -> int:
        """Remove the folders aside that nobody has touched since, and that no job is still to work in; gives how many."""
        abandoned = [path for path in self._aside.iterdir() if path.is_dir() and path.stat().st_mtime < before]
        if abandoned:  # rarely; only then the index is asked
            wanted = {part for given in self.jobs.open_arguments() for part in _path_parts(given)}
            abandoned = [path for path in abandoned if path.name not in wanted]
        for path in abandoned:
            shutil.rmtree(path, ignore_errors=True)
        return len(abandoned)

    def _unknown(self, name: str, wanted: str) -> NotFound:
        numbers = [version.version for version in self.versions(name)]
        return unknown_version(name, wanted, numbers, self.aliases(name))

    def _with_digest(self, prefix: str) -> Version:
        if len(prefix) < SHORTEST_PREFIX or prefix.strip("0123456789abcdef"):
            raise BadRequest(f"{prefix[:80]!r} is not the start of a digest: at least {SHORTEST_PREFIX} of 0-9 a-f")
        begins = versions.c.digest.between(prefix, prefix + "g")  # what sorts between them begins with it; an index serves this
        with self.index.reading() as connection:
            found = [_version(row) for row in connection.execute(select(versions).where(begins).order_by(versions.c.created).limit(100))]
        if not found:
            raise NotFound(f"no recognizer has a digest that starts with {prefix}")
        if len({version.digest for version in found}) > 1:
            raise BadRequest(f"{DIGEST}{prefix} means several artifacts; give more of it")
        return found[-1]


def _path_parts(arguments: Mapping[str, Any]) -> Iterator[str]:
    """The folders and files that paths among a job's arguments name."""
    for value in arguments.values():
        if isinstance(value, str):
            yield from Path(value).parts


def _newest(name: str) -> Select[Any]:
    return select(versions).where(versions.c.name == name).order_by(versions.c.version.desc()).limit(1)


def _referred(name: str, wanted: str) -> Select[Any]:
    """The version that comes after the @: a number, an alias, or nothing for the newest."""
    if not wanted:
        return _newest(name)
    number = int(wanted) if NUMBER.fullmatch(wanted) else _last_set(name, wanted, aliases.c.version)
    return select(versions).where(versions.c.name == name, versions.c.version == number)


def _last_set(name: str, alias: str, column: Column[int]) -> ScalarSelect[int]:
    """A column of the row that says where an alias points."""
    mine = aliases.c.name == name, aliases.c.alias == alias
    return select(column).where(*mine).order_by(aliases.c.id.desc()).limit(1).scalar_subquery()


def _pointing(connection: Connection, name: str) -> dict[str, Version]:
    known = _known_aliases(connection, name)
    return {alias: _version(connection.execute(_referred(name, alias)).one()) for alias in known}


def _known_aliases(connection: Connection, name: str) -> list[str]:
    return sorted(connection.execute(select(aliases.c.alias).where(aliases.c.name == name).distinct()).scalars())


def _before(connection: Connection, name: str, alias: str) -> int | None:
    """The version that an alias pointed to before the present one."""
    mine = aliases.c.name == name, aliases.c.alias == alias
    return connection.execute(select(aliases.c.version).where(*mine).order_by(aliases.c.id.desc()).offset(1).limit(1)).scalar()


def _remove(connection: Connection, name: str, number: int | None, force: bool) -> None:
    """Forget one version of a name, or all; a name without versions goes too."""
    held = [alias for alias, version in _pointing(connection, name).items() if number in (None, version.version)]
    if held and not force:
        raise Conflict(f"{', '.join(f'{name}@{alias}' for alias in held)} would point nowhere; move it first, or force the removal")
    if back := [alias for alias in _known_aliases(connection, name) if number and _before(connection, name, alias) == number and not force]:
        raise Conflict(
            f"a rollback of {', '.join(f'{name}@{alias}' for alias in back)} leads to version {number}; force the removal, or keep it"
        )
    newest = connection.execute(_newest(name)).first()
    if newest and newest.version == number and not force:
        raise Conflict(f"{name}@{number} is what {name} alone means, and is served; remove {name} as a whole, or force the removal")
    connection.execute(delete(aliases).where(aliases.c.name == name, aliases.c.alias.in_(held)))
    if number is not None:
        connection.execute(delete(versions).where(versions.c.name == name, versions.c.version == number))
    if number is None or connection.execute(_newest(name)).first() is None:
        connection.execute(delete(recognizers).where(recognizers.c.name == name))


def _version(row: Row[Any]) -> Version:
    return Version(**row._mapping)
