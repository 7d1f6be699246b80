from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from mingmu.core.artifact import PROBES, pack_arrays, seal
from mingmu.core.errors import BadImage, DeadlineExceeded, NotExplainable, NotFound, Overloaded, QueueFull
from mingmu.core.recognizer import Network
from mingmu.registry.store import Store
from mingmu.serve.host import Host
from mingmu.settings import Settings
from tests import tiny


@pytest.fixture
async def host(data_dir: Path) -> AsyncIterator[Host]:
    host = Host(Settings(data_dir=data_dir, threads=2, reload_interval=0.02))
    await host.start("tiny")
    yield host
    await host.stop()


def top(scores: np.ndarray) -> str:
    return tiny.LABELS[int(scores.argmax())]


async def test_an_image_is_seen(host: Host, red_png: bytes) -> None:
    seen = await host.see(await host.served("tiny"), red_png)
    assert top(seen.reading.scores) == "red"
    assert seen.feature_map is None


async def test_pixels_give_the_scores_of_their_image(host: Host, red_png: bytes) -> None:
    served = await host.served("tiny")
    seen = await host.see(served, red_png)
    again = await host.see_pixels(served, seen.frame.pixels)
    np.testing.assert_array_equal(again.reading.scores, seen.reading.scores)


async def test_recognizers_of_one_backbone_share_batches_and_keep_their_own_labels(host: Host, data_dir: Path, red_png: bytes) -> None:
    store = Store(data_dir)
    backbone = store.artifact((await host.served("tiny")).recognizer.network.artifact.digest)
    other = store.add(lambda folder: tiny.seal_tiny(folder, Network.open(backbone), name="other", labels=("rot", "grün", "blau")))
    store.publish("other", other.digest)
    one, two = await host.served("tiny"), await host.served("other")
    assert one.recognizer.network is two.recognizer.network
    seen = await asyncio.gather(*(host.see(served, red_png) for served in (one, two) * 20))
    assert max(s.batch for s in seen) > 1
    solo = (await host.see(one, red_png)).reading.scores
    for each in seen:
        np.testing.assert_allclose(each.reading.scores, solo, atol=1e-6)


async def test_a_bad_image_fails_alone(host: Host, red_png: bytes) -> None:
    served = await host.served("tiny")
    good, bad = await asyncio.gather(host.see(served, red_png), host.see(served, b"junk"), return_exceptions=True)
    assert isinstance(bad, BadImage)
    assert not isinstance(good, BaseException)


async def test_a_deadline_that_has_passed_is_not_even_decoded(host: Host) -> None:
    with pytest.raises(DeadlineExceeded, match="decoded"):
        await host.see(await host.served("tiny"), b"junk", deadline=0.0)


async def test_an_explanation_is_a_picture(host: Host, red_png: bytes) -> None:
    served = await host.served("tiny")
    seen = await host.see(served, red_png, explain=True)
    assert (await host.explain(served, seen)).startswith(b"\x89PNG")
    with pytest.raises(NotExplainable):
        await host.explain(served, await host.see(served, red_png))


async def test_an_unknown_recognizer_is_not_found_and_found_once_it_exists(host: Host, data_dir: Path) -> None:
    with pytest.raises(NotFound, match="tiny"):
        await host.served("later")
    store = Store(data_dir)
    store.publish("later", store.resolve("tiny").digest)
    assert (await host.served("later")).version.version == 1


async def test_a_new_version_is_swapped_in_while_requests_run(host: Host, data_dir: Path, red_png: bytes) -> None:
    store = Store(data_dir)
    first = await host.served("tiny")
    relabelled = store.add(lambda folder: tiny.seal_tiny(folder, first.recognizer.network, labels=("r", "g", "b")))
    requests = [asyncio.create_task(host.see(await host.served("tiny"), red_png)) for _ in range(20)]
    store.publish("tiny", relabelled.digest)
    async with asyncio.timeout(10):
        while (await host.served("tiny")).version.version == 1:
            await host.see(await host.served("tiny"), red_png)
    assert (await host.served("tiny")).recognizer.manifest.labels == ("r", "g", "b")
    assert (await host.served("tiny@1")).recognizer.manifest.labels == tiny.LABELS
    assert all(top(seen.reading.scores) == "red" for seen in await asyncio.gather(*requests))


async def test_a_new_version_that_does_not_prove_itself_leaves_the_old_one_in_place(host: Host, data_dir: Path) -> None:
    store = Store(data_dir)
    network = (await host.served("tiny")).recognizer.network

    def lie(folder: Path) -> None:
        sealed = tiny.seal_tiny(folder, network, labels=("x", "y", "z"))
        (folder / PROBES).write_bytes(pack_arrays({"scores": np.full((4, 3), 1 / 3, np.float32)}))
        (folder / "manifest.json").unlink()
        seal(folder, sealed.manifest.model_copy(update={"files": {}}))

    store.publish("tiny", store.add(lie).digest)
    async with asyncio.timeout(10):
        while "tiny" not in host.problems:  # noqa: ASYNC110 - the host polls too
            await asyncio.sleep(0.01)
    assert "scores" in host.problems["tiny"]
    assert (await host.served("tiny")).version.version == 1


async def test_more_requests_than_the_limit_are_refused_before_their_body_is_read(data_dir: Path) -> None:
    host = Host(Settings(data_dir=data_dir, max_queue=2))
    with host.admitted(), host.admitted(), pytest.raises(QueueFull), host.admitted():
        pass
    with host.admitted():
        pass
    await host.stop()
    with pytest.raises(Overloaded, match="shutting down"), host.admitted():
        pass


async def test_the_recognizer_unused_longest_makes_room_and_comes_back_when_asked_for(data_dir: Path, red_png: bytes) -> None:
    store = Store(data_dir)
    for name in ("one", "two"):
        store.publish(name, store.resolve("tiny").digest)
    host = Host(Settings(data_dir=data_dir, max_loaded=2))
    await host.start()
    first = await host.served("tiny")
    for name in ("one", "tiny", "two"):
        await host.served(name)
    assert await host.served("tiny") is first  # it was used after `one`, which made room
    assert top((await host.see(await host.served("one"), red_png)).reading.scores) == "red"
    await host.stop()
