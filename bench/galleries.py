"""How fast, and how well, one of very many faces is found: `python -m bench.galleries [--quick] [--faces N]` (extra `galleries`).

The vectors are drawn: those of one person lie around a point, those of two people are as alike as MobileFaceNet's are. A gallery of them is
searched for more faces of its people and for strangers, exactly and approximately.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert

from mingmu.registry.index import gallery_faces, now
from mingmu.registry.store import Store
from mingmu.tasks.known import EXACT, Exact, Known
from mingmu.tasks.verification import threshold_for
from mingmu.zoo.faces import STRANGERS

WIDTH = 128
GALLERY, EMBEDDER = "drawn", "0" * 64
AT_ONCE = 10_000  # faces that are written together
DIRECTIONS = round(1 / STRANGERS.deviation**2)  # in so many, the cosines of random vectors deviate as those of real strangers do
PHOTOS = 5  # of a person, on average
RATE = 1e-7  # of false matches: each of so many faces is a chance to be taken for somebody
SCATTER = 0.8  # of a person's faces: two of them have a cosine of about 0.6

Vectors = NDArray[np.float32]
T = TypeVar("T")


def main() -> int:
    parser = argparse.ArgumentParser(description="Search in large galleries of faces.")
    parser.add_argument("--quick", action="store_true", help="150,000 faces, 200 searches")
    parser.add_argument("--faces", type=int, default=200_000, help=f"how many faces, more than {EXACT}")
    given = parser.parse_args()
    if find_spec("faiss") is None:
        print("SKIPPED: the extra `galleries` is not installed")
        return 0
    compare(Drawn(0), 150_000 if given.quick else max(given.faces, EXACT + 1), 200 if given.quick else 1000)
    return 0


class Drawn:
    """Draws people and their faces."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._basis = np.linalg.qr(self._random.normal(size=(WIDTH, DIRECTIONS)))[0].T

    def people(self, count: int) -> Vectors:
        return self._unit(self._random.normal(size=(count, DIRECTIONS)) @ self._basis)

    def faces(self, people: Vectors, whose: NDArray[np.int64]) -> Vectors:
        scatter = self._random.normal(size=(len(whose), DIRECTIONS)).astype(np.float32) @ self._basis.astype(np.float32)
        return self._unit(people[whose] + SCATTER * scatter / np.float32(DIRECTIONS**0.5))

    def whose(self, people: Vectors, count: int) -> NDArray[np.int64]:
        return self._random.integers(0, len(people), count)

    def _unit(self, rows: NDArray[np.floating]) -> Vectors:
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def compare(drawn: Drawn, count: int, searches: int) -> None:
    people = drawn.people(count // PHOTOS)
    whose, sought = drawn.whose(people, count), drawn.whose(people, searches)
    names, vectors = [*map(str, whose)], drawn.faces(people, whose)
    print(f"{count:,} faces of {len(people):,} people, {WIDTH} numbers each")
    with TemporaryDirectory() as folder:
        store = Store(Path(folder))
        fill(store, names, vectors)
        approximate, making = timed(lambda: store.galleries.known(GALLERY, EMBEDDER))
        store.galleries.enrol(GALLERY, EMBEDDER, "newcomer", [vectors[0]])
        _, adding = timed(lambda: store.galleries.known(GALLERY, EMBEDDER))
        _, removing = timed(lambda: store.galleries.remove_person(GALLERY, "newcomer"))
    print(f"read from the disk and made ready in {making:.1f} s; one face more takes {adding:.2f} s, and its deletion {removing:.2f} s")
    exact = Known(approximate.numbers, approximate.people, approximate.whose, Exact(approximate.numbers, vectors))
    known, strangers = drawn.faces(people, sought), drawn.people(searches)
    found, slow = timed(lambda: [exact.nearest(each) for each in known])
    nearly, fast = timed(lambda: [approximate.nearest(each) for each in known])
    print(f"a search: exact {1000 * slow / searches:.2f} ms, approximate {1000 * fast / searches:.2f} ms, {slow / fast:.1f} times as fast")
    print(f"nearest face, of more photos of the people: the same one in {share(same(found, nearly))}")
    true, threshold = [str(person) for person in sought], threshold_for(RATE, STRANGERS)
    right = [share([named(each, threshold) == name for each, name in zip(ways, true, strict=True)]) for ways in (found, nearly)]
    print(f"named rightly by a threshold of {threshold} (false-match rate {RATE:g}): exact {right[0]}, approximate {right[1]}")
    taken = [share([named(way.nearest(each), threshold) is not None for each in strangers]) for way in (exact, approximate)]
    print(f"strangers who were given a name: exact {taken[0]}, approximate {taken[1]}")


def fill(store: Store, names: Sequence[str], vectors: Vectors) -> None:
    """Put faces into a new gallery, all at once."""
    store.galleries.create(GALLERY, EMBEDDER)
    with store.index.writing("faces") as connection:
        for begin in range(0, len(names), AT_ONCE):
            part = zip(names[begin : begin + AT_ONCE], vectors[begin : begin + AT_ONCE], strict=True)
            rows = [{"gallery": GALLERY, "person": name, "vector": vector.tobytes(), "created": now()} for name, vector in part]
            connection.execute(insert(gallery_faces), rows)


def timed(call: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    return call(), time.perf_counter() - began


def same(found: Sequence[tuple[str, float] | None], nearly: Sequence[tuple[str, float] | None]) -> list[bool]:
    return [a is not None and b is not None and abs(a[1] - b[1]) < 1e-5 for a, b in zip(found, nearly, strict=True)]


def named(found: tuple[str, float] | None, threshold: float) -> str | None:
    return found[0] if found and found[1] >= threshold else None


def share(right: Sequence[bool]) -> str:
    return f"{100 * sum(right) / len(right):.1f} %"


if __name__ == "__main__":
    sys.exit(main())
