"""The galleries that requests search: kept up to date, and waited for without a thread."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Executor
from weakref import WeakValueDictionary

from mingmu.registry.galleries import Galleries
from mingmu.tasks.known import Known

log = logging.getLogger("mingmu.serve")


class Searched:
    """Galleries in memory. One that takes long to be made ready holds one thread, however many requests wait for it."""

    def __init__(self, galleries: Galleries, loaders: Executor) -> None:
        self._galleries = galleries
        self._loaders = loaders
        self._turns = WeakValueDictionary[str, asyncio.Lock]()

    async def known(self, name: str, embedder: str) -> Known:
        """The faces of a gallery; it is made ready even if whoever asked has given up. Raises NotFound, Conflict, MissingExtra."""
        return await asyncio.shield(asyncio.create_task(self._known(name, embedder)))

    async def watch(self, interval: float) -> None:
        """Look for changes every `interval` seconds, for ever: whom another process deleted, this one does not keep."""
        while True:
            await asyncio.sleep(interval)
            try:
                await asyncio.get_running_loop().run_in_executor(self._loaders, self._galleries.refresh)
            except Exception as error:
                log.error("the galleries cannot be watched", exc_info=error, extra={"problem": str(error)})

    async def _known(self, name: str, embedder: str) -> Known:
        async with self._turns.setdefault(name, asyncio.Lock()):
            return await asyncio.get_running_loop().run_in_executor(self._loaders, self._galleries.known, name, embedder)
