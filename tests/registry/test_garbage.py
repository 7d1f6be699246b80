from __future__ import annotations

import json
import os
import time
from pathlib import Path

import fsspec
import pytest

from mingmu.core.errors import MingmuError
from mingmu.registry.garbage import Freed, collect
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from tests.registry.conftest import OpenStore
from tests.registry.variants import another


def age(folder: Path, seconds: float = 3600) -> None:
    """Make everything below a folder old."""
    then = time.time() - seconds
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (then, then))


def test_what_has_a_name_stays_with_its_backbone_and_works(open_store: OpenStore, data_dir: Path) -> None:
    store = open_store()
    age(data_dir)
    assert collect(store, 60) == Freed(0, 0, 0, 0)
    Library(store).open(store.resolve("tiny").digest)


def test_what_lost_its_name_goes_and_its_backbone_with_the_last_head(open_store: OpenStore, data_dir: Path) -> None:
    store = open_store()
    store.publish("tiny", another(store, 2).digest)
    age(data_dir)
    store.remove("tiny@1")
    assert collect(store, 60).artifacts == 1
    store.remove("tiny")
    assert collect(store, 60).artifacts == 2
    assert list(store.artifacts.iterdir()) == []


def test_the_runs_and_the_weights_of_what_lost_its_name_go_unless_they_are_under_way(open_store: OpenStore, data_dir: Path) -> None:
    store = open_store()
    kept = [store.runs / "tiny", store.trained / store.resolve("tiny").digest]
    gone = [store.runs / "forgotten", store.trained / ("0" * 64)]
    under_way, new = store.runs / "busy", store.runs / "new"
    for folder in (*kept, *gone, under_way, new):
        folder.mkdir(parents=True)
        (folder / "checkpoint.safetensors").touch()
    age(data_dir)
    (new / "checkpoint.safetensors").touch()
    with store.lock("train-busy"):
        assert collect(store, 60).trainings == 2
    assert all(folder.exists() for folder in (*kept, under_way, new))
    assert not any(folder.exists() for folder in gone)


def test_what_was_just_added_or_added_again_stays(data_dir: Path) -> None:
    store = Store(data_dir)
    again, forgotten = another(store, 1), another(store, 2)
    age(data_dir)
    another(store, 1)
    fresh = another(store, 3)
    assert collect(store, 60).artifacts == 1
    assert {again.digest, fresh.digest} <= {path.name for path in store.artifacts.iterdir()}
    assert not (store.artifacts / forgotten.digest).exists()


def test_pictures_stay_while_a_dataset_needs_them_and_reports_for_ever(open_store: OpenStore, data_dir: Path) -> None:
    store = open_store()
    pear, apple, loose = (store.blobs.put(data) for data in (b"pear", b"apple", b"loose"))
    one, both = (b"".join(json.dumps({"image": image}).encode() + b"\n" for image in images) for images in ((pear,), (pear, apple)))
    store.datasets.add("fruit", "1" * 64, one)
    store.datasets.add("fruit", "2" * 64, both, parent="1" * 64)
    report = store.records.add_report("3" * 64, "2" * 64, b"{}")
    age(data_dir)
    assert collect(store, 60).blobs == 1
    assert not store.blobs.exists(loose)
    store.datasets.remove("fruit@2")
    assert collect(store, 60).blobs == 2
    assert {blob.sha256 for blob in store.blobs} == {pear, store.datasets.resolve("fruit").examples, report.blob}


def test_nothing_goes_while_what_refers_cannot_be_read(data_dir: Path) -> None:
    store = Store(data_dir)
    loose = store.blobs.put(b"loose")
    examples = store.datasets.add("fruit", "1" * 64, b"").examples
    another(store, 2)
    store.blobs.delete(examples)
    age(data_dir)
    with pytest.raises(MingmuError):
        collect(store, 60)
    assert store.blobs.exists(loose)
    manifest = store.artifacts / store.resolve("tiny").digest / "manifest.json"
    manifest.write_bytes(b"{}")
    with pytest.raises(MingmuError):
        collect(store, 60)
    assert len(list(store.artifacts.iterdir())) == 2


def test_abandoned_work_goes(data_dir: Path) -> None:
    store = Store(data_dir)
    (data_dir / "aside/left").mkdir()
    (data_dir / "blobs").mkdir()
    (data_dir / "blobs/aside").mkdir()
    (data_dir / "blobs/aside/left").touch()
    age(data_dir)
    assert collect(store, 60).aside == 2


def test_with_blobs_elsewhere_another_machine_finds_the_artifacts_and_gc_keeps_their_copies(data_dir: Path, tmp_path: Path) -> None:
    fsspec.filesystem("memory").store.clear()
    here = Store(data_dir, blobs_url="memory://bucket")
    here.publish("copied", here.resolve("tiny").digest)
    collect(here, -3600)
    there = Store(tmp_path / "there", blobs_url="memory://bucket")
    Library(there).open(here.resolve("tiny").digest)
    here.remove("tiny")
    here.remove("copied")
    assert collect(here, -3600).blobs > 0
    assert list(here.blobs) == []
