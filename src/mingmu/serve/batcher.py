"""Gathers single requests into batches, and never lets one hurt another."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

from mingmu.core.errors import DeadlineExceeded, QueueFull

In = TypeVar("In")
Out = TypeVar("Out")

RATE_MEMORY = 0.9  # share of the old estimate kept at each batch


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Out]):
    """What came of one item, and how it went."""

    value: Out
    waited: float  # seconds in the queue
    ran: float  # seconds its batch took
    batch: int  # how many items ran together


@dataclass(slots=True)
class _Waiting(Generic[In, Out]):
    item: In
    future: asyncio.Future[Outcome[Out]]
    since: float


class Batcher(Generic[In, Out]):
    """Runs `call` on up to `max_batch` items at a time, on `workers` threads of `pool`.

    Nothing waits while a worker is idle: items gather only while all are busy, and what has gathered is divided
    among the workers that are free. When `max_queue` items wait, the next is refused at once. An item that is
    cancelled or past its deadline leaves the queue and is never run.
    """

    def __init__(
        self,
        call: Callable[[Sequence[In]], Sequence[Out]],
        pool: Executor,
        *,
        workers: int = 1,
        max_batch: int = 16,
        max_queue: int = 256,
    ) -> None:
        self._call = call
        self._pool = pool
        self._idle = workers
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._queue: dict[asyncio.Future[Outcome[Out]], _Waiting[In, Out]] = {}  # in order of arrival
        self._tasks: set[asyncio.Task[None]] = set()
        self._rate = math.inf  # items per second, as lately seen

    def __len__(self) -> int:
        """How many items wait."""
        return len(self._queue)

    def waiting(self) -> list[In]:
        """The items that wait, in order of arrival; safe to ask from other threads."""
        return [waiting.item for waiting in list(self._queue.values())]

    async def submit(self, item: In, *, deadline: float = math.inf) -> Outcome[Out]:
        """Run one item; `deadline` is a time of `time.monotonic()`.

        Raises QueueFull at once, DeadlineExceeded when the deadline passes, and what `call` raises.
        """
        if len(self._queue) >= self._max_queue:
            raise QueueFull(f"{len(self._queue)} images are already waiting; that is the limit", retry_after=self._backlog())
        left = deadline - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded("the request's deadline had passed before it could be queued")
        future: asyncio.Future[Outcome[Out]] = asyncio.get_running_loop().create_future()
        self._queue[future] = _Waiting(item, future, time.monotonic())
        self._dispatch()
        try:
            async with asyncio.timeout(None if left == math.inf else left):
                return await future
        except TimeoutError:
            raise DeadlineExceeded("the request's deadline passed before its answer was ready") from None
        finally:
            self._queue.pop(future, None)

    def _backlog(self) -> float:
        """Seconds until the queue as it is will have been worked off."""
        return max(1.0, math.ceil(len(self._queue) / self._rate))

    def _dispatch(self) -> None:
        """Hand what waits to the workers that are free."""
        while self._idle and self._queue:
            size = min(self._max_batch, math.ceil(len(self._queue) / self._idle))
            batch = [self._queue.pop(future) for future in [*self._queue][:size]]
            self._idle -= 1
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._tasks.add(task)  # the loop itself keeps only a weak reference
            task.add_done_callback(self._tasks.discard)

    async def _run(self, batch: list[_Waiting[In, Out]]) -> None:
        started = time.monotonic()
        try:
            values = await asyncio.get_running_loop().run_in_executor(self._pool, self._call, [waiting.item for waiting in batch])
            if len(values) != len(batch):
                raise RuntimeError(f"{len(batch)} items in, {len(values)} answers out")
            ran = time.monotonic() - started
            self._learn(len(batch) / max(ran, 1e-9))
            for waiting, value in zip(batch, values, strict=True):
                if not waiting.future.done():  # its client may have left meanwhile
                    waiting.future.set_result(Outcome(value, started - waiting.since, ran, len(batch)))
        except Exception as error:  # noqa: BLE001 - whatever the call raised belongs to the batch's members
            for waiting in batch:
                if not waiting.future.done():
                    waiting.future.set_exception(error)
        finally:
            self._idle += 1
            self._dispatch()

    def _learn(self, rate: float) -> None:
        self._rate = rate if math.isinf(self._rate) else RATE_MEMORY * self._rate + (1 - RATE_MEMORY) * rate
