from __future__ import annotations

import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from mingmu.core.errors import MissingExtra
from mingmu.tasks import known
from mingmu.tasks.known import NOBODY, Approximate, Exact, Known

COUNT, PEOPLE, WIDTH = 3000, 600, 32


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def faces(seed: int, count: int = COUNT) -> tuple[list[str], NDArray[np.float32]]:
    """Faces of people: those of one are near to each other."""
    middles = np.random.default_rng(0).normal(size=(PEOPLE, WIDTH))
    random = np.random.default_rng(seed)
    whose = random.integers(0, PEOPLE, count)
    return [f"person {number}" for number in whose], unit(middles[whose] + 0.5 * random.normal(size=(count, WIDTH)))


def gallery(count: int = COUNT) -> Known:
    names, vectors = faces(1, count)
    return NOBODY.later(NOBODY.numbers, np.arange(10, 10 + count), names, vectors)


def named(known: Known, vector: NDArray[np.float32]) -> str | None:
    """Whose very face it is."""
    found = known.nearest(vector)
    return found[0] if found and found[1] > 0.9999 else None


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss", reason="approximate search needs the extra `galleries`")
    monkeypatch.setattr(known, "EXACT", 1000)


@pytest.mark.usefixtures("few_are_many")
def test_of_very_many_faces_nearly_the_same_are_found() -> None:
    assert isinstance(gallery(1000).search, Exact)
    large, (_, vectors) = gallery(), faces(1)
    assert isinstance(large.search, Approximate)
    exact, (names, queries) = Exact(large.numbers, vectors), faces(2, 300)
    found = [large.nearest(query) for query in queries]
    assert np.mean([each is not None and each[0] == name for each, name in zip(found, names, strict=True)]) > 0.95
    alike = [exact.nearest(query)[1] for query in queries]
    assert np.mean([each is not None and abs(each[1] - best) < 1e-5 for each, best in zip(found, alike, strict=True)]) > 0.9


@pytest.mark.parametrize("count", [500, COUNT])
@pytest.mark.usefixtures("few_are_many")
def test_who_comes_or_goes_is_known_as_such_at_once(count: int) -> None:
    before, (names, vectors) = gallery(count), faces(1, count)
    newcomer = unit(np.ones((1, WIDTH)))
    after = before.later(np.arange(60, 10 + count), np.array([100_000]), ["newcomer"], newcomer)
    assert len(after) == count - 49
    assert set(after.people) == {*names[50:], "newcomer"}
    assert [named(after, vector) for vector in (newcomer[0], vectors[60], vectors[0])] == ["newcomer", names[60], None]
    assert named(before, vectors[0]) == names[0]


@pytest.mark.usefixtures("few_are_many")
def test_what_has_grown_or_shrunk_much_is_made_anew() -> None:
    assert gallery(1000).suits(5000)
    assert [gallery().suits(count) for count in (799, 800, 1000, 6000, 6001)] == [False, True, True, True, False]


def test_so_many_faces_need_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setattr(known, "EXACT", 1000)
    assert len(gallery(1000)) == 1000
    with pytest.raises(MissingExtra, match=r"more than 1000 faces .* pip install 'mingmu\[galleries\]'"):
        gallery(1001)
