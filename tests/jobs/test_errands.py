from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fsspec
import pytest
from filelock import FileLock

from mingmu import verbs
from mingmu.batch import remote
from mingmu.core.errors import FetchFailed, NotFound
from mingmu.data.dataset import Dataset
from mingmu.jobs import errands
from mingmu.registry.store import Store
from mingmu.settings import Settings
from mingmu.teach.teach import Options
from tests.data.memory import png
from tests.data.readers.test_archive import zipped
from tests.data.test_phash import changed
from tests.test_teaching import draw


def test_an_image_that_is_labelled_anew_takes_the_label_and_stays_in_its_part(data_dir: Path, tmp_path: Path) -> None:
    store = Store(data_dir)
    verbs.teach(store, draw(tmp_path / "many", 110), name="colours", backbone="tiny", options=Options(effort="quick"))
    before = Dataset.from_lines(store.datasets.examples(store.datasets.resolve("colours")))
    tested = next(example for example in before if example.split == "test" and example.labels == ("red",))
    arguments = {"recognizer": "colours", "label": "green", "images": [tested.image]}
    result = errands.add(Settings(data_dir=data_dir), arguments, lambda _step, _share: None)
    after = Dataset.from_lines(store.datasets.examples(store.datasets.resolve("colours")))
    found = [example for example in after if example.image == tested.image]
    assert [(example.labels, example.split) for example in found] == [(("green",), "test")]
    assert (result["version"], len(after)) == (2, len(before))
    verbs.teach(store, draw(tmp_path / "more", 3, seed=7), name="colours", backbone="tiny", add=True, options=Options(effort="quick"))
    newest = Dataset.from_lines(store.datasets.examples(store.datasets.resolve("colours")))
    assert [example.labels for example in newest if example.image == tested.image] == [("green",)]
    assert len(newest) == len(before) + 9


def test_a_teaching_does_what_was_asked_and_says_which_version_taught_it(data_dir: Path, tmp_path: Path) -> None:
    store, settings = Store(data_dir), Settings(data_dir=data_dir)
    verbs.read_dataset(store, draw(tmp_path / "photos", 12), name="paints")
    verbs.read_dataset(store, draw(tmp_path / "test", 5, seed=1), name="walls")
    asked = {"backbone": "tiny", "effort": "quick", "head": "svm", "seed": 7}
    arguments = {"name": "colours", "dataset": "paints", "test": "walls", "add": False} | asked
    result = errands.teach(settings, arguments, lambda _step, _share: None)
    made_by = store.artifact(result["digest"]).manifest.made_by
    assert (result["dataset"], result["measured_on"]["examples"]) == ("colours@1", 15)
    assert str(made_by["head"]).startswith("svm")
    assert (made_by["effort"], made_by["seed"]) == ("quick", 7)


def test_a_recognizer_that_is_told_more_stays_on_its_backbone(data_dir: Path, tmp_path: Path, red_png: bytes) -> None:
    store = Store(data_dir)
    first = verbs.teach(store, draw(tmp_path / "photos", 12), name="colours", backbone="tiny", options=Options(effort="quick"))
    arguments = {"recognizer": "colours", "label": "red", "images": [store.blobs.put(red_png)], "teach": True}
    result = errands.add(Settings(data_dir=data_dir), arguments, lambda _step, _share: None)
    before, after = (store.artifact(digest).manifest.head for digest in (first.version.digest, result["digest"]))
    assert before is not None
    assert after is not None
    assert (result["version"], after.backbone) == (2, before.backbone)


def test_an_audit_keeps_what_it_finds_beside_what_reading_found(data_dir: Path, tmp_path: Path, blue_png: bytes) -> None:
    store, settings = Store(data_dir), Settings(data_dir=data_dir)
    folder = draw(tmp_path / "dataset", 12)
    for name, data in {"broken": blue_png[:40], "scene": png(1, 100, 80), "smaller": changed(1)[1]}.items():
        (folder / f"red/{name}.png").write_bytes(data)
    upload = tmp_path / "upload/dataset"
    upload.parent.mkdir()
    folder.rename(upload)
    read = errands.read(settings, {"name": "paints", "upload": str(upload)}, lambda _step, _share: None)
    assert [finding["kind"] for finding in read["findings"]] == ["unreadable"]
    for _ in range(2):  # the second time, too
        result = errands.audit(settings, {"dataset": "paints@1", "backbone": "tiny"}, lambda _step, _share: None)
    assert result["found"]["unreadable"] == 1
    assert result["found"]["near-duplicate"] == 1
    kept = json.loads(store.blobs.get(store.records.reports(result["digest"])[-1].blob))
    assert [finding["kind"] for finding in kept] == [finding["kind"] for finding in result["findings"]]


def test_an_evaluation_is_found_under_its_dataset_also_where_some_of_that_was_learned(data_dir: Path, tmp_path: Path) -> None:
    store, settings = Store(data_dir), Settings(data_dir=data_dir)
    taught = verbs.teach(store, draw(tmp_path / "photos", 12), name="colours", backbone="tiny", options=Options(effort="quick"))
    both = draw(tmp_path / "both", 8, seed=1)
    for path in sorted((tmp_path / "photos").glob("red/*"))[:2]:
        (both / "red" / f"old-{path.name}").write_bytes(path.read_bytes())
    verbs.read_dataset(store, both, name="walls")
    result = errands.evaluate(settings, {"recognizer": "colours", "dataset": "walls"}, lambda _step, _share: None)
    assert (result["digest"], result["dataset"]) == (taught.version.digest, "walls@1")
    assert result["measured_on"]["examples"] < 26
    kept = [report.dataset for report in store.records.reports(result["digest"])]
    assert store.datasets.resolve("walls").digest in kept


def batch_of(data_dir: Path, **more: Any) -> dict[str, Any]:
    arguments = {"recognizer": "tiny@1", "format": "jsonl", "top": 1, "coverage": None, "source": "", "dataset": ""}
    return arguments | {"folder": str(data_dir / "aside/batch-1")} | more


def test_a_batch_that_another_process_is_still_at_waits_until_that_one_lets_go(data_dir: Path, red_png: bytes) -> None:
    folder = data_dir / "aside/upload-1"
    folder.mkdir()
    arguments = batch_of(data_dir, folder=str(folder), source=str(zipped(folder / "dataset.zip", {"a.png": red_png})))
    network = verbs.open_recognizer(Settings(data_dir=data_dir), "tiny").recognizer.network.artifact.digest
    work = folder / f"work-{network[:16]}"
    work.mkdir()
    other = FileLock(work / "lock")
    other.acquire()
    said = []

    def listen(step: str, _share: float) -> None:
        said.append(step)
        if "waiting" in step and said.count(step) == 2:
            other.release()

    assert errands.batch(Settings(data_dir=data_dir, threads=1), arguments, listen)["images"] == 1
    assert said.count("waiting for the process that is still at it") == 2
    assert (folder / "dataset.zip").exists()  # its worker may still be told to do it again


def test_a_batch_that_failed_goes_on_in_its_folder_when_it_is_asked_for_again(
    data_dir: Path, red_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, down, read = fsspec.filesystem("memory"), True, []
    for number in range(24):
        files.pipe_file(f"/restless/{number:02}.png", red_png)

    def cat(_files: object, path: str, **_: int) -> bytes:
        if down and path > "/restless/16":
            raise ConnectionError("gone")
        read.append(path)
        return red_png

    monkeypatch.setattr(type(files), "cat_file", cat)
    monkeypatch.setattr(remote, "PAUSE", 0.001)
    settings, arguments = Settings(data_dir=data_dir, threads=1), batch_of(data_dir, source="memory://restless")
    with pytest.raises(FetchFailed, match="8 images in a row"):
        errands.batch(settings, arguments, lambda _step, _share: None)
    down = False
    read.clear()
    result = errands.batch(settings, arguments, lambda _step, _share: None)
    assert (result["images"], result["errors"]) == (24, {})
    assert min(read) == "/restless/16.png"


def test_an_archive_that_is_gone_is_said_to_be_without_saying_where_it_was(data_dir: Path, tmp_path: Path) -> None:
    arguments = {"name": "paints", "upload": str(tmp_path / "upload-1/dataset.zip")}
    with pytest.raises(NotFound, match="the archive is no longer here; send it again") as gone:
        errands.read(Settings(data_dir=data_dir), arguments, lambda _step, _share: None)
    assert str(tmp_path) not in str(gone.value)
