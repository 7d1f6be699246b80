"""Jobs: work that takes longer than a request, in a queue that survives its workers.

A job is queued, running, and then done, failed or cancelled. Whoever runs it sends a heartbeat; a job whose worker
died is queued again once, and then failed. Claiming is atomic: no job is run by two workers at once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select, update

from mingmu.core.errors import NotFound, QueueFull
from mingmu.registry.index import MOST_LISTED, Index, job_events, now
from mingmu.registry.index import jobs as table

State = Literal["queued", "running", "done", "failed", "cancelled"]

DEAD_AFTER = 10.0  # seconds without a heartbeat
MOST_ATTEMPTS = 2
KEPT = 1000  # the newest jobs; what came of older ones stays, but how it came about is forgotten
ROWS_KEPT = timedelta(days=1)  # batches, however many jobs come after: their rows are found by them alone
RETRY_AFTER = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work, as it stands."""

    id: int
    verb: str
    subject: str  # the dataset or recognizer that it is about
    arguments: Mapping[str, Any]
    state: State
    cancelling: bool
    attempts: int
    worker: str | None
    heartbeat: float | None  # seconds since 1970
    step: str
    share: float  # of the step, 0 to 1
    result: Mapping[str, Any] | None
    error: Mapping[str, str] | None  # kind and detail
    created: str  # ISO 8601, UTC
    started: str | None
    finished: str | None

    @property
    def over(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state in ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job; later events have higher numbers."""

    id: int
    kind: str  # progress, queued, running, done, failed, cancelling or cancelled
    data: Mapping[str, Any]


class Jobs:
    """The queue of a store. Several processes may use it at once."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def submit(self, verb: str, subject: str, arguments: Mapping[str, Any], *, most: int = 100) -> Job:
        """Queue a job; raises QueueFull where `most` are waiting. Arguments are JSON."""
        with self._index.writing("jobs") as connection:
            waiting = connection.execute(select(func.count()).where(table.c.state == "queued")).scalar_one()
            if waiting >= most:
                raise QueueFull(f"{waiting} jobs are already waiting; the limit is {most} (settings: max_jobs)", retry_after=RETRY_AFTER)
            row: dict[str, Any] = {"verb": verb, "subject": subject, "arguments": dict(arguments), "state": "queued", "created": now()}
            row |= {"cancelling": False, "attempts": 0, "step": "", "share": 0.0}
            (number,) = connection.execute(insert(table).values(row)).inserted_primary_key or (0,)
            _tell(connection, number, "queued")
            long_ago = (datetime.now(UTC) - ROWS_KEPT).isoformat(timespec="seconds")
            over = or_(table.c.finished < long_ago, and_(table.c.finished.is_not(None), table.c.verb != "batch"))
            connection.execute(delete(table).where(table.c.id <= number - KEPT, over))
            return _get(connection, number)

    def get(self, number: int) -> Job:
        """A job as it stands; raises NotFound."""
        with self._index.reading() as connection:
            return _get(connection, number)

    def newest(self, before: int | None = None, most: int = MOST_LISTED) -> list[Job]:
        """The latest jobs, the newest first: of all, or of those that came before one."""
        query = select(table).order_by(table.c.id.desc()).limit(most)
        with self._index.reading() as connection:
            return [_job(row) for row in connection.execute(query if before is None else query.where(table.c.id < before))]

    def open_arguments(self) -> list[Mapping[str, Any]]:
        """What the jobs that are not over were asked to do."""
        with self._index.reading() as connection:
            return list(connection.execute(select(table.c.arguments).where(table.c.state.in_(("queued", "running")))).scalars())

    def events(self, number: int, after: int = 0, most: int = MOST_LISTED) -> list[Event]:
        """What happened to a job since an event, the oldest first."""
        mine = job_events.c.job == number, job_events.c.id > after
        query = select(job_events.c.id, job_events.c.kind, job_events.c.data).where(*mine).order_by(job_events.c.id).limit(most)
        with self._index.reading() as connection:
            return [Event(**row._mapping) for row in connection.execute(query)]

    def revision(self) -> int:
        """A number that changes whenever something happens to a job."""
        return self._index.revision("jobs")

    def cancel(self, number: int) -> Job:
        """Ask that a job ends: at once if it waits, soon if it runs; one that is over stays as it is. Raises NotFound."""
        with self._index.writing("jobs") as connection:
            job = _get(connection, number)
            if job.state == "queued":
                _end(connection, number, "cancelled")
            elif job.state == "running" and not job.cancelling:
                connection.execute(update(table).where(table.c.id == number).values(cancelling=True))
                _tell(connection, number, "cancelling")
            return _get(connection, number)

    def claim(self, worker: str) -> Job | None:
        """Take the oldest job that waits; None where there is none."""
        oldest = select(table.c.id).where(table.c.state == "queued").order_by(table.c.id).limit(1)
        with self._index.reading() as connection:  # most looks find nothing: they must not make writers wait
            if connection.execute(oldest).first() is None:
                return None
        with self._index.writing("jobs") as connection:
            number = connection.execute(oldest).scalar()
            if number is None:
                connection.rollback()
                return None
            taken = {"state": "running", "worker": worker, "heartbeat": time.time(), "started": now(), "attempts": table.c.attempts + 1}
            connection.execute(update(table).where(table.c.id == number).values(taken))
            _tell(connection, number, "running")
            return _get(connection, number)

    def beat(self, job: Job) -> bool:
        """Say that a job's worker lives; whether the job should go on."""
        with self._index.writing("jobs") as connection:
            connection.execute(update(table).where(*_held(job)).values(heartbeat=time.time()))
            found = connection.execute(select(table.c.cancelling).where(*_held(job))).scalar()
            return found is False

    def progress(self, job: Job, step: str, share: float) -> None:
        """Say how far a job is."""
        with self._index.writing("jobs") as connection:
            row = {"step": step, "share": share, "heartbeat": time.time()}
            if connection.execute(update(table).where(*_held(job)).values(row)).rowcount:
                _tell(connection, job.id, "progress", step=step, share=share)

    def finish(self, job: Job, result: Mapping[str, Any]) -> None:
        """A job is done. This and what follows change nothing once the job was taken from its worker."""
        with self._index.writing("jobs") as connection:
            if _holds(connection, job):
                _end(connection, job.id, "done", result=dict(result), share=1.0)

    def fail(self, job: Job, kind: str, detail: str) -> None:
        """A job failed by itself, and would fail again."""
        with self._index.writing("jobs") as connection:
            if _holds(connection, job):
                _end(connection, job.id, "failed", error={"kind": kind, "detail": detail})

    def cancelled(self, job: Job) -> None:
        """A job ended because it was asked to."""
        with self._index.writing("jobs") as connection:
            if _holds(connection, job):
                _end(connection, job.id, "cancelled")

    def release(self, job: Job) -> None:
        """Put a job back because its worker is told to stop; this does not count as an attempt."""
        with self._index.writing("jobs") as connection:
            if _holds(connection, job):
                connection.execute(update(table).where(table.c.id == job.id).values(attempts=table.c.attempts - 1))
                _requeue(connection, job, "its worker was stopped")

    def lost(self, job: Job, reason: str) -> None:
        """The process that ran a job died: queue the job again, or fail it after its last attempt."""
        with self._index.writing("jobs") as connection:
            if _holds(connection, job):
                _retry(connection, _get(connection, job.id), reason)

    def recover(self, worker: str, dead_after: float = DEAD_AFTER) -> None:
        """Deal with the jobs of the dead: workers without a heartbeat, and whoever had our own name before us."""
        dead = table.c.state == "running", (table.c.worker == worker) | (table.c.heartbeat < time.time() - dead_after)
        with self._index.reading() as connection:
            if connection.execute(select(table.c.id).where(*dead).limit(1)).first() is None:
                return
        with self._index.writing("jobs") as connection:
            for row in connection.execute(select(table).where(*dead)).all():
                _retry(connection, _job(row), f"its worker {row.worker} died")


def _retry(connection: Connection, job: Job, reason: str) -> None:
    if job.cancelling:
        _end(connection, job.id, "cancelled")
    elif job.attempts < MOST_ATTEMPTS:
        _requeue(connection, job, reason)
    else:
        detail = f"{reason}, for the {job.attempts}. time, at {job.step or 'its start'!r}; it is not tried again"
        _end(connection, job.id, "failed", error={"kind": "worker-died", "detail": detail})


def _requeue(connection: Connection, job: Job, reason: str) -> None:
    if job.cancelling:
        return _end(connection, job.id, "cancelled")
    row = {"state": "queued", "worker": None, "heartbeat": None, "step": "", "share": 0.0}
    connection.execute(update(table).where(table.c.id == job.id).values(row))
    return _tell(connection, job.id, "queued", reason=reason)


def _end(connection: Connection, number: int, state: State, **outcome: Any) -> None:
    row = {"state": state, "finished": now(), "heartbeat": None} | outcome
    connection.execute(update(table).where(table.c.id == number).values(row))
    _tell(connection, number, state)


def _tell(connection: Connection, number: int, kind: str, **data: Any) -> None:
    connection.execute(insert(job_events).values(job=number, kind=kind, data=data))


def _held(job: Job) -> tuple[Any, ...]:
    """Whether a job is still with the worker, and in the attempt, that was given it."""
    return table.c.id == job.id, table.c.state == "running", table.c.worker == job.worker, table.c.attempts == job.attempts


def _holds(connection: Connection, job: Job) -> bool:
    return connection.execute(select(table.c.id).where(*_held(job))).first() is not None


def _get(connection: Connection, number: int) -> Job:
    row = connection.execute(select(table).where(table.c.id == number)).first()
    if row is None:
        raise NotFound(f"no job {number}")
    return _job(row)


def _job(row: Row[Any]) -> Job:
    return Job(**row._mapping)
