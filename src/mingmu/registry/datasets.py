"""Datasets by name and version. What a version holds is a blob: one JSON object a line, whose `image` is the blob of a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, insert, not_, select

from mingmu.core.errors import BadRequest, Conflict
from mingmu.registry.blobs import SHA256, Blobs
from mingmu.registry.index import MOST_LISTED, Index, dataset_versions, datasets, lineage, newest_of_each, next_number, now, versions
from mingmu.registry.naming import check_name, unknown_name, unknown_version


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """One version of a dataset: its content's digest, and the blob with its examples."""

    name: str
    version: int
    digest: str
    examples: str  # SHA-256 of JSON lines
    parent: str | None  # digest of the dataset this one was made from
    created: str  # ISO 8601, UTC


class Datasets:
    """The datasets of a store."""

    def __init__(self, index: Index, blobs: Blobs) -> None:
        self._index = index
        self._blobs = blobs

    def add(self, name: str, digest: str, examples: bytes, parent: str | None = None) -> DatasetVersion:
        """Make a dataset the newest version of a name. The same digest again changes nothing.

        `examples` is JSON lines, each an object whose `image` is the SHA-256 of a blob put before; what else they say is not looked at.
        Raises BadRequest for anything else, and Conflict where `parent`, whose blobs it may share, has been removed.
        """
        check_name(name)
        for _ in images_of(examples):
            pass  # every line is looked at
        blob = self._blobs.put(examples)
        with self._index.writing("datasets") as connection:
            query = select(dataset_versions).where(dataset_versions.c.name == name).order_by(dataset_versions.c.version.desc())
            newest = connection.execute(query.limit(1)).first()
            if newest and newest.digest == digest:
                connection.rollback()
                return _version(newest)
            known = select(dataset_versions.c.name).where(dataset_versions.c.digest == parent).limit(1)
            if parent is not None and connection.execute(known).first() is None:
                raise Conflict(f"the dataset {parent[:12]}… that {name} was made from is no longer here")
            new = DatasetVersion(name, next_number(connection, datasets, name), digest, blob, parent, now())
            connection.execute(insert(dataset_versions).values(asdict(new)))
            return new

    def names(self) -> list[str]:
        """All names, sorted."""
        with self._index.reading() as connection:
            return sorted(connection.execute(select(datasets.c.name)).scalars())

    def newest(self, after: str = "", most: int = MOST_LISTED) -> list[DatasetVersion]:
        """The newest version of each name, in the order of the names, from the one that comes after `after`."""
        with self._index.reading() as connection:
            return [_version(row) for row in connection.execute(newest_of_each(dataset_versions, after, most))]

    def versions(self, name: str, after: int = 0, most: int | None = None) -> list[DatasetVersion]:
        """The versions of a name, the newest last: all, or so many after a number. Raises NotFound."""
        check_name(name)
        mine = dataset_versions.c.name == name
        query = select(dataset_versions).where(mine, dataset_versions.c.version > after).order_by(dataset_versions.c.version).limit(most)
        with self._index.reading() as connection:
            found = [_version(row) for row in connection.execute(query)]
            known = found or connection.execute(select(datasets.c.name).where(datasets.c.name == name)).first()
        if not known:
            raise unknown_name("dataset", name, self.names())
        return found

    def resolve(self, reference: str) -> DatasetVersion:
        """The version that `name` (its newest) or `name@3` means; raises NotFound."""
        name, _, wanted = reference.partition("@")
        found = self.versions(name)
        if not wanted:
            return found[-1]
        for version in found:
            if str(version.version) == wanted:
                return version
        raise unknown_version(name, wanted, [version.version for version in found])

    def with_digest(self, digest: str) -> list[DatasetVersion]:
        """Every version that has this content."""
        query = select(dataset_versions).where(dataset_versions.c.digest == digest).order_by(dataset_versions.c.created)
        with self._index.reading() as connection:
            return [_version(row) for row in connection.execute(query)]

    def ancestry(self, version: DatasetVersion) -> Iterator[DatasetVersion]:
        """A version, what it was made from, what that was made from, and so on, as far as it is still here."""
        found, seen = [version], set[str]()
        while found and found[-1].digest not in seen:
            yield found[-1]
            seen.add(found[-1].digest)
            found = self.with_digest(found[-1].parent) if found[-1].parent else []

    def examples(self, version: DatasetVersion) -> bytes:
        """The JSON lines that were added."""
        return self._blobs.get(version.examples)

    def remove(self, reference: str, *, force: bool = False) -> None:
        """Forget `name`, or its version `name@3`; gc then frees the blobs that nothing else needs.

        Photos that a recognizer was taught on are refused with Conflict, unless forced: to that one, none could be added. Raises NotFound.
        """
        found = self.resolve(reference)
        _, _, wanted = reference.partition("@")
        with self._index.writing("datasets") as connection:
            mine = dataset_versions.c.name == found.name
            going = and_(mine, dataset_versions.c.version == found.version) if wanted else mine
            if (taught := _taught_on(connection, going)) and not force:
                raise Conflict(f"{', '.join(taught)} was taught on {reference}; remove that first, or force the removal")
            if wanted:
                connection.execute(delete(dataset_versions).where(mine, dataset_versions.c.version == found.version))
            if not wanted or connection.execute(select(dataset_versions).where(mine)).first() is None:
                connection.execute(delete(datasets).where(datasets.c.name == found.name))


def _taught_on(connection: Connection, going: ColumnElement[bool]) -> list[str]:
    """The versions of recognizers that were taught on what is going, where it is under no other name, as in flowers@3."""
    left = select(dataset_versions.c.digest).where(not_(going))
    lost = select(dataset_versions.c.digest).where(going, dataset_versions.c.digest.not_in(left))
    query = select(versions.c.name, versions.c.version).join(lineage, lineage.c.digest == versions.c.digest)
    rows = connection.execute(query.where(lineage.c.dataset.in_(lost)).order_by(versions.c.name, versions.c.version))
    return [f"{row.name}@{row.version}" for row in rows]


def images_of(examples: bytes) -> Iterator[str]:
    """The blob of every picture that JSON lines name; raises BadRequest at a line that names none."""
    for number, line in enumerate(examples.splitlines(), start=1):
        try:
            image = json.loads(line)["image"]
        except (ValueError, TypeError, KeyError) as error:
            raise BadRequest(f"line {number} of the examples is no JSON object with an `image`: {error!r}") from error
        if not isinstance(image, str) or not SHA256.fullmatch(image):
            raise BadRequest(f"line {number} of the examples: {image!r} is no SHA-256")
        yield image


def _version(row: Row[Any]) -> DatasetVersion:
    return DatasetVersion(**row._mapping)
