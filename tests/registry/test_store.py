from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from mingmu.core.errors import BadArtifact, BadRequest, NotFound, Unproven
from mingmu.core.recognizer import Network
from mingmu.registry import store as store_module
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from tests import tiny


def test_an_artifact_is_found_by_its_digest(data_dir: Path) -> None:
    store = Store(data_dir)
    version = store.resolve("tiny")
    assert store.artifact(version.digest).digest == version.digest
    with pytest.raises(NotFound):
        store.artifact("0" * 64)


def test_adding_the_same_artifact_twice_keeps_one(data_dir: Path) -> None:
    store = Store(data_dir)
    before = sorted(store.artifacts.iterdir())
    store.add(tiny.seal_backbone)
    assert sorted(store.artifacts.iterdir()) == before


def test_a_build_that_fails_leaves_nothing(data_dir: Path) -> None:
    store = Store(data_dir)
    before = sorted(store.artifacts.iterdir())

    def half(folder: Path) -> None:
        (folder / "graph.onnx").write_bytes(b"half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        store.add(half)
    with pytest.raises(BadArtifact, match="never sealed"):
        store.add(lambda folder: (folder / "graph.onnx").write_bytes(b"half"))
    assert sorted(store.artifacts.iterdir()) == before
    assert not [path for path in (data_dir / "aside").iterdir() if path.is_dir()]


def test_versions_count_up_and_the_same_artifact_is_no_new_version(data_dir: Path) -> None:
    store = Store(data_dir)
    first = store.resolve("tiny")
    assert store.publish("tiny", first.digest) == first
    network = Network.open(store.artifact(store.artifact(first.digest).manifest.head.backbone))  # type: ignore[union-attr]
    second = store.publish("tiny", store.add(lambda folder: tiny.seal_tiny(folder, network, labels=("r", "g", "b"))).digest)
    assert (second.version, store.resolve("tiny").version, store.resolve("tiny@1")) == (2, 2, first)
    with pytest.raises(NotFound, match="1, 2"):
        store.resolve("tiny@3")


def test_an_unknown_name_is_answered_with_the_known_ones(data_dir: Path) -> None:
    with pytest.raises(NotFound, match="tiny"):
        Store(data_dir).resolve("tinny")


@pytest.mark.parametrize("name", ["", "../x", "A", "a/b", ".x", "x" * 65, "naïve", "a b"])
def test_a_name_that_could_lead_elsewhere_is_refused(data_dir: Path, name: str) -> None:
    with pytest.raises(BadRequest):
        Store(data_dir).resolve(name)


def test_a_damaged_name_file_is_reported(data_dir: Path) -> None:
    (data_dir / "recognizers/tiny.json").write_text("{")
    with pytest.raises(BadArtifact, match="damaged"):
        Store(data_dir).resolve("tiny")


def test_work_that_a_dead_process_left_aside_is_swept_away_after_a_day(data_dir: Path) -> None:
    old, fresh = data_dir / "aside/old", data_dir / "aside/fresh"
    old.mkdir()
    fresh.mkdir()
    os.utime(old, (0, time.time() - store_module.ABANDONED_AFTER - 60))
    Store(data_dir)
    assert not old.exists()
    assert fresh.exists()


def test_processes_that_publish_at_once_lose_no_version(data_dir: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=publish_often, args=(data_dir, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    versions = Store(data_dir).versions("busy")
    assert [version.version for version in versions] == list(range(1, 16))
    assert len({version.digest for version in versions}) == 15


def publish_often(data_dir: Path, number: int) -> None:
    store = Store(data_dir)
    for turn in range(5):
        store.publish("busy", f"{number}{turn}".rjust(64, "0"))


def test_a_tampered_artifact_is_never_opened(data_dir: Path) -> None:
    store = Store(data_dir)
    digest = store.resolve("tiny").digest
    head = store.artifacts / digest / "head.npz"
    head.write_bytes(head.read_bytes()[:-1] + b"x")
    with pytest.raises(BadArtifact, match=r"head\.npz"):
        Library(store).open(digest)


def test_an_artifact_under_a_digest_that_is_not_its_own_is_never_opened(data_dir: Path) -> None:
    store = Store(data_dir)
    digest = store.resolve("tiny").digest
    (store.artifacts / digest).rename(store.artifacts / ("1" * 64))
    with pytest.raises(BadArtifact, match="changed after sealing"):
        Library(store).open("1" * 64)


def test_heads_of_one_backbone_share_one_network(data_dir: Path) -> None:
    store = Store(data_dir)
    library = Library(store)
    one = library.open(store.resolve("tiny").digest)
    other = store.add(lambda folder: tiny.seal_tiny(folder, one.network, name="other", labels=("a", "b", "c")))
    assert library.open(other.digest).network is one.network


def test_a_network_that_drifts_is_never_opened(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(data_dir)

    def fail(_self: Network) -> None:
        raise Unproven("the runtime moved")

    monkeypatch.setattr(Network, "prove", fail)
    with pytest.raises(Unproven):
        Library(store).open(store.resolve("tiny").digest)
