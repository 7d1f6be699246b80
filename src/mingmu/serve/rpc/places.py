"""Bounds what may come in at a time, in all and from one address, so that no client takes all places."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from mingmu.core.errors import QueueFull


class Places:
    """So many places, half of them at most for one address."""

    def __init__(self, most: int, what: str) -> None:
        self._what = what
        self._most, self._share = most, (most + 1) // 2
        self._all = asyncio.Semaphore(most)
        self._of = WeakValueDictionary[str, asyncio.Semaphore]()  # by address; gone with the last who holds a place, or waits

    @asynccontextmanager
    async def one(self, peer: str, patience: float) -> AsyncIterator[None]:
        """The block has a place; raises QueueFull if none was free for `patience` seconds. `peer` is gRPC's: "ipv4:10.0.0.1:4711"."""
        of_address = self._of.setdefault(peer.rpartition(":")[0], asyncio.Semaphore(self._share))
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(patience):
                    await held.enter_async_context(of_address)
                    await held.enter_async_context(self._all)
            except TimeoutError:
                raise QueueFull(f"there may be {self._most} {self._what} at a time, and {self._share} of one address; try again") from None
            yield
