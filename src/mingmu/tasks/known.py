"""The faces of a gallery, and which is nearest to another one: up to 100,000 are all compared; of more, those in the nearest cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mingmu.core.cpus import cpu_count
from mingmu.core.errors import MissingExtra
from mingmu.tasks.faces import Vector

EXACT = 100_000  # faces of which each is compared: that takes some ten milliseconds
PROBED = 4  # of so many cells one is looked into: `python -m bench.galleries` says what that finds, and in which time
STILL_APPROXIMATE = 0.8  # of EXACT: a gallery that shrinks is searched approximately down to this, so few who come and go change nothing
ROUNDS, SAMPLES = 10, 64  # of k-means, and vectors of each cell that it looks at
GROWTH = 2  # the cells suit up to so many times the faces that they were made from

Numbers = NDArray[np.int64]
Vectors = NDArray[np.float32]

_NONE: Numbers = np.empty(0, np.int64)


def check_search(count: int) -> None:
    """Raise MissingExtra where a gallery of so many faces could not be searched."""
    if count > EXACT and find_spec("faiss") is None:
        raise MissingExtra(f"a gallery of more than {EXACT} faces needs approximate search: pip install 'mingmu[galleries]'")


@dataclass(frozen=True, slots=True, eq=False)
class Exact:
    """Vectors, each of which is compared."""

    numbers: Numbers  # [M], ascending
    vectors: Vectors  # [M, F], each of length 1

    def nearest(self, vector: Vector) -> tuple[int, float]:
        similar = self.vectors @ vector
        best = int(similar.argmax())
        return int(self.numbers[best]), float(similar[best])

    def later(self, gone: Numbers, came: Numbers, vectors: Vectors) -> Exact | Approximate:
        kept = np.isin(self.numbers, gone, assume_unique=True, invert=True)
        rest = self.vectors[kept]
        return search_in(np.concatenate([self.numbers[kept], came]), np.concatenate([rest, vectors]) if len(came) else rest)

    def suits(self, count: int) -> bool:
        return True


@dataclass(frozen=True, slots=True, eq=False)
class Approximate:
    """Vectors in cells of such as are alike: compared are those in the cells whose middles are nearest.

    H. Jégou, M. Douze and C. Schmid, "Product Quantization for Nearest Neighbor Search", IEEE PAMI 33 (2011), section 4, without
    the quantization: the similarities are exact.
    """

    index: Any  # a faiss.IndexIVFFlat, which nobody changes
    made_from: int  # vectors

    @classmethod
    def of(cls, numbers: Numbers, vectors: Vectors) -> Approximate:
        """Raises MissingExtra."""
        check_search(len(numbers))
        import faiss

        faiss.omp_set_num_threads(cpu_count())
        width, cells = vectors.shape[1], math.isqrt(len(vectors))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, cells, faiss.METRIC_INNER_PRODUCT)
        index.cp.niter, index.cp.max_points_per_centroid = ROUNDS, SAMPLES
        index.nprobe = math.ceil(cells / PROBED)
        index.train(vectors)
        index.add_with_ids(vectors, numbers)
        return cls(index, len(vectors))

    def nearest(self, vector: Vector) -> tuple[int, float]:
        similar, numbers = self.index.search(vector[None], 1)
        return int(numbers[0, 0]), float(similar[0, 0])

    def later(self, gone: Numbers, came: Numbers, vectors: Vectors) -> Approximate:
        import faiss

        index = faiss.clone_index(self.index)
        if len(gone):
            index.remove_ids(faiss.IDSelectorBatch(gone))
        if len(came):
            index.add_with_ids(vectors, came)
        return Approximate(index, self.made_from)

    def suits(self, count: int) -> bool:
        return STILL_APPROXIMATE * EXACT <= count <= GROWTH * self.made_from


def search_in(numbers: Numbers, vectors: Vectors) -> Exact | Approximate:
    """The search that suits so many. Raises MissingExtra."""
    return Approximate.of(numbers, vectors) if len(numbers) > EXACT else Exact(numbers, vectors)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """The faces of a gallery, as they were at some time."""

    numbers: Numbers  # [M], ascending
    people: tuple[str, ...]
    whose: Numbers  # [M], of each face the place of its name in `people`
    search: Exact | Approximate

    def __len__(self) -> int:
        return len(self.numbers)

    def nearest(self, vector: Vector) -> tuple[str, float] | None:
        """Who has the most similar face, and how similar it is; None where nobody is known."""
        if not len(self):
            return None
        number, similarity = self.search.nearest(vector)
        place = int(np.searchsorted(self.numbers, number))
        return self.people[int(self.whose[place])], float(np.clip(similarity, -1, 1))

    def later(self, stayed: Numbers, came: Numbers, names: Sequence[str], vectors: Vectors) -> Known:
        """The same gallery at a later time: which of its faces stayed, which came, with higher numbers, whose these are, and their vectors.

        Raises MissingExtra.
        """
        kept = np.isin(self.numbers, stayed, assume_unique=True)
        places = {person: at for at, person in enumerate(self.people)}
        new = np.fromiter((places.setdefault(name, len(places)) for name in names), np.int64, len(names))
        there, whose = np.unique(np.concatenate([self.whose[kept], new]), return_inverse=True)
        people = tuple(places)
        search = self.search.later(self.numbers[~kept], came, vectors) if len(self) else search_in(came, vectors)
        return Known(np.concatenate([self.numbers[kept], came]), tuple(people[at] for at in there), whose, search)

    def suits(self, count: int) -> bool:
        """Whether it can become a gallery of so many faces; else that is better made anew."""
        return self.search.suits(count)


NOBODY = Known(_NONE, (), _NONE, Exact(_NONE, np.empty((0, 0), np.float32)))
