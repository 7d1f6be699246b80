"""Works for a client as long as it is there and its time lasts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.types import Receive

from mingmu.core.errors import DeadlineExceeded

T = TypeVar("T")


class ClientGone(Exception):
    """The client closed the connection; nobody is left to answer."""


@asynccontextmanager
async def attended(receive: Receive, deadline: float) -> AsyncIterator[None]:
    """Cancel the block when its client leaves or its deadline, a time of `time.monotonic()`, passes.

    The request's body must have been read. Raises ClientGone or DeadlineExceeded.
    """
    task = asyncio.current_task()
    watcher = asyncio.create_task(_departure(receive))
    watcher.add_done_callback(lambda done: done.cancelled() or task is None or task.cancel())
    timeout = asyncio.timeout(max(0.0, deadline - time.monotonic()))
    try:
        async with timeout:
            yield
            if watcher.done():
                await asyncio.sleep(0)  # the cancellation that is under way must end here, not at whatever comes next
    except TimeoutError:
        if timeout.expired():
            raise DeadlineExceeded("the request's deadline passed before its answer was ready") from None
        raise
    except asyncio.CancelledError:
        if task is not None and watcher.done() and not watcher.cancelled():
            task.uncancel()
            raise ClientGone from None
        raise
    finally:
        watcher.cancel()


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def together(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all calls, run at the same time; the first that fails ends the others, and its error is raised."""
    if len(calls) == 1:
        return [await calls[0]]
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
