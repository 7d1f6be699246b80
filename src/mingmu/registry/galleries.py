"""Galleries: faces of people by name. Vectors only, no photos; what is deleted is gone from the disk."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from mingmu.core.errors import BadRequest, Conflict, NotFound
from mingmu.core.labels import clean_label
from mingmu.registry.index import MOST_LISTED, Index, counters, galleries, gallery_faces, now
from mingmu.registry.naming import check_name, unknown_name
from mingmu.tasks.faces import Vector
from mingmu.tasks.identification import Known

LONGEST_PERSON = 200  # characters
MOST_REMEMBERED = 8  # galleries in memory, those that were read last
MOST_FACES = 100_000  # of a gallery: more would need another search than an exact one


@dataclass(frozen=True, slots=True)
class Gallery:
    """A gallery, and the network whose vectors it holds."""

    name: str
    embedder: str  # the digest of the recognizer that made the vectors
    created: str  # ISO 8601, UTC


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in a gallery."""

    person: str
    faces: int
    created: str  # ISO 8601, UTC: when the first face came in


class Galleries:
    """The galleries of a store. Several processes may use them at once."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._known: dict[str, tuple[int | None, Known]] = {}  # by gallery: as it was at a revision
        self._lock = threading.Lock()

    def create(self, name: str, embedder: str) -> Gallery:
        """A new, empty gallery. Raises BadRequest, Conflict."""
        check_name(name)
        with self._index.writing("faces") as connection:
            if connection.execute(select(galleries).where(galleries.c.name == name)).first():
                raise Conflict(f"there is a gallery {name} already")
            return _create(connection, name, embedder)

    def names(self) -> list[str]:
        """All names, sorted."""
        with self._index.reading() as connection:
            return sorted(connection.execute(select(galleries.c.name)).scalars())

    def get(self, name: str) -> Gallery:
        """One gallery. Raises NotFound."""
        check_name(name)
        with self._index.reading() as connection:
            row = connection.execute(select(galleries).where(galleries.c.name == name)).first()
        if row is None:
            raise unknown_name("gallery", name, self.names())
        return _gallery(row)

    def listing(self, after: str = "", most: int = MOST_LISTED) -> list[Gallery]:
        """The galleries in the order of their names, from the one that comes after `after`."""
        query = select(galleries).where(galleries.c.name > after).order_by(galleries.c.name).limit(most)
        with self._index.reading() as connection:
            return [_gallery(row) for row in connection.execute(query)]

    def people(self, name: str, after: str = "", most: int | None = None) -> list[Person]:
        """Who is in a gallery, by name. Raises NotFound."""
        self.get(name)
        person = gallery_faces.c.person
        query = _people(name).where(person > after).order_by(person).limit(most)
        with self._index.reading() as connection:
            return [Person(**row._mapping) for row in connection.execute(query)]

    def enrol(self, name: str, embedder: str, person: str, vectors: Sequence[Vector]) -> Person:
        """Add faces of a person to a gallery, which is made if it is not there.

        Raises BadRequest for a name that is none; Conflict where the gallery holds vectors of another network, or would be too large.
        """
        check_name(name)
        person = person_named(person)
        with self._index.writing("faces") as connection:
            row = connection.execute(select(galleries).where(galleries.c.name == name)).first()
            check_embedder(_gallery(row) if row else _create(connection, name, embedder), embedder)
            held = connection.execute(select(func.count()).where(gallery_faces.c.gallery == name)).scalar_one()
            if held + len(vectors) > MOST_FACES:
                raise Conflict(f"{name} holds {held} faces; {MOST_FACES} is the limit of exact search")
            rows = [{"gallery": name, "person": person, "vector": _packed(vector), "created": now()} for vector in vectors]
            connection.execute(insert(gallery_faces), rows)
            _changed(connection, name)
            return Person(**connection.execute(_people(name).where(gallery_faces.c.person == person)).one()._mapping)

    def known(self, name: str, embedder: str) -> Known:
        """The faces of a gallery, to compare vectors of the same network with. Raises NotFound, Conflict."""
        check_embedder(self.get(name), embedder)
        with self._lock:
            remembered = self._known.get(name)
        table = gallery_faces.c
        with self._index.reading() as connection:
            revision = connection.execute(select(galleries.c.revision).where(galleries.c.name == name)).scalar()
            if remembered and remembered[0] == revision:
                return remembered[1]
            rows = connection.execute(select(table.person, table.vector).where(table.gallery == name).order_by(table.id)).all()
        known = _known([row.person for row in rows], [row.vector for row in rows])
        with self._lock:
            self._known.pop(name, None)
            self._known[name] = revision, known
            if len(self._known) > MOST_REMEMBERED:
                del self._known[next(iter(self._known))]
        return known

    def export(self, name: str, person: str | None = None) -> dict[str, Any]:
        """All that a gallery holds, or all of one person, as JSON has it. Raises BadRequest, NotFound."""
        gallery = self.get(name)
        table = gallery_faces.c
        people: dict[str, list[dict[str, Any]]] = {}
        query = select(gallery_faces).where(table.gallery == name).order_by(table.person, table.id)
        if person is not None:
            query = query.where(table.person == (person := person_named(person)))
        with self._index.reading() as connection:
            for row in connection.execute(query):
                vector = np.frombuffer(row.vector, "<f4").tolist()
                people.setdefault(row.person, []).append({"created": row.created, "vector": vector})
        if person is not None and not people:
            raise nobody(name, person)
        return asdict(gallery) | {"people": [{"person": person, "faces": faces} for person, faces in people.items()]}

    def remove_person(self, name: str, person: str) -> int:
        """Delete all faces of a person, from the disk too; gives how many there were, 0 if nobody is called so.

        Raises BadRequest, NotFound; Overloaded where the disk keeps them for now: another call finishes it.
        """
        self.get(name)
        person = person_named(person)
        with self._index.writing("faces") as connection:
            gone = connection.execute(
                delete(gallery_faces).where(gallery_faces.c.gallery == name, gallery_faces.c.person == person)
            ).rowcount
            _changed(connection, name)
        self._forget(name)
        return gone

    def remove(self, name: str) -> bool:
        """Delete a gallery and all that it holds, from the disk too; gives whether it was there.

        Raises BadRequest; Overloaded where the disk keeps it for now: another call finishes it.
        """
        check_name(name)
        with self._index.writing("faces") as connection:
            gone = connection.execute(delete(galleries).where(galleries.c.name == name)).rowcount
        self._forget(name)
        return bool(gone)

    def _forget(self, name: str) -> None:
        with self._lock:
            self._known.pop(name, None)
        self._index.scrub()


def person_named(text: str) -> str:
    """A person's name in one spelling; raises BadRequest."""
    person = clean_label(text)
    if not person or len(person) > LONGEST_PERSON:
        raise BadRequest(f"a person's name has 1 to {LONGEST_PERSON} characters; {person[:20]!r} has {len(person)}")
    return person


def check_embedder(gallery: Gallery, embedder: str) -> None:
    """Raise Conflict where a gallery holds vectors of another network: they cannot be compared."""
    if gallery.embedder != embedder:
        hint = "enrol its people again into a new gallery"
        raise Conflict(f"{gallery.name} holds vectors of another network ({gallery.embedder[:12]}…, not {embedder[:12]}…); {hint}")


def nobody(gallery: str, person: str) -> NotFound:
    """The error for a person who is not in a gallery."""
    return NotFound(f"nobody in {gallery} is called {person!r}")


def _create(connection: Connection, name: str, embedder: str) -> Gallery:
    gallery = Gallery(name, embedder, now())
    connection.execute(insert(galleries).values(asdict(gallery) | {"revision": 0}))
    _changed(connection, name)
    return gallery


def _changed(connection: Connection, name: str) -> None:
    """Note in a gallery that it is another one now."""
    number = select(counters.c.value).where(counters.c.name == "faces").scalar_subquery()
    connection.execute(update(galleries).where(galleries.c.name == name).values(revision=number))


def _people(name: str) -> Select[Any]:
    table = gallery_faces.c
    query = select(table.person, func.count().label("faces"), func.min(table.created).label("created"))
    return query.where(table.gallery == name).group_by(table.person)


def _packed(vector: Vector) -> bytes:
    return vector.astype("<f4").tobytes()


def _known(people: Sequence[str], vectors: Sequence[bytes]) -> Known:
    names = tuple(dict.fromkeys(people))
    number = {person: at for at, person in enumerate(names)}
    matrix = np.frombuffer(b"".join(vectors), "<f4").astype(np.float32).reshape(len(people), -1) if people else np.empty((0, 0), np.float32)
    return Known(names, np.array([number[person] for person in people], np.int64), matrix)


def _gallery(row: Row[Any]) -> Gallery:
    return Gallery(row.name, row.embedder, row.created)
