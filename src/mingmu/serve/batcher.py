"""Gathers single requests into batches, and never lets one hurt another."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from mingmu.core.errors import DeadlineExceeded, QueueFull
from mingmu.serve.company import Company

In = TypeVar("In")
Out = TypeVar("Out")

IsAlone = Callable[[], bool]
"""Whether nothing else waits or runs at this moment, for any network, so that one batch may have the whole machine."""

RATE_MEMORY = 0.9  # share of the old estimate kept at each batch
SPAN = 0.05  # seconds that a batch may take: more images at a time gain nothing then, and outgrow the processor's caches
FEW = 4  # images that may always go together: so many share what it takes to read a heavy network's weights


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Out]):
    """What came of one item, and how it went."""

    value: Out
    waited: float  # seconds in the queue
    batch: int  # how many items ran together


@dataclass(slots=True, eq=False)
class _Waiting(Generic[In, Out]):
    item: In
    future: asyncio.Future[Outcome[Out]]
    since: float


class Crew:
    """Threads that several batchers share, and how many of them have something to do; other processes may share the processors."""

    def __init__(self, pool: Executor, company: Company | None = None) -> None:
        self.pool = pool
        self.lock = threading.Lock()  # of the counts of workers, and of the batchers' queues
        self.awake = 0  # workers of all batchers, and who else keeps a processor busy
        self._company = company or Company()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Keep a processor busy beside the batchers: meanwhile nobody is alone."""
        with self.lock:
            self.count(1)
        try:
            yield
        finally:
            with self.lock:
                self.count(-1)

    def count(self, more: int) -> None:
        """Note that so many more are awake; the lock is held."""
        self.awake += more
        self._company.tell(busy=self.awake > 0)

    def alone(self) -> bool:
        """Whether only one is awake, in all processes."""
        return self.awake == 1 and self._company.idle()


class Batcher(Generic[In, Out]):
    """Runs `call` on up to `max_batch` items at a time, fewer where they take long, on up to `workers` threads of a crew.

    Nothing waits while a worker is idle: items gather only while all are busy. A worker that is done takes the next batch
    itself, without waiting for the event loop: its share of what has gathered, so that those who are done a moment later
    find work too (guided self-scheduling: C. Polychronopoulos, D. Kuck, IEEE Transactions on Computers, 1987).
    `call` gives for each item its value or the exception that it alone met. When `max_queue` items wait, the next is
    refused at once. An item that is cancelled or past its deadline leaves the queue and is never run.
    """

    def __init__(
        self,
        call: Callable[[Sequence[In], IsAlone], Sequence[Out | Exception]],
        crew: Crew,
        *,
        workers: int = 1,
        max_batch: int = 16,
        max_queue: int = 256,
    ) -> None:
        self._call = call
        self._crew = crew
        self._workers = workers
        self._idle = workers
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._queue: dict[asyncio.Future[Outcome[Out]], _Waiting[In, Out]] = {}  # in order of arrival
        self._rate = math.inf  # items per second and worker, as lately seen

    def __len__(self) -> int:
        """How many items wait."""
        return len(self._queue)

    def waiting(self) -> list[In]:
        """The items that wait, in order of arrival; safe to ask from other threads."""
        with self._crew.lock:
            return [waiting.item for waiting in self._queue.values()]

    async def submit(self, item: In, *, deadline: float = math.inf) -> Outcome[Out]:
        """Run one item; `deadline` is a time of `time.monotonic()`.

        Raises QueueFull at once, DeadlineExceeded when the deadline passes, and what `call` gives or raises.
        """
        now, loop = time.monotonic(), asyncio.get_running_loop()
        if deadline <= now:
            raise DeadlineExceeded("the request's deadline had passed before it could be queued")
        future: asyncio.Future[Outcome[Out]] = loop.create_future()
        self._enqueue(_Waiting(item, future, now), loop)
        alarm = None if deadline == math.inf else loop.call_later(deadline - now, _expire, future)
        try:
            return await future
        finally:
            if alarm:
                alarm.cancel()
            with self._crew.lock:
                self._queue.pop(future, None)

    def _enqueue(self, waiting: _Waiting[In, Out], loop: asyncio.AbstractEventLoop) -> None:
        with self._crew.lock:
            if len(self._queue) >= self._max_queue:
                raise QueueFull(f"{len(self._queue)} images are already waiting; that is the limit", retry_after=self._backlog())
            self._queue[waiting.future] = waiting
            wakes = self._idle > 0
            self._idle -= wakes
            self._crew.count(wakes)
        if wakes:
            self._crew.pool.submit(self._work, loop)

    def _backlog(self) -> float:
        """Seconds until the queue as it is will have been worked off."""
        return max(1.0, math.ceil(len(self._queue) / (self._rate * self._workers)))

    def _take(self) -> list[_Waiting[In, Out]]:
        """This worker's share of what waits."""
        with self._crew.lock:
            fitting = int(min(self._max_batch, max(FEW, self._rate * SPAN)))
            size = min(fitting, math.ceil(len(self._queue) / self._workers))
            return [self._queue.pop(future) for future in list(islice(self._queue, size))]

    def _goes_on(self) -> bool:
        """Whether there is more to do for this worker, which otherwise rests."""
        with self._crew.lock:
            rests = not self._queue
            self._idle += rests
            self._crew.count(-rests)
            return not rests

    def _is_alone(self) -> bool:
        return not self._queue and self._crew.alone()  # whatever waits elsewhere keeps a worker awake

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """One batch, on a thread of the pool; then to the end of the pool's line, where other networks wait for their turn."""
        batch = self._take()
        started = time.monotonic()
        values = self._values(batch)
        ran = time.monotonic() - started
        try:
            if self._goes_on():
                self._crew.pool.submit(self._work, loop)
            if batch:  # at the very end: the event loop wakes up, and wants Python's lock
                loop.call_soon_threadsafe(self._deliver, batch, values, started, ran)
        except RuntimeError:  # the loop or the pool has been closed: nobody waits any more
            return

    def _values(self, batch: list[_Waiting[In, Out]]) -> Sequence[Out | Exception]:
        try:
            values = self._call([waiting.item for waiting in batch], self._is_alone) if batch else ()
            if len(values) != len(batch):
                raise RuntimeError(f"{len(batch)} items in, {len(values)} answers out")
        except Exception as error:  # noqa: BLE001 - whatever the call raised belongs to the batch's members
            return [error] * len(batch)
        return values

    def _deliver(self, batch: list[_Waiting[In, Out]], values: Sequence[Out | Exception], started: float, ran: float) -> None:
        rate = len(batch) / max(ran, 1e-9)
        self._rate = rate if math.isinf(self._rate) else RATE_MEMORY * self._rate + (1 - RATE_MEMORY) * rate
        for waiting, value in zip(batch, values, strict=True):
            if waiting.future.done():  # its client may have left meanwhile
                continue
            if isinstance(value, Exception):
                waiting.future.set_exception(value)
            else:
                waiting.future.set_result(Outcome(value, started - waiting.since, len(batch)))


def _expire(future: asyncio.Future[Outcome[Out]]) -> None:
    if not future.done():
        future.set_exception(DeadlineExceeded("the request's deadline passed before its answer was ready"))
