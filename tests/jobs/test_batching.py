"""Batches as jobs: in a child process, under a worker."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mingmu.core.errors import NotFound
from mingmu.jobs.worker import Worker
from mingmu.registry.garbage import DAY, collect
from mingmu.registry.jobs import Job
from mingmu.registry.store import Store
from mingmu.settings import Settings
from tests.data.readers.test_archive import zipped
from tests.jobs.test_worker import at_work, until

IMAGES = 3000


@pytest.fixture
def store(data_dir: Path) -> Store:
    return Store(data_dir)


@pytest.fixture
def worker(data_dir: Path) -> Worker:
    return Worker(Settings(data_dir=data_dir, threads=1), "worker")


def submitted(store: Store, images: dict[str, bytes], **more: Any) -> Job:
    folder = store.data_dir / "aside" / "upload-1"
    folder.mkdir()
    upload = str(zipped(folder / "dataset.zip", images))
    arguments = {"recognizer": "tiny@1", "format": "jsonl", "top": 1, "coverage": None, "folder": str(folder), "dataset": ""}
    return store.jobs.submit("batch", "tiny@1", arguments | {"source": upload, "upload": upload} | more)


def rows(store: Store, job: Job) -> Iterator[dict[str, Any]]:
    result = store.jobs.get(job.id).result
    assert result is not None
    return map(json.loads, store.blobs.get(result["file"]["sha256"]).splitlines())


def test_a_batch_writes_rows_that_are_kept_for_a_day(store: Store, worker: Worker, red_png: bytes) -> None:
    job = submitted(store, {"b.png": red_png, "a/ü.png": b"broken", "../c.png": red_png})
    assert worker.run_next()
    done = store.jobs.get(job.id)
    assert done.result is not None
    assert (done.state, done.result["images"], done.result["errors"]) == ("done", 3, {"bad-image": 1, "path-outside": 1})
    assert [(row["path"], row["label"]) for row in rows(store, job)] == [("../c.png", None), ("a/ü.png", None), ("b.png", "red")]
    assert not (store.data_dir / "aside" / "upload-1").exists()
    collect(store, DAY)
    blob = done.result["file"]["sha256"]
    assert len(store.blobs.get(blob)) == done.result["file"]["bytes"]
    old = time.time() - DAY - 1
    os.utime(store.data_dir / "blobs" / blob[:2] / blob[2:], (old, old))
    collect(store, DAY)
    with pytest.raises(NotFound):
        store.blobs.get(blob)


def test_a_batch_of_a_dataset_keeps_its_names(store: Store, worker: Worker, red_png: bytes, blue_png: bytes) -> None:
    examples = [{"image": store.blobs.put(red_png), "name": "b/1.png"}, {"image": store.blobs.put(blue_png), "name": "a/1.png"}]
    store.datasets.add("colours", "c" * 64, "".join(json.dumps(example) + "\n" for example in examples).encode())
    job = submitted(store, {}, source="", dataset="colours@1")
    assert worker.run_next()
    assert [(row["path"], row["label"]) for row in rows(store, job)] == [("b/1.png", "red"), ("a/1.png", "blue")]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="without /proc it is unknown which process to kill")
def test_a_batch_whose_process_is_killed_goes_on_where_it_was(store: Store, worker: Worker, red_png: bytes) -> None:
    job = submitted(store, {f"{number:05}.png": red_png for number in range(IMAGES)})
    folder = store.data_dir / "aside" / "upload-1"
    with at_work(worker):
        until(lambda: any(rows.stat().st_size > 20_000 for rows in folder.glob("work-*/rows")))
        (kept,) = folder.glob("work-*/rows")
        os.kill(working_on(kept.parent / "lock"), signal.SIGKILL)
        size = kept.stat().st_size
        until(lambda: store.jobs.get(job.id).attempts == 2)
        assert kept.stat().st_size >= size - 8 * 400  # no more is done again than a portion
        until(lambda: store.jobs.get(job.id).over, 60)
    assert store.jobs.get(job.id).state == "done"
    assert [row["path"] for row in rows(store, job)] == [f"{number:05}.png" for number in range(IMAGES)]


def working_on(lock: Path) -> int:
    """The process that holds a file open."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.readlink() == lock:
                return int(link.parts[2])
        except OSError:  # it has ended meanwhile, or is somebody else's
            continue
    raise AssertionError("nobody holds it")


def test_a_batch_can_be_cancelled_and_leaves_nothing(store: Store, worker: Worker, red_png: bytes) -> None:
    job = submitted(store, {f"{number:05}.png": red_png for number in range(10 * IMAGES)})
    thread = threading.Thread(target=worker.run_next)
    thread.start()
    until(lambda: store.jobs.get(job.id).share > 0)
    store.jobs.cancel(job.id)
    thread.join()
    assert store.jobs.get(job.id).state == "cancelled"
    assert not (store.data_dir / "aside" / "upload-1").exists()
