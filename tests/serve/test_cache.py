from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from mingmu.core.errors import BadImage
from mingmu.core.pixels import Frame, encode_png
from mingmu.core.recognizer import Recognizer
from mingmu.core.sealing import seal_head
from mingmu.registry.store import Store
from mingmu.serve.cache import ENTRY_BYTES
from mingmu.serve.host import Host
from mingmu.settings import Settings
from tests import tiny, tiny_text
from tests.registry.variants import retuned
from tests.serve.test_host import top


@pytest.fixture
async def host(data_dir: Path) -> AsyncIterator[Host]:
    host = Host(Settings(data_dir=data_dir, threads=2, reload_interval=0.02, cache_bytes=2**20))
    await host.start("tiny")
    yield host
    await host.stop()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The images that were decoded, each slowly."""
    images: list[bytes] = []
    frame = Recognizer.frame

    def slowly(recognizer: Recognizer, image: bytes) -> Frame:
        images.append(image)
        time.sleep(0.05)
        return frame(recognizer, image)

    monkeypatch.setattr(Recognizer, "frame", slowly)
    return images


async def test_the_second_time_an_image_is_remembered(host: Host, red_png: bytes, decoded: list[bytes]) -> None:
    served = await host.served("tiny")
    first, second = [await host.see(served, red_png) for _ in range(2)]
    assert len(decoded) == 1
    assert first.frame is not None
    assert second.frame is None
    np.testing.assert_array_equal(first.reading.scores, second.reading.scores)


async def test_the_same_image_at_the_same_time_is_run_once(host: Host, red_png: bytes, decoded: list[bytes]) -> None:
    served = await host.served("tiny")
    seen = await asyncio.gather(*(host.see(served, red_png) for _ in range(10)))
    assert len(decoded) == 1
    assert {top(each.reading.scores) for each in seen} == {"red"}


async def test_a_client_that_leaves_takes_nothing_from_those_who_stay(host: Host, red_png: bytes, decoded: list[bytes]) -> None:
    served = await host.served("tiny")
    leaver, stayer = asyncio.create_task(host.see(served, red_png)), asyncio.create_task(host.see(served, red_png))
    await asyncio.sleep(0.01)
    leaver.cancel()
    assert top((await stayer).reading.scores) == "red"
    assert len(decoded) == 1


async def test_an_image_that_everyone_has_left_can_be_asked_for_again(host: Host, red_png: bytes, decoded: list[bytes]) -> None:
    served = await host.served("tiny")
    leaver = asyncio.create_task(host.see(served, red_png))
    await asyncio.sleep(0.01)
    leaver.cancel()
    assert top((await host.see(served, red_png)).reading.scores) == "red"


async def test_a_failure_is_not_remembered(host: Host, decoded: list[bytes]) -> None:
    served = await host.served("tiny")
    for _ in range(2):
        with pytest.raises(BadImage):
            await host.see(served, b"junk")
    assert len(decoded) == 2


async def test_a_new_version_does_not_answer_from_the_memory_of_the_old(host: Host, data_dir: Path, red_png: bytes) -> None:
    store, old = Store(data_dir), await host.served("tiny")
    assert (await host.see(old, red_png)).frame is not None
    network = old.recognizer.network
    colder = tiny.head_manifest(network.artifact, temperature=0.5)
    store.publish(
        "tiny", store.add(lambda folder: seal_head(folder, colder, np.eye(3, dtype=np.float32), np.zeros(3, np.float32), network)).digest
    )
    async with asyncio.timeout(10):
        while (new := await host.served("tiny")).version.version == 1:  # noqa: ASYNC110 - the host polls too
            await asyncio.sleep(0.01)
    seen = await host.see(new, red_png)
    assert seen.frame is not None
    assert not np.allclose(seen.reading.scores, (await host.see(old, red_png)).reading.scores)


async def test_a_chain_of_which_a_part_was_tuned_does_not_answer_from_the_memory_of_before(host: Host, data_dir: Path) -> None:
    store, version = Store(data_dir), tiny_text.publish_text(data_dir)
    before = await host.served("lines")
    assert [(await host.see(before, tiny_text.picture())).batch for _ in range(2)] == [1, 0]
    retuned(store, store.artifact(version.digest).manifest.parts[-1].digest)
    async with asyncio.timeout(10):
        while (after := await host.served("lines")) is before:  # noqa: ASYNC110 - the host polls too
            await asyncio.sleep(0.01)
    assert [(await host.see(served, tiny_text.picture())).batch for served in (after, after, before)] == [1, 0, 0]


async def test_memory_is_bounded_and_what_was_not_used_longest_makes_room(data_dir: Path, decoded: list[bytes]) -> None:
    room = 2 * (ENTRY_BYTES + 4 * len(tiny.LABELS))
    host = Host(Settings(data_dir=data_dir, threads=1, cache_bytes=room))
    await host.start("tiny")
    served = await host.served("tiny")
    red, green, blue = (encode_png(np.full((4, 4, 3), colour, np.uint8)) for colour in ((9, 0, 0), (0, 9, 0), (0, 0, 9)))
    for image in (red, green, red, blue, red, green):
        await host.see(served, image)
    assert decoded == [red, green, blue, green]
    await host.stop()


async def test_without_the_setting_every_image_is_looked_at(data_dir: Path, red_png: bytes, decoded: list[bytes]) -> None:
    host = Host(Settings(data_dir=data_dir, threads=1))
    await host.start("tiny")
    for _ in range(2):
        await host.see(await host.served("tiny"), red_png)
    assert len(decoded) == 2
    await host.stop()
