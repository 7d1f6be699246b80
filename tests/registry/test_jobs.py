from __future__ import annotations

import multiprocessing
from datetime import timedelta
from pathlib import Path

import pytest

from mingmu.core.errors import NotFound, QueueFull
from mingmu.registry.jobs import Jobs
from mingmu.registry.store import Store


@pytest.fixture
def jobs(tmp_path: Path, database_url: str | None) -> Jobs:
    return Store(tmp_path, database_url=database_url).jobs


def kinds(jobs: Jobs, number: int) -> list[str]:
    return [event.kind for event in jobs.events(number)]


def test_jobs_are_claimed_in_order_and_end_with_their_result(jobs: Jobs) -> None:
    numbers = [jobs.submit("teach", name, {"name": name}).id for name in ("one", "two")]
    first = jobs.claim("worker")
    assert first is not None
    assert (first.id, first.state, first.arguments, first.attempts) == (numbers[0], "running", {"name": "one"}, 1)
    jobs.progress(first, "looking", 0.5)
    assert (jobs.get(first.id).step, jobs.get(first.id).share) == ("looking", 0.5)
    jobs.finish(first, {"version": 1})
    assert jobs.get(first.id).share == 1.0
    assert jobs.get(first.id).over
    assert jobs.get(first.id).result == {"version": 1}
    assert kinds(jobs, first.id) == ["queued", "running", "progress", "done"]
    assert [job.id for job in jobs.newest()] == numbers[::-1]
    assert [job.id for job in jobs.newest(before=numbers[1], most=5)] == numbers[:1]


def test_events_can_be_read_from_any_point(jobs: Jobs) -> None:
    job = jobs.submit("teach", "one", {})
    jobs.claim("worker")
    first, second = jobs.events(job.id)
    assert jobs.events(job.id, after=first.id) == [second]
    assert jobs.events(job.id, after=second.id) == []


def test_an_empty_queue_gives_nothing_and_changes_nothing(jobs: Jobs) -> None:
    before = jobs.revision()
    assert jobs.claim("worker") is None
    jobs.recover("worker")
    assert jobs.revision() == before
    with pytest.raises(NotFound, match="no job 7"):
        jobs.get(7)


def test_a_full_queue_refuses(jobs: Jobs) -> None:
    jobs.submit("teach", "one", {}, most=1)
    with pytest.raises(QueueFull, match="max_jobs"):
        jobs.submit("teach", "two", {}, most=1)


def take_all(folder: Path, database_url: str | None, worker: str, taken: multiprocessing.Queue[int]) -> None:
    jobs = Store(folder, database_url=database_url).jobs
    while job := jobs.claim(worker):
        taken.put(job.id)


def test_processes_that_claim_at_the_same_time_never_get_the_same_job(jobs: Jobs, tmp_path: Path, database_url: str | None) -> None:
    numbers = [jobs.submit("teach", "one", {}).id for _ in range(30)]
    context = multiprocessing.get_context("spawn")
    taken: multiprocessing.Queue[int] = context.Queue()
    claimers = [context.Process(target=take_all, args=(tmp_path, database_url, f"worker-{i}", taken)) for i in range(2)]
    for claimer in claimers:
        claimer.start()
    found = [taken.get(timeout=30) for _ in numbers]
    for claimer in claimers:
        claimer.join()
    taken.close()
    assert sorted(found) == numbers


def test_a_job_whose_worker_died_is_queued_once_more_and_then_fails(jobs: Jobs) -> None:
    job = jobs.submit("teach", "one", {})
    jobs.claim("first")
    jobs.recover("other")
    assert jobs.get(job.id).state == "running"  # its heartbeat is fresh
    jobs.recover("other", dead_after=-1)
    assert jobs.get(job.id).state == "queued"
    jobs.claim("second")
    jobs.recover("second")  # whoever has its name now knows that it is not running
    failed = jobs.get(job.id)
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error["kind"] == "worker-died"
    assert "second died" in failed.error["detail"]


def test_a_worker_that_was_taken_for_dead_changes_nothing_any_more(jobs: Jobs) -> None:
    jobs.submit("teach", "one", {})
    slow = jobs.claim("slow")
    assert slow is not None
    assert jobs.beat(slow)
    jobs.recover("other", dead_after=-1)
    assert not jobs.beat(slow)
    jobs.finish(slow, {"late": True})
    jobs.progress(slow, "late", 1.0)
    jobs.fail(slow, "internal", "late")
    assert jobs.get(slow.id).state == "queued"
    again = jobs.claim("slow")
    jobs.finish(slow, {"late": True})
    assert again is not None
    assert jobs.get(slow.id).state == "running"


def test_a_job_that_waits_is_cancelled_at_once_and_one_that_runs_when_it_obeys(jobs: Jobs) -> None:
    waiting, running = (jobs.submit("teach", "one", {}).id for _ in range(2))
    assert jobs.cancel(waiting).state == "cancelled"
    claimed = jobs.claim("worker")
    assert claimed is not None
    assert jobs.cancel(running).cancelling
    jobs.cancel(running)
    assert not jobs.beat(claimed)
    jobs.cancelled(claimed)
    assert jobs.cancel(running).state == "cancelled"
    assert kinds(jobs, running) == ["queued", "running", "cancelling", "cancelled"]


def test_a_cancelled_job_whose_worker_died_is_not_tried_again(jobs: Jobs) -> None:
    job = jobs.submit("teach", "one", {})
    jobs.claim("worker")
    jobs.cancel(job.id)
    jobs.recover("worker")
    assert jobs.get(job.id).state == "cancelled"


def test_a_job_that_is_put_back_has_not_lost_an_attempt(jobs: Jobs) -> None:
    job = jobs.submit("teach", "one", {})
    for _ in range(3):
        claimed = jobs.claim("worker")
        assert claimed is not None
        assert claimed.attempts == 1
        jobs.release(claimed)
        assert jobs.get(job.id).state == "queued"


def test_what_came_of_the_newest_jobs_stays_and_of_those_long_over_is_forgotten(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mingmu.registry.jobs.KEPT", 2)
    for name in ("one", "two"):
        jobs.submit("teach", name, {})
        claimed = jobs.claim("worker")
        assert claimed is not None
        jobs.finish(claimed, {"findings": [{"where": ["ü.jpg"], "share": 0.5}]})
    waiting = [jobs.submit("teach", name, {}).subject for name in ("three", "four")]
    assert [job.subject for job in jobs.newest()] == waiting[::-1]


def test_a_batch_is_kept_for_a_day_however_many_jobs_come_after_it(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mingmu.registry.jobs.KEPT", 2)
    job = jobs.submit("batch", "one", {})
    claimed = jobs.claim("worker")
    assert claimed is not None
    for _ in range(3):
        jobs.submit("add", "one", {})
    jobs.finish(claimed, {"file": {}})
    jobs.submit("add", "one", {})
    assert jobs.get(job.id).state == "done"
    monkeypatch.setattr("mingmu.registry.jobs.ROWS_KEPT", timedelta(seconds=-2))
    jobs.submit("add", "one", {})
    with pytest.raises(NotFound):
        jobs.get(job.id)
