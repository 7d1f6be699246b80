"""One stream of the gRPC service: any number of requests, worked on together, answered in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from mingmu.core.errors import SlowBody

IN_FLIGHT = 32  # requests of one stream that are worked on at a time


class Stream:
    """One call that reads messages and writes what `answer` makes of each; `context` is gRPC's.

    It ends when its client has no more to send, or after `patience` seconds in which the client neither sends a message while
    nothing is in work for it, nor takes its answer.
    """

    def __init__(self, context: Any, answer: Callable[[bytes, Any], Coroutine[Any, Any, Any]], patience: float) -> None:
        self._context = context
        self._answer = answer
        self._patience = patience
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._answers: asyncio.Queue[asyncio.Task[Any] | None] = asyncio.Queue()
        self._message: asyncio.Task[bytes | None] | None = None  # the next one, which is waited for
        self._moved = time.monotonic()  # when the last answer went out
        self._overdue = False

    async def run(self) -> None:
        """Answer until the stream ends; raises SlowBody."""
        reader = asyncio.create_task(self._read())
        reader.add_done_callback(lambda _: self._answers.put_nowait(None))
        try:
            while task := await self._answers.get():
                await self._write(await task)
                self._room.release()
        finally:
            for left in (reader, *self._tasks):
                left.cancel()
        if self._overdue:
            raise SlowBody(f"no message arrived within {self._patience:g} s (settings: body_timeout)")

    def end(self) -> None:
        """Wait for no more messages; those that are in are answered."""
        if self._message:
            self._message.cancel()

    async def _read(self) -> None:
        while (data := await self._next()) is not None:
            await self._room.acquire()
            task = asyncio.create_task(self._answer(data, self._context))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            self._answers.put_nowait(task)

    async def _next(self) -> bytes | None:
        """The next message; None when there are no more, or none came in time."""
        self._message = message = asyncio.create_task(next_of(self._context))
        left = self._patience
        try:
            while left > 0:
                await asyncio.wait({message}, timeout=left)
                if message.done():
                    return None if message.cancelled() else message.result()
                idle = 0.0 if self._tasks else time.monotonic() - self._moved
                left = self._patience - idle
            self._overdue = True
            return None
        finally:
            message.cancel()

    async def _write(self, answer: Any) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._context.write(answer.SerializeToString())
        except TimeoutError:
            raise SlowBody(f"the client did not take its answer within {self._patience:g} s (settings: body_timeout)") from None
        self._moved = time.monotonic()


async def next_of(context: Any) -> bytes | None:
    """A call's next message; None when there are no more. gRPC's iterator of messages would keep the last one alive."""
    data = await context.read()
    return data if isinstance(data, bytes) else None
