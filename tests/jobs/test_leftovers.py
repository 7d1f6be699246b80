from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from mingmu.jobs.leftovers import clear
from mingmu.registry.jobs import Job, Jobs
from mingmu.registry.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a batch has worked."""
    folder = tmp_path / "batch-1"
    (folder / "work-1").mkdir(parents=True)
    (folder / "work-1/rows").touch()
    return folder


def over(jobs: Jobs, state: str, verb: str = "batch", **arguments: Any) -> Job:
    jobs.submit(verb, "one", arguments)
    job = jobs.claim("worker")
    assert job is not None
    if state == "done":
        jobs.finish(job, {})
    elif state == "failed":
        jobs.fail(job, "fetch-failed", "gone")
    else:
        jobs.cancelled(job)
    return jobs.get(job.id)


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_an_upload_is_removed_with_its_folder_once_its_job_is_over(tmp_path: Path, folder: Path, state: str) -> None:
    jobs, upload = Store(tmp_path / "data").jobs, tmp_path / "upload-1/dataset.zip"
    upload.parent.mkdir()
    clear(over(jobs, state, folder=str(folder), upload=str(folder / "dataset.zip")))
    clear(over(jobs, state, "read", upload=str(upload)))
    clear(over(jobs, state, "teach", dataset="flowers"))
    assert not folder.exists()
    assert not upload.parent.exists()


def test_what_a_batch_that_failed_has_done_is_kept(tmp_path: Path, folder: Path) -> None:
    jobs = Store(tmp_path / "data").jobs
    clear(over(jobs, "failed", folder=str(folder)))
    assert (folder / "work-1/rows").exists()
    clear(over(jobs, "cancelled", folder=str(folder)))
    assert not folder.exists()
    clear(over(jobs, "done", folder=str(folder)))


def test_a_folder_in_which_the_next_one_works_already_is_left_to_that(tmp_path: Path, folder: Path) -> None:
    jobs = Store(tmp_path / "data").jobs
    with FileLock(folder / "work-1/lock"):
        clear(over(jobs, "done", folder=str(folder)))
        assert (folder / "work-1/rows").exists()
