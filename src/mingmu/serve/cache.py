"""Remembers what was read off images, and runs an image that several clients send at the same time only once."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mingmu.serve.host import Seen, Served

ENTRY_BYTES = 1024  # about what an entry takes besides its scores
SMALL = 2**20  # bytes; hashing them takes no longer than handing them to another thread

Key = tuple[str, str, bytes]


async def key_of(served: Served, image: bytes) -> Key:
    """What an answer depends on: the recognizer, the networks that it runs on here, and the image."""
    digest = hashlib.sha256(image) if len(image) <= SMALL else await asyncio.to_thread(hashlib.sha256, image)
    return served.recognizer.digest, served.recognizer.runs_on, digest.digest()


@dataclass(slots=True, eq=False)
class _Flight:
    task: asyncio.Future[Seen]
    waiting: int = 0


class Cache:
    """What was seen lately, up to a number of bytes; what was not used longest makes room."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: dict[Key, Seen] = {}  # the first is the one unused longest
        self._flights: dict[Key, _Flight] = {}

    async def see(self, key: Key, look: Callable[[], Awaitable[Seen]]) -> Seen:
        """What was seen before, or what `look` sees; who asks for the same meanwhile waits for it too.

        The work goes on as long as anybody waits for it. A failure is everybody's, and is not remembered.
        """
        if (seen := self._kept.pop(key, None)) is not None:
            self._kept[key] = seen
            return seen
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.ensure_future(look()))
            flight.task.add_done_callback(lambda done: self._landed(key, done))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._flights.pop(key, None)  # a newcomer must not wait for what is being given up
                flight.task.cancel()

    def _landed(self, key: Key, done: asyncio.Future[Seen]) -> None:
        if (flight := self._flights.get(key)) is not None and flight.task is done:
            del self._flights[key]
        if done.cancelled() or done.exception() is not None:
            return
        seen = replace(done.result(), frame=None, decoded=0.0, waited=0.0, ran=0.0, batch=0, parts={})
        self._bytes += _size(seen)
        self._kept[key] = seen
        while self._bytes > self._max_bytes:
            self._bytes -= _size(self._kept.pop(next(iter(self._kept))))


def _size(seen: Seen) -> int:
    return ENTRY_BYTES + sum(int(row.nbytes) for row in seen.reading.rows.values())
