"""Takes jobs from the queue, one at a time, and sees to it that each comes to an end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping

from mingmu.core.errors import MingmuError
from mingmu.jobs.child import Child, Died, Done, Failed, Obeyed, Outcome, Progressed
from mingmu.jobs.errands import ERRANDS
from mingmu.jobs.leftovers import clear
from mingmu.registry.jobs import DEAD_AFTER, Job
from mingmu.registry.store import Store
from mingmu.settings import Settings

log = logging.getLogger("mingmu.jobs")

PAUSE = 0.25  # seconds between looks into an empty queue
PAUSE_AFTER_TROUBLE = 2.0  # seconds until an index that does not answer is asked again
BEAT = 2.0  # seconds between heartbeats


class Worker:
    """Runs jobs until it is told to stop. `name` is its own among all workers of the index, and its successor's."""

    def __init__(self, settings: Settings, name: str, verbs: Mapping[str, str] = ERRANDS, *, dead_after: float = DEAD_AFTER) -> None:
        self.name = name
        self._settings = settings
        self._jobs = Store.of(settings).jobs
        self._verbs = verbs
        self._dead_after = dead_after
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let go of the running job, which goes back into the queue, and take no other. Safe in a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Work until `stop`."""
        while not self._stopping.is_set():
            try:
                if not self.run_next():
                    self._stopping.wait(PAUSE)
            except MingmuError as error:
                log.error("%s", error, exc_info=error)
                self._stopping.wait(PAUSE_AFTER_TROUBLE)

    def run_next(self) -> bool:
        """Run the oldest job that waits; False where there is none."""
        self._jobs.recover(self.name, self._dead_after)
        job = self._jobs.claim(self.name)
        if job is None:
            return False
        log.info("job begins", extra={"job": job.id, "verb": job.verb, "subject": job.subject, "attempt": job.attempts})
        if job.verb in self._verbs:
            self._attend(job)
        else:
            self._jobs.fail(job, "bad-request", f"no verb {job.verb!r}; this worker knows {', '.join(self._verbs)}")
        ended = self._jobs.get(job.id)
        log.info("job ends", extra={"job": job.id, "verb": job.verb, "subject": job.subject, "state": ended.state})
        if ended.over:
            clear(ended)
        return True

    def _attend(self, job: Job) -> None:
        child = Child(self._settings, self._verbs[job.verb], job.arguments)
        beaten = time.monotonic()
        try:
            while True:
                said = child.next(PAUSE)
                if isinstance(said, Progressed):
                    self._jobs.progress(job, said.step, said.share)
                elif said is not None:
                    return self._conclude(job, said)
                if self._stopping.is_set():
                    return self._jobs.release(job)
                if time.monotonic() - beaten > BEAT:
                    beaten = time.monotonic()
                    if not self._jobs.beat(job):
                        child.ask_to_stop()
        finally:
            child.end()

    def _conclude(self, job: Job, outcome: Outcome) -> None:
        match outcome:
            case Done(result):
                self._jobs.finish(job, result)
            case Failed(kind, detail):
                self._jobs.fail(job, kind, detail)
            case Obeyed():
                self._jobs.cancelled(job)
            case Died(reason):
                self._jobs.lost(job, reason)
