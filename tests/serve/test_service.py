from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path

from mingmu.serve.http import create_app
from mingmu.serve.service import SMALL_BODY, Call, Service
from mingmu.serve.telemetry import Visit
from mingmu.settings import Settings


def call_of(body: bytes) -> Call:
    return Call(body, 0.0, lambda _: None, Visit("1", method="POST", path="/"), asyncio.Semaphore())


async def test_large_json_is_taken_apart_by_one_thread_without_garbage_collections(data_dir: Path) -> None:
    service: Service = create_app(Settings(data_dir=data_dir)).state.service
    large = call_of(bytes(SMALL_BODY + 1))
    at_a_time, most = 0, 0

    def parse() -> tuple[int, bool]:
        nonlocal at_a_time, most
        at_a_time += 1
        most = max(most, at_a_time)
        threading.Event().wait(0.005)
        at_a_time -= 1
        return threading.get_ident(), gc.isenabled()

    read = await asyncio.gather(*(service.read(large, parse) for _ in range(5)))
    assert most == 1
    assert len({*read}) == 1
    assert (threading.get_ident(), False) not in read
    assert gc.isenabled()


async def test_a_small_one_is_not_handed_to_another_thread(data_dir: Path) -> None:
    service: Service = create_app(Settings(data_dir=data_dir)).state.service
    assert await service.read(call_of(b"{}"), threading.get_ident) == threading.get_ident()
