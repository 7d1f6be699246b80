from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from mingmu.core.errors import QueueFull
from mingmu.serve.rpc.places import Places

ONE, OTHER = "ipv4:10.0.0.1:4711", "ipv6:%5B::1%5D:4711"


async def test_one_address_gets_half_of_the_places_however_many_connections_it_has() -> None:
    places = Places(4, "calls")
    async with places.one(ONE, 0), places.one("ipv4:10.0.0.1:4712", 0):
        with pytest.raises(QueueFull, match="4 calls at a time, and 2 of one address"):
            async with places.one(ONE, 0):
                pass
        async with places.one(OTHER, 0):
            pass


async def test_who_waits_too_long_is_refused() -> None:
    places = Places(2, "calls")
    async with places.one(ONE, 0), places.one(OTHER, 0):
        with pytest.raises(QueueFull):
            async with places.one("ipv4:10.0.0.2:1", 0.02):
                pass


async def test_a_place_is_handed_on_and_none_is_lost() -> None:
    places, done = Places(2, "calls"), 0

    async def call() -> None:
        nonlocal done
        async with places.one(ONE, 5):
            await asyncio.sleep(0)
            done += 1

    calls = [asyncio.create_task(call()) for _ in range(50)]
    await asyncio.sleep(0)
    calls[7].cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert done == 49
    async with AsyncExitStack() as held:
        for peer in (ONE, OTHER):
            await held.enter_async_context(places.one(peer, 0))
