"""Who is let in: so many requests in work, so many whose body is being read, so much memory for their bodies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from mingmu.core.errors import Overloaded, QueueFull
from mingmu.serve.bodies import BODIES_IN_MEMORY, Budget, Take
from mingmu.settings import Settings

MAX_UNREAD = 4096  # requests whose body is being read; each takes a few kilobytes besides it


class Admission:
    """Counts who is in."""

    def __init__(self, settings: Settings) -> None:
        self._most = settings.max_queue
        self.budget = Budget(BODIES_IN_MEMORY * settings.max_body_bytes)
        self._admitted = 0  # requests that were let in
        self._working = 0  # those of them whose body is in
        self._empty = asyncio.Event()
        self.closing = False

    def close(self) -> None:
        """Refuse newcomers from now on. Safe to call from a signal handler."""
        self.closing = True

    async def emptied(self) -> None:
        """Wait until everyone who is in has been answered."""
        if self._admitted:
            self._empty.clear()
            await self._empty.wait()

    @contextmanager
    def admitted(self) -> Iterator[Take]:
        """Let one request in, before its body is read; gives what takes memory for that. Raises QueueFull or Overloaded.

        It does not count as work yet: a client that sends its body slowly must take nobody's place.
        """
        if self.closing:
            raise Overloaded("the service is shutting down")
        self._check_room()
        if self._admitted - self._working >= MAX_UNREAD:
            raise QueueFull(f"the bodies of {MAX_UNREAD} requests are being read already; that is the limit")
        self._admitted += 1
        try:
            with self.budget.hold() as take:
                yield take
        finally:
            self._admitted -= 1
            if not self._admitted:
                self._empty.set()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count a request that was let in as work, now that its body is in; raises QueueFull."""
        self._check_room()
        self._working += 1
        try:
            yield
        finally:
            self._working -= 1

    def _check_room(self) -> None:
        if self._working >= self._most:
            raise QueueFull(f"{self._working} requests are already in work; that is the limit (settings: max_queue)")
