from __future__ import annotations

import multiprocessing
import os
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from mingmu.core.errors import BadArtifact, BadRequest, Conflict, NotFound, Unproven
from mingmu.core.network import Network
from mingmu.registry import store as store_module
from mingmu.registry.index import Index, sqlite_url
from mingmu.registry.jobs import Jobs
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from tests import tiny
from tests.registry.conftest import OpenStore
from tests.registry.variants import another


def test_an_artifact_is_found_by_its_digest(open_store: OpenStore) -> None:
    store = open_store()
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


def test_versions_count_up_and_the_same_artifact_is_no_new_version(open_store: OpenStore) -> None:
    store = open_store()
    first = store.resolve("tiny")
    assert store.publish("tiny", first.digest) == first
    network = Network.open(store.artifact(store.artifact(first.digest).manifest.head.backbone))  # type: ignore[union-attr]
    second = store.publish("tiny", store.add(lambda folder: tiny.seal_tiny(folder, network, labels=("r", "g", "b"))).digest)
    assert (second.version, store.resolve("tiny").version, store.resolve("tiny@1")) == (2, 2, first)
    with pytest.raises(NotFound, match="1, 2"):
        store.resolve("tiny@3")


def test_many_references_are_resolved_together_as_each_alone(open_store: OpenStore) -> None:
    store = open_store()
    first = store.resolve("tiny")
    store.publish("other", first.digest)
    store.publish("tiny", another(store, 2).digest)
    store.set_alias("tiny", "shop", 1)
    references = ["tiny", "tiny@1", "tiny@shop", "other", f"sha256:{first.digest[:12]}"]
    found = store.resolve_all([*references, "nobody", "tiny@7", "sha256:00"])
    assert found == {reference: store.resolve(reference) for reference in references}


def test_an_unknown_name_is_answered_with_the_known_ones(open_store: OpenStore) -> None:
    with pytest.raises(NotFound, match="tiny"):
        open_store().resolve("tinny")


@pytest.mark.parametrize("name", ["", "../x", "A", "a/b", ".x", "x" * 65, "naïve", "a b"])
def test_a_name_that_could_lead_elsewhere_is_refused(data_dir: Path, name: str) -> None:
    with pytest.raises(BadRequest):
        Store(data_dir).resolve(name)


@pytest.mark.parametrize("reference", ["tiny@03", "tiny@0", "tiny@prod", "tiny@²", "tiny@99999999999999999999"])
def test_a_version_that_is_not_there_is_answered_with_those_that_are(open_store: OpenStore, reference: str) -> None:
    open_store().set_alias("tiny", "shop", 1)
    with pytest.raises(NotFound, match="it has 1, shop"):
        open_store().resolve(reference)


def test_what_is_not_in_the_store_cannot_be_published(open_store: OpenStore) -> None:
    store = open_store()
    with pytest.raises(NotFound):
        store.publish("tiny", "0" * 64)
    assert [version.version for version in store.versions("tiny")] == [1]


def test_a_digest_or_its_start_means_what_was_published_with_it(open_store: OpenStore) -> None:
    store = open_store()
    version = store.resolve("tiny")
    assert store.resolve(f"sha256:{version.digest[:8]}") == store.resolve(f"sha256:{version.digest}") == version
    with pytest.raises(NotFound):
        store.resolve("sha256:" + "0" * 8)
    with pytest.raises(BadRequest, match="at least 8"):
        store.resolve("sha256:" + version.digest[:7])


def test_a_digest_that_many_names_have_is_no_riddle_but_two_digests_are(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store()
    digest = store.resolve("tiny").digest
    store.publish("same", digest)
    assert store.resolve(f"sha256:{digest[:8]}").digest == digest
    store.publish("other", another(store, 1).digest)
    monkeypatch.setattr(store_module, "SHORTEST_PREFIX", 0)
    with pytest.raises(BadRequest, match="several"):
        store.resolve("sha256:")


def test_an_alias_points_where_it_was_last_set_and_rolls_back_step_by_step(open_store: OpenStore) -> None:
    store = open_store()
    for number in (2, 3):
        store.publish("tiny", another(store, number).digest)
    for version in (1, 3, 3, 2):
        assert store.set_alias("tiny", "prod", version).version == version
    assert store.resolve("tiny@prod") == store.resolve("tiny@2")
    assert store.resolve("tiny").version == 3
    assert store.aliases("tiny") == {"prod": store.resolve("tiny@2")}
    assert [store.rollback("tiny", "prod").version for _ in range(2)] == [3, 1]
    with pytest.raises(Conflict, match="no other version"):
        store.rollback("tiny", "prod")
    assert store.resolve("tiny@prod").version == 1


def test_an_alias_needs_a_version_and_a_name_that_is_no_number(open_store: OpenStore) -> None:
    store = open_store()
    with pytest.raises(NotFound):
        store.set_alias("tiny", "prod", 2)
    with pytest.raises(NotFound):
        store.set_alias("none", "prod", 1)
    with pytest.raises(NotFound):
        store.rollback("tiny", "prod")
    for alias in ("3", "", "Prod", "a@b"):
        with pytest.raises(BadRequest):
            store.set_alias("tiny", alias, 1)
    assert store.aliases("tiny") == {}


def test_what_an_alias_points_to_is_removed_only_by_force(open_store: OpenStore) -> None:
    store = open_store()
    store.publish("tiny", another(store, 2).digest)
    store.set_alias("tiny", "prod", 2)
    store.set_alias("tiny", "prod", 1)
    for reference in ("tiny", "tiny@1"):
        with pytest.raises(Conflict, match="tiny@prod"):
            store.remove(reference)
    store.remove("tiny@1", force=True)
    assert store.aliases("tiny") == {}
    assert [version.version for version in store.versions("tiny")] == [2]


def test_what_a_bare_name_means_is_removed_only_by_force_or_with_the_whole(open_store: OpenStore) -> None:
    store = open_store()
    with pytest.raises(Conflict, match="tiny@1 is what tiny alone means, and is served; remove tiny as a whole, or force"):
        store.remove("tiny@1")  # the only version
    for number in (2, 3):
        store.publish("tiny", another(store, number).digest)
    with pytest.raises(Conflict, match="tiny@3 is what tiny alone means"):
        store.remove("tiny@3")
    store.remove("tiny@2")
    store.remove("tiny@3", force=True)
    assert store.resolve("tiny").version == 1
    store.remove("tiny")
    assert store.names() == []


def test_the_newest_of_each_name_come_in_pages_that_neither_repeat_nor_miss_one(open_store: OpenStore) -> None:
    store = open_store()
    for name in ("b-1", "a", "b.2", "b_3", "c"):
        store.publish(name, another(store, 1).digest)
    second = store.publish("b.2", another(store, 2).digest)
    pages = [store.newest(most=2)]
    while pages[-1]:
        pages.append(store.newest(after=pages[-1][-1].name, most=2))
        store.publish("0-comes-too-late", another(store, len(pages)).digest)
    found = [version for page in pages for version in page]
    assert sorted(version.name for version in found) == ["a", "b-1", "b.2", "b_3", "c", "tiny"]
    assert second in found
    assert [version.version for version in store.versions("b.2", after=1, most=5)] == [2]
    assert store.versions("b.2", after=2) == []


def test_removing_an_alias_leaves_its_version(open_store: OpenStore) -> None:
    store = open_store()
    store.set_alias("tiny", "prod", 1)
    store.remove("tiny@prod")
    assert store.aliases("tiny") == {}
    assert store.resolve("tiny").version == 1


def test_a_version_number_is_never_given_twice(open_store: OpenStore) -> None:
    store = open_store()
    store.publish("tiny", another(store, 2).digest)
    store.remove("tiny@2", force=True)
    assert store.publish("tiny", another(store, 2).digest).version == 3


def test_the_revision_changes_with_every_change_and_with_nothing_else(open_store: OpenStore) -> None:
    store, elsewhere = open_store(), open_store()
    seen = [store.revision()]
    for change in (
        lambda: elsewhere.publish("tiny", another(elsewhere, 2).digest),
        lambda: elsewhere.set_alias("tiny", "prod", 1),
        lambda: elsewhere.set_alias("tiny", "prod", 2),
        lambda: elsewhere.rollback("tiny", "prod"),
        lambda: elsewhere.remove("tiny@2", force=True),
    ):
        change()
        seen.append(store.revision())
    assert len(set(seen)) == len(seen)
    elsewhere.publish("tiny", elsewhere.resolve("tiny").digest)
    elsewhere.set_alias("tiny", "prod", 1)
    elsewhere.records.add_report("0" * 64, "1" * 64, b"{}")
    assert store.revision() == seen[-1]


def test_work_that_a_dead_process_left_aside_is_swept_away_after_a_day(data_dir: Path) -> None:
    old, fresh = data_dir / "aside/old", data_dir / "aside/fresh"
    old.mkdir()
    fresh.mkdir()
    os.utime(old, (0, time.time() - store_module.ABANDONED_AFTER - 60))
    Store(data_dir)
    assert not old.exists()
    assert fresh.exists()


@pytest.mark.parametrize("state", ["queued", "running", "done"])
def test_what_a_job_is_still_to_work_in_is_not_swept_away(data_dir: Path, state: str) -> None:
    folder = data_dir / "aside/upload-1"
    folder.mkdir()
    os.utime(folder, (0, time.time() - store_module.ABANDONED_AFTER - 60))
    jobs = Jobs(Index(sqlite_url(data_dir / "index.db"), nullcontext()))
    jobs.submit("read", "fruit", {"name": "fruit", "upload": str(folder / "dataset.zip")})
    if state != "queued" and (job := jobs.claim("somebody")) and state == "done":
        jobs.finish(job, {})
    Store(data_dir)
    assert folder.exists() == (state != "done")


def test_what_a_rollback_would_bring_back_is_removed_only_by_force(open_store: OpenStore) -> None:
    store = open_store()
    for number in (2, 3):
        store.publish("tiny", another(store, number).digest)
    for version in (2, 1, 3):
        store.set_alias("tiny", "prod", version)
    store.remove("tiny@2")  # two steps back
    with pytest.raises(Conflict, match="a rollback of tiny@prod leads to version 1"):
        store.remove("tiny@1")
    store.remove("tiny@1", force=True)
    with pytest.raises(Conflict, match="no other version that is still here"):
        store.rollback("tiny", "prod")
    assert store.resolve("tiny@prod").version == 3


def test_processes_that_publish_at_once_lose_no_version(open_store: OpenStore, data_dir: Path, database_url: str | None) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=publish_often, args=(data_dir, database_url, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    versions = open_store().versions("busy")
    assert [version.version for version in versions] == list(range(1, 16))
    assert len({version.digest for version in versions}) == 15


def publish_often(data_dir: Path, database_url: str | None, number: int) -> None:
    store = Store(data_dir, database_url=database_url)
    for turn in range(5):
        store.publish("busy", another(store, 10 * number + turn).digest)


def test_processes_that_open_a_new_folder_at_once_all_succeed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=open_and_list, args=(tmp_path,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0


def open_and_list(data_dir: Path) -> None:
    Store(data_dir).names()


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
