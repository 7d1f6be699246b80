from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from mingmu.core.errors import BadRequest, Conflict, NotFound
from mingmu.registry.galleries import Galleries
from mingmu.registry.store import Store

ONE, OTHER = "1" * 64, "2" * 64


def vectors(seed: int, count: int = 1) -> list[np.ndarray]:
    found = np.random.default_rng(seed).normal(size=(count, 128)).astype(np.float32)
    return list(found / np.linalg.norm(found, axis=1, keepdims=True))


def nearest(galleries: Galleries, seed: int) -> str | None:
    found = galleries.known("family", ONE).nearest(vectors(seed)[0])
    return found[0] if found and found[1] > 0.99 else None


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
        store.galleries.remove_person("family", "Ada")
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
    with pytest.raises(NotFound, match="no gallery named 'friends'"):
        store.galleries.remove("friends")


def test_an_export_has_all_that_there_is(store: Store) -> None:
    (vector,) = vectors(1)
    store.galleries.enrol("family", ONE, "Ada", [vector])
    found = store.galleries.export("family")
    assert (found["name"], found["embedder"], found["people"][0]["person"]) == ("family", ONE, "Ada")
    assert found["people"][0]["faces"][0]["vector"] == vector.tolist()


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
