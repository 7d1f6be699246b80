from __future__ import annotations

import asyncio
import contextlib

import pytest

from mingmu.core.errors import Overloaded, QueueFull
from mingmu.serve.admission import Admission
from mingmu.settings import Settings


def test_more_requests_than_the_limit_are_refused_before_their_body_is_read() -> None:
    door = Admission(Settings(max_queue=2))
    with door.admitted(), door.working(), door.admitted(), door.working(), pytest.raises(QueueFull), door.admitted():
        pass
    with door.admitted(), door.working():
        pass


def test_nobody_is_let_in_once_it_is_closed() -> None:
    door = Admission(Settings())
    door.close()
    with pytest.raises(Overloaded, match="shutting down"), door.admitted():
        pass


def test_requests_whose_body_is_not_in_take_nobody_s_place() -> None:
    door = Admission(Settings(max_queue=1))
    with contextlib.ExitStack() as slow:
        for _ in range(300):
            slow.enter_context(door.admitted())
        with door.admitted(), door.working():
            pass


def test_the_memory_for_bodies_is_shared_and_given_back() -> None:
    door = Admission(Settings(max_body_bytes=100, max_image_bytes=100))
    with door.admitted() as take:
        take(700)
        with door.admitted() as other, pytest.raises(QueueFull, match="memory"):
            other(101)
    with door.admitted() as take:
        take(800)


async def test_it_is_empty_when_the_last_one_has_left() -> None:
    door = Admission(Settings())
    with door.admitted():
        waiting = asyncio.create_task(door.emptied())
        await asyncio.sleep(0.05)
        with door.working():
            assert not waiting.done()
    await asyncio.wait_for(waiting, 5)
