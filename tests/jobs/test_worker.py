from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mingmu.jobs import child
from mingmu.jobs.worker import Worker
from mingmu.registry.jobs import Job, Jobs
from mingmu.registry.store import Store
from mingmu.settings import Settings
from tests.jobs.errands import TABLE


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Store(tmp_path).jobs


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(Settings(data_dir=tmp_path), "worker", TABLE)


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.02)


@contextmanager
def at_work(worker: Worker) -> Iterator[None]:
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join()


def test_a_job_runs_aside_politely_and_its_progress_is_told(jobs: Jobs, worker: Worker, tmp_path: Path) -> None:
    job = jobs.submit("count", "one", {"to": 10, "notes": str(tmp_path / "notes")})
    assert worker.run_next()
    done = jobs.get(job.id)
    assert (done.state, done.result) == ("done", {"counted": 10, "niceness": min(19, os.nice(0) + child.NICENESS)})
    assert (tmp_path / "notes").read_text().split() != [str(os.getpid())]
    shares = [event.data["share"] for event in jobs.events(job.id) if event.kind == "progress"]
    assert 1 < len(shares) < 10  # not each and every one
    assert shares == sorted(shares)
    assert not worker.run_next()


@pytest.mark.parametrize(
    ("verb", "kind", "detail"),
    [
        ("fail", "conflict", "there is nothing to count"),
        ("break_down", "internal", "its log has the details"),
        ("unheard-of", "bad-request", "no verb 'unheard-of'"),
    ],
)
def test_what_goes_wrong_is_told_and_faults_keep_their_details_to_the_log(
    jobs: Jobs, worker: Worker, verb: str, kind: str, detail: str
) -> None:
    job = jobs.submit(verb, "one", {})
    worker.run_next()
    failed = jobs.get(job.id)
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error["kind"] == kind
    assert detail in failed.error["detail"]


def test_a_job_that_kills_its_process_is_tried_twice(jobs: Jobs, worker: Worker) -> None:
    job = jobs.submit("die", "one", {})
    worker.run_next()
    assert jobs.get(job.id).state == "queued"
    worker.run_next()
    failed = jobs.get(job.id)
    assert failed.error is not None
    assert failed.error["kind"] == "worker-died"
    assert "SIGKILL" in failed.error["detail"]


@pytest.mark.parametrize("verb", ["count", "ignore"])
def test_a_running_job_is_cancelled_even_if_it_does_not_listen(
    jobs: Jobs, worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr(child, "PATIENCE", 0.3)
    monkeypatch.setattr("mingmu.jobs.worker.BEAT", 0.1)
    job = jobs.submit(verb, "one", {"to": 1000, "notes": str(tmp_path / "notes")})
    with at_work(worker):
        until(lambda: jobs.get(job.id).step)
        assert jobs.cancel(job.id).state == "running"
        until(lambda: jobs.get(job.id).over)
    assert jobs.get(job.id).state == "cancelled"


def test_a_worker_that_stops_puts_its_job_back_and_its_successor_finishes_it(jobs: Jobs, worker: Worker, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    job = jobs.submit("count", "one", {"to": 30, "notes": str(notes)})
    with at_work(worker):
        until(lambda: jobs.get(job.id).step)
    back: Job = jobs.get(job.id)
    assert (back.state, back.attempts) == ("queued", 0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(notes.read_text()), 0)  # nothing of it is left
    Worker(Settings(data_dir=tmp_path), "successor", TABLE).run_next()
    assert jobs.get(job.id).state == "done"
    assert len(notes.read_text().split()) == 2
