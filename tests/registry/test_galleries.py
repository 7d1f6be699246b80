from __future__ import annotations

import json
import multiprocessing
import os
import signal
import stat
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from mingmu.core.errors import BadRequest, Conflict, MissingExtra, NotFound
from mingmu.registry import galleries as registry
from mingmu.registry.galleries import Galleries
from mingmu.registry.store import Store
from mingmu.tasks import known

ONE, OTHER = "1" * 64, "2" * 64


def vectors(seed: int, count: int = 1) -> list[np.ndarray]:
    found = np.random.default_rng(seed).normal(size=(count, 128)).astype(np.float32)
    return list(found / np.linalg.norm(found, axis=1, keepdims=True))


def nearest(galleries: Galleries, seed: int) -> str | None:
    found = galleries.known("family", ONE).nearest(vectors(seed)[0])
    return found[0] if found and found[1] > 0.99 else None


def exported(store: Store, person: str | None = None, gallery: str = "family") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(b"".join(store.galleries.export(gallery, person)))
    return found


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_whoever_is_enrolled_is_there_for_every_process(store: Store, tmp_path: Path) -> None:
    store.galleries.enrol("family", ONE, "Ada", vectors(1, 2))
    other = Store(tmp_path).galleries
    assert nearest(other, 1) == "Ada"
    store.galleries.enrol("family", ONE, "Bob", vectors(2))
    assert nearest(other, 2) == "Bob"
    assert [(each.person, each.faces) for each in other.people("family")] == [("Ada", 2), ("Bob", 1)]


def test_a_name_is_one_name_however_it_is_typed(store: Store) -> None:
    store.galleries.enrol("family", ONE, " Zo\u00eb\n", vectors(1))
    assert store.galleries.enrol("family", ONE, "Zoe\u0308", vectors(2)).faces == 2
    for wrong in ("", " ", "\0", "x" * 201):
        with pytest.raises(BadRequest, match="1 to 200 characters"):
            store.galleries.enrol("family", ONE, wrong, vectors(1))
    with pytest.raises(BadRequest, match="what strangers are called"):
        store.galleries.enrol("family", ONE, "Unknown ", vectors(1))
    with pytest.raises(BadRequest, match="cannot be a name"):
        store.galleries.enrol("../family", ONE, "Ada", vectors(1))


def test_vectors_of_another_network_do_not_mix(store: Store) -> None:
    store.galleries.create("family", ONE)
    with pytest.raises(Conflict, match="another network"):
        store.galleries.enrol("family", OTHER, "Ada", vectors(1))
    with pytest.raises(Conflict, match="another network"):
        store.galleries.known("family", OTHER)
    with pytest.raises(Conflict, match="already"):
        store.galleries.create("family", ONE)


def test_what_is_not_there_is_said(store: Store) -> None:
    with pytest.raises(NotFound, match="no gallery named 'family'"):
        store.galleries.people("family")
    store.galleries.create("family", ONE)
    with pytest.raises(NotFound, match="nobody in family is called 'Ada'"):
        store.galleries.export("family", "Ada")
    assert store.galleries.remove_person("family", "Ada") == 0
    assert store.galleries.known("family", ONE).nearest(vectors(1)[0]) is None


def test_deleted_means_gone_from_every_file(store: Store, tmp_path: Path) -> None:
    kept, gone = vectors(1, 3), vectors(2, 50)
    store.galleries.enrol("family", ONE, "Ada", kept)
    store.galleries.enrol("family", ONE, "Bobadilla", gone)
    assert store.galleries.remove_person("family", "Bobadilla") == 50
    store.galleries.enrol("friends", ONE, "Bobadilla", gone)
    store.galleries.remove("friends")
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(vector.tobytes()[:16] in file for vector in gone for file in files)
    assert not any(b"Bobadilla" in file for file in files)
    assert any(kept[0].tobytes() in file for file in files)
    assert store.galleries.names() == ["family"]
    assert not store.galleries.remove("friends")


def test_an_export_has_all_that_there_is(store: Store) -> None:
    (vector,) = vectors(1)
    store.galleries.enrol("family", ONE, "Ada", [vector])
    found = exported(store)
    assert (found["name"], found["embedder"], found["people"][0]["person"]) == ("family", ONE, "Ada")
    assert found["people"][0]["faces"][0]["vector"] == vector.tolist()


def test_an_export_comes_in_pieces(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "PAGE", 7)
    monkeypatch.setattr(registry, "PIECE", 1000)
    for person in ("Bob", "Ada", "Zoë"):
        store.galleries.enrol("family", ONE, person, vectors(1, 10))
    pieces = list(store.galleries.export("family"))
    assert len(pieces) > 20
    assert max(map(len, pieces)) < 5000
    assert [(each["person"], len(each["faces"])) for each in exported(store)["people"]] == [("Ada", 10), ("Bob", 10), ("Zoë", 10)]
    assert store.galleries.size("family") == (3, 30)
    store.galleries.create("empty", ONE)
    assert exported(store, gallery="empty")["people"] == []


def test_an_export_may_have_one_person_alone(store: Store) -> None:
    for seed, person in enumerate(("Ada", "Bob")):
        store.galleries.enrol("family", ONE, person, vectors(seed))
    assert [each["person"] for each in exported(store, " Bob ")["people"]] == ["Bob"]


def test_what_happens_in_one_gallery_leaves_the_others_in_memory(store: Store) -> None:
    store.galleries.enrol("family", ONE, "Ada", vectors(1))
    before = store.galleries.known("family", ONE)
    store.galleries.enrol("friends", ONE, "Bob", vectors(2))
    store.galleries.remove("friends")
    assert store.galleries.known("family", ONE) is before


def test_a_gallery_that_was_made_anew_is_not_the_old_one(store: Store, tmp_path: Path) -> None:
    store.galleries.enrol("family", ONE, "Ada", vectors(1))
    other = Store(tmp_path).galleries
    assert nearest(other, 1) == "Ada"
    store.galleries.remove("family")
    store.galleries.enrol("family", ONE, "Bob", vectors(1))
    assert nearest(other, 1) == "Bob"


def test_nobody_who_was_deleted_stays_in_memory(store: Store, tmp_path: Path) -> None:
    def remembered(galleries: Galleries) -> Callable[[], object]:
        search = galleries.known("family", ONE).search
        assert isinstance(search, known.Exact)
        return weakref.ref(search.vectors)

    other = Store(tmp_path).galleries
    for whom in ("Bob", None):
        store.galleries.enrol("family", ONE, "Ada", vectors(1))
        store.galleries.enrol("family", ONE, "Bob", vectors(2))
        here, there = remembered(store.galleries), remembered(other)
        _ = store.galleries.remove_person("family", whom) if whom else store.galleries.remove("family")
        assert here() is None
        assert there() is not None
        other.refresh()
        assert there() is None
    store.galleries.enrol("family", ONE, "Ada", vectors(1))
    there = remembered(other)
    store.galleries.remove("family")
    with pytest.raises(NotFound):
        other.known("family", ONE)
    assert there() is None


def test_a_gallery_that_is_being_read_keeps_nobody_from_another(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.galleries.enrol("large", ONE, "Ada", vectors(1))
    store.galleries.enrol("family", ONE, "Bob", vectors(2))
    began, go_on, made = threading.Event(), threading.Event(), known.Known.later

    def slowly(before: known.Known, stayed: Any, came: Any, names: list[str], vectors: Any) -> known.Known:
        if "Ada" in names:
            began.set()
            assert go_on.wait(20)
        return made(before, stayed, came, names, vectors)

    monkeypatch.setattr(known.Known, "later", slowly)
    with ThreadPoolExecutor(2) as pool:
        large = [pool.submit(store.galleries.known, "large", ONE) for _ in range(2)]
        assert began.wait(20)
        assert nearest(store.galleries, 2) == "Bob"
        assert store.galleries.remove("family")
        go_on.set()
        assert large[0].result(20) is large[1].result(20)


def test_a_number_that_was_given_once_means_nobody_else(store: Store, tmp_path: Path) -> None:
    store.galleries.enrol("family", ONE, "Ada", vectors(1))
    store.galleries.enrol("family", ONE, "Bob", vectors(2))
    other = Store(tmp_path).galleries
    assert nearest(other, 2) == "Bob"
    store.galleries.remove_person("family", "Bob")
    store.galleries.enrol("family", ONE, "Eve", vectors(3))
    assert [nearest(other, seed) for seed in (1, 2, 3)] == ["Ada", None, "Eve"]


def test_a_gallery_may_hold_more_faces_than_are_compared_one_by_one(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss", reason="approximate search needs the extra `galleries`")
    monkeypatch.setattr(known, "EXACT", 200)
    other = Store(tmp_path).galleries
    for seed, person in enumerate(("Ada", "Bob", "Eve")):
        store.galleries.enrol("family", ONE, person, vectors(seed, 100))
        assert nearest(other, seed) == person
    assert len(other.known("family", ONE)) == 300
    store.galleries.remove_person("family", "Ada")
    store.galleries.enrol("family", ONE, "Zoë", vectors(4))
    assert [nearest(other, seed) for seed in (0, 1, 2, 4)] == [None, "Bob", "Eve", "Zoë"]
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtra, match="more than 200 faces"):
        store.galleries.enrol("family", ONE, "Ida", vectors(5))


def test_a_deletion_waits_for_whoever_still_reads(store: Store, tmp_path: Path) -> None:
    store.galleries.enrol("family", ONE, "Ada", vectors(1))
    with ThreadPoolExecutor(1) as pool, Store(tmp_path).index.reading() as reader:
        assert reader.execute(text("SELECT count(*) FROM gallery_faces")).scalar() == 1
        deleting = pool.submit(store.galleries.remove_person, "family", "Ada")
        with pytest.raises(TimeoutError):
            deleting.result(0.3)
        reader.rollback()
        assert deleting.result(20) == 1


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_only_the_owner_reads_what_is_known_of_people(tmp_path: Path) -> None:
    made = Store(tmp_path / "made")
    made.galleries.enrol("family", ONE, "Ada", vectors(1))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (made.data_dir, *made.data_dir.glob("index.db*"))}
    assert modes.pop("made") == 0o700
    assert {*modes.values()} == {0o600}
    (tmp_path / "there").mkdir(0o755)
    assert stat.S_IMODE(Store(tmp_path / "there").data_dir.stat().st_mode) == 0o755


def enrol_and_die(data_dir: Path) -> None:
    Store(data_dir).galleries.enrol("family", ONE, "Ada", vectors(1))
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_who_was_enrolled_is_there_after_the_process_was_killed(tmp_path: Path) -> None:
    worker = multiprocessing.get_context("spawn").Process(target=enrol_and_die, args=(tmp_path,))
    worker.start()
    worker.join(30)
    assert worker.exitcode == -signal.SIGKILL
    assert Store(tmp_path).galleries.known("family", ONE).people == ("Ada",)
