"""Galleries: faces of people by name. Vectors only, no photos; what is deleted is gone from the disk."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import orjson
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, Select, delete, func, insert, select, tuple_, update

from mingmu.core.errors import BadRequest, Conflict, NotFound
from mingmu.core.labels import clean_label
from mingmu.registry.index import MOST_LISTED, Index, counters, galleries, gallery_faces, now, versions
from mingmu.registry.naming import check_name, unknown_name
from mingmu.tasks.faces import Vector
from mingmu.tasks.identification import UNKNOWN
from mingmu.tasks.known import NOBODY, Known, check_search

LONGEST_PERSON = 200  # characters
MOST_REMEMBERED = 8  # galleries in memory, those that were read last
MOST_FACES = 1_000_000  # of a gallery: every process that searches it holds them all, 128 numbers each in half a gigabyte
BY_PIECES = {"yield_per": 10_000}  # rows that are read together
PAGE = 500  # faces of an export that are in memory together
PIECE = 2**18  # bytes of an export that are given at a time, at least


@dataclass(frozen=True, slots=True)
class Gallery:
    """A gallery, and the network whose vectors it holds."""

    name: str
    embedder: str  # the digest of the recognizer that made the vectors
    created: str  # ISO 8601, UTC


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A gallery in memory, as it was at a revision."""

    embedder: str
    revision: int | None
    known: Known


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
        self._remembered: dict[str, _Remembered] = {}
        self._remembering = threading.Lock()
        self._reading = WeakValueDictionary[str, threading.Lock]()  # each gallery is read by one thread at a time

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

    def size(self, name: str) -> tuple[int, int]:
        """How many people a gallery holds, and how many faces."""
        table = gallery_faces.c
        query = select(func.count(table.person.distinct()), func.count()).where(table.gallery == name)
        with self._index.reading() as connection:
            people, faces = connection.execute(query).one()
        return people, faces

    def people(self, name: str, after: str = "", most: int = MOST_LISTED) -> list[Person]:
        """Who is in a gallery in the order of the names, from the one that comes after `after`. Raises NotFound."""
        self.get(name)
        person = gallery_faces.c.person
        query = _people(name).where(person > after).order_by(person).limit(most)
        with self._index.reading() as connection:
            return [Person(**row._mapping) for row in connection.execute(query)]

    def enrol(self, name: str, embedder: str, person: str, vectors: Sequence[Vector]) -> Person:
        """Add faces of a person to a gallery, which is made if it is not there.

        Raises BadRequest for a name that is none; Conflict where the gallery holds vectors of another network, or would be too large;
        MissingExtra where it would be too large for exact search.
        """
        check_name(name)
        person = person_named(person)
        if person.casefold() == UNKNOWN:
            raise BadRequest(f"{person} is what strangers are called; give the person another name")
        with self._index.writing("faces") as connection:
            row = connection.execute(select(galleries).where(galleries.c.name == name)).first()
            _check_embedder(connection, _gallery(row) if row else _create(connection, name, embedder), embedder)
            held = connection.execute(select(func.count()).where(gallery_faces.c.gallery == name)).scalar_one()
            if held + len(vectors) > MOST_FACES:
                raise Conflict(f"{name} holds {held} faces; {MOST_FACES} is the limit")
            check_search(held + len(vectors))
            rows = [{"gallery": name, "person": person, "vector": _packed(vector), "created": now()} for vector in vectors]
            connection.execute(insert(gallery_faces), rows)
            _changed(connection, name)
            return Person(**connection.execute(_people(name).where(gallery_faces.c.person == person)).one()._mapping)

    def check(self, name: str, embedder: str) -> None:
        """Raise Conflict where there is such a gallery and it holds vectors of another network."""
        check_name(name)
        with self._index.reading() as connection:
            row = connection.execute(select(galleries).where(galleries.c.name == name)).first()
            if row:
                _check_embedder(connection, _gallery(row), embedder)

    def known(self, name: str, embedder: str) -> Known:
        """The faces of a gallery, to compare vectors of the same network with. Raises NotFound, Conflict, MissingExtra.

        Of a gallery that is in memory and has changed since, only what came is read, and who went.
        """
        try:
            self.get(name)
        except NotFound:
            self._remembered.pop(name, None)
            raise
        self.check(name, embedder)
        held = self._remembered.get(name)
        if held and (held.embedder, held.revision) == (embedder, self._revision(name)):
            return held.known
        return self._renewed(name, embedder)

    def refresh(self) -> None:
        """Bring the galleries in memory to what they are now: whom another process deleted, this one does not keep."""
        remembered = dict(self._remembered)
        if not remembered:
            return
        with self._index.reading() as connection:
            rows = connection.execute(select(galleries).where(galleries.c.name.in_(remembered))).all()
        now_there = {row.name: row for row in rows}
        for name, held in remembered.items():
            row = now_there.get(name)
            if row is None or row.embedder != held.embedder:
                self._remembered.pop(name, None)
            elif row.revision != held.revision:
                self._renewed(name, held.embedder)

    def _renewed(self, name: str, embedder: str) -> Known:
        """A gallery as it is now, which is remembered; whoever asks for the same one meanwhile waits for it."""
        with self._reading.setdefault(name, threading.Lock()):
            revision = self._revision(name)
            held = self._remembered.pop(name, None)
            if held is None or held.embedder != embedder:
                held = _Remembered(embedder, None, NOBODY)
            if held.revision != revision:  # or else another thread has read it meanwhile
                held = _Remembered(embedder, revision, self._read(name, held.known))
            with self._remembering:
                self._remembered[name] = held
                if len(self._remembered) > MOST_REMEMBERED:
                    self._remembered.pop(next(iter(self._remembered)), None)
        return held.known

    def _revision(self, name: str) -> int | None:
        with self._index.reading() as connection:
            return connection.execute(select(galleries.c.revision).where(galleries.c.name == name)).scalar()

    def _read(self, name: str, before: Known) -> Known:
        """A gallery as it is, from what it was."""
        table = gallery_faces.c
        came, people, vectors = array("q"), list[str](), list[bytes]()
        with self._index.reading() as connection:
            count = connection.execute(select(func.count()).where(table.gallery == name)).scalar_one()
            before = before if before.suits(count) else NOBODY
            last = int(before.numbers[-1]) if len(before) else 0  # no number is given twice: what has a higher one is new
            query = select(table.id, table.person, table.vector).where(table.gallery == name, table.id > last).order_by(table.id)
            for row in connection.execute(query, execution_options=BY_PIECES):
                came.append(row.id)
                people.append(row.person)
                vectors.append(row.vector)
            stayed = before.numbers
            if len(before) + len(came) != count:  # somebody went
                query = select(table.id).where(table.gallery == name, table.id <= last).order_by(table.id)
                stayed = np.array(array("q", connection.execute(query, execution_options=BY_PIECES).scalars()), np.int64)
        return before.later(stayed, np.array(came, np.int64), people, _unpacked(vectors))

    def export(self, name: str, person: str | None = None) -> Iterator[bytes]:
        """All that a gallery holds, or all of one person, as a JSON document in pieces. Raises BadRequest, NotFound before the first.

        Few faces are in memory at a time, and nobody has to wait for whoever reads slowly; who comes or goes meanwhile may be in it or not.
        """
        gallery = self.get(name)
        if person is not None and not self._faces(name, person := person_named(person), most=1):
            raise nobody(name, person)
        return _gathered(_document(gallery, self._every_face(name, person)))

    def _every_face(self, name: str, person: str | None) -> Iterator[Row[Any]]:
        """By person, a page at a time."""
        found = self._faces(name, person)
        while found:
            yield from found
            found = self._faces(name, person, (found[-1].person, found[-1].id))

    def _faces(self, name: str, person: str | None, after: tuple[str, int] = ("", 0), most: int = PAGE) -> Sequence[Row[Any]]:
        table = gallery_faces.c
        query = select(gallery_faces).where(table.gallery == name, tuple_(table.person, table.id) > after)
        if person is not None:
            query = query.where(table.person == person)
        with self._index.reading() as connection:
            return connection.execute(query.order_by(table.person, table.id).limit(most)).all()

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
        self.refresh()
        self._index.scrub()
        return gone

    def remove(self, name: str) -> bool:
        """Delete a gallery and all that it holds, from the disk too; gives whether it was there.

        Raises BadRequest; Overloaded where the disk keeps it for now: another call finishes it.
        """
        check_name(name)
        with self._index.writing("faces") as connection:
            gone = connection.execute(delete(galleries).where(galleries.c.name == name)).rowcount
        self._remembered.pop(name, None)
        self._index.scrub()
        return bool(gone)


def person_named(text: str) -> str:
    """A person's name in one spelling; raises BadRequest."""
    person = clean_label(text)
    if not person or len(person) > LONGEST_PERSON:
        raise BadRequest(f"a person's name has 1 to {LONGEST_PERSON} characters; {person[:20]!r} has {len(person)}")
    return person


def nobody(gallery: str, person: str) -> NotFound:
    """The error for a person who is not in a gallery."""
    return NotFound(f"nobody in {gallery} is called {person!r}")


def _check_embedder(connection: Connection, gallery: Gallery, embedder: str) -> None:
    """Raise Conflict where a gallery holds vectors of another network: they cannot be compared."""
    if gallery.embedder != embedder:
        held, others = (_called(connection, digest) for digest in (gallery.embedder, embedder))
        hint = f"name {held} (--embedder, settings: face_embedder), or enrol the people again into a new gallery"
        raise Conflict(f"{gallery.name} holds vectors of another network, {held}, and those of {others} do not compare with them; {hint}")


def _called(connection: Connection, digest: str) -> str:
    """What a recognizer is called, at its newest; one that has no name any more, by its digest."""
    table = versions.c
    row = connection.execute(select(versions).where(table.digest == digest).order_by(table.created.desc(), table.version.desc())).first()
    return f"{row.name}@{row.version}" if row else f"{digest[:12]}…"


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


def _document(gallery: Gallery, faces: Iterator[Row[Any]]) -> Iterator[bytes]:
    """An export; the faces of a person come one after another."""
    yield orjson.dumps(asdict(gallery)).removesuffix(b"}") + b', "people": ['
    for number, (person, rows) in enumerate(groupby(faces, attrgetter("person"))):
        yield (b"," if number else b"") + b'\n{"person": ' + orjson.dumps(person) + b', "faces": ['
        for place, row in enumerate(rows):
            vector = np.frombuffer(row.vector, "<f4").tolist()
            yield (b",\n" if place else b"\n") + orjson.dumps({"created": row.created, "vector": vector})
        yield b"]}"
    yield b"]}\n"


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for piece in pieces:
        held += piece
        if len(held) >= PIECE:
            yield bytes(held)
            held.clear()
    yield bytes(held)


def _unpacked(vectors: Sequence[bytes]) -> NDArray[np.float32]:
    """[N, F]"""
    return np.frombuffer(b"".join(vectors), "<f4").astype(np.float32).reshape(len(vectors), -1) if vectors else np.empty((0, 0), np.float32)


def _gallery(row: Row[Any]) -> Gallery:
    return Gallery(row.name, row.embedder, row.created)
