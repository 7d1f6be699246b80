from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mingmu.core.answers import Wish
from mingmu.core.artifact import PROBES, pack_arrays, seal
from mingmu.core.errors import BadImage, DeadlineExceeded, NotExplainable, NotFound
from mingmu.core.manifest import Manifest
from mingmu.core.network import Network
from mingmu.core.pipeline import Chained, Road
from mingmu.core.pixels import Frame, PixelSpec
from mingmu.core.recognizer import Recognizer
from mingmu.core.runtime import OnnxRuntime, Outputs, Pixels
from mingmu.core.sealing import seal_head, seal_network
from mingmu.registry.store import Store, Version
from mingmu.registry.tuning import Tunings
from mingmu.serve.host import Host
from mingmu.settings import Settings
from tests import tiny, tiny_text
from tests.registry.test_tuning import choose, variant_of


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
    assert seen.frame is not None
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


async def test_each_answer_of_a_batch_is_what_its_image_gets_alone(data_dir: Path) -> None:
    """One batch of six different images for two heads that score differently, in an order that is not its own reverse."""
    store = Store(data_dir)
    backbone = store.artifact(store.artifact(store.resolve("tiny").digest).manifest.head.backbone)  # type: ignore[union-attr]
    network = Network.open(backbone)
    turned = tiny.head_manifest(backbone, name="turned", labels=("vert", "bleu", "rouge"), temperature=0.3)
    weight = np.roll(np.eye(3, dtype=np.float32), 2, axis=1)
    store.publish("turned", store.add(lambda folder: seal_head(folder, turned, weight, np.zeros(3, np.float32), network)).digest)
    host = Host(Settings(data_dir=data_dir, threads=1))
    await host.start()
    tiny_, turned_ = await host.served("tiny"), await host.served("turned")
    whose = [tiny_, turned_, turned_, tiny_, turned_, tiny_]
    images = [np.full((8, 8, 3), colour, np.uint8) for colour in np.random.default_rng(0).integers(0, 256, (6, 3))]
    alone = [await host.see_pixels(served, image) for served, image in zip(whose, images, strict=True)]
    busy = asyncio.create_task(host.see_pixels(tiny_, np.zeros((8, 8, 3), np.uint8)))
    await asyncio.sleep(0)  # the one worker has something to do: what comes now gathers, perhaps with this one
    batch = await asyncio.gather(*(host.see_pixels(served, image) for served, image in zip(whose, images, strict=True)))
    await busy
    assert min(seen.batch for seen in batch) >= 6
    assert len({seen.reading.scores.tobytes() for seen in alone}) == 6
    for served, solo, seen in zip(whose, alone, batch, strict=True):
        np.testing.assert_allclose(seen.reading.scores, solo.reading.scores, atol=1e-6)
        answers = [tiny.labels_of(served.recognizer.interpret(each.reading, Wish(top=3))) for each in (solo, seen)]
        assert [label.label for label in answers[0]] == [label.label for label in answers[1]]
        assert {label.label for label in answers[1]} == {*served.recognizer.manifest.labels}
    await host.stop()


async def test_images_of_one_request_never_keep_the_decoders_from_others(
    data_dir: Path, red_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(Settings(data_dir=data_dir, threads=2))
    await host.start()
    served = await host.served("tiny")
    order: list[bytes] = []

    def frame(_: Recognizer, image: bytes) -> Frame:
        order.append(image)
        time.sleep(0.02)
        return PixelSpec(size=(8, 8)).frame(red_png)

    monkeypatch.setattr(Recognizer, "frame", frame)
    turns = host.turns()
    form = [asyncio.create_task(host.see(served, b"form", turns=turns)) for _ in range(32)]
    await asyncio.sleep(0.01)
    await host.see(served, b"alone", turns=host.turns())
    assert order.index(b"alone") <= 4
    await asyncio.gather(*form)
    await host.stop()


class Counting:
    """A chain that notes how many pictures are in work."""

    def __init__(self, chain: Chained) -> None:
        self.chain, self.now, self.most = chain, 0, 0

    def road(self, parts: Mapping[str, Recognizer], frame: Frame, manifest: Manifest) -> Road[Outputs]:
        self.now += 1
        self.most = max(self.most, self.now)
        found = yield from self.chain.road(parts, frame, manifest)
        self.now -= 1
        return found


async def test_few_pictures_of_chains_are_in_memory_however_many_requests_there_are(data_dir: Path) -> None:
    tiny_text.publish_text(data_dir)
    host = Host(Settings(data_dir=data_dir, threads=2))
    await host.start()
    served = await host.served("lines")
    assert served.recognizer.chain is not None
    counting = Counting(served.recognizer.chain)
    counted = replace(served, recognizer=replace(served.recognizer, chain=counting))
    seen = await asyncio.gather(*(host.see(counted, tiny_text.picture("RGR")) for _ in range(24)))
    assert 1 < counting.most <= 4
    assert {counted.recognizer.interpret(each.reading).document()["texts"][0]["text"] for each in seen} == {"RGR"}
    await host.stop()


async def test_the_watch_survives_whatever_happens_to_it(host: Host, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(data_dir)
    failed = 0

    def resolve(reference: str) -> Version:
        nonlocal failed
        failed += 1
        if failed < 3:
            raise OSError("the disk is away")
        return store.resolve(reference)

    monkeypatch.setattr(host.store, "resolve", resolve)
    monkeypatch.setattr(host.store, "revision", lambda: store.revision() if failed else 1 // 0)
    network = (await host.served("tiny")).recognizer.network
    store.publish("tiny", store.add(lambda folder: tiny.seal_tiny(folder, network, labels=("r", "g", "b"))).digest)
    await asyncio.sleep(0.1)
    failed = max(failed, 1)
    async with asyncio.timeout(10):
        while (await host.served("tiny")).version.version == 1:  # noqa: ASYNC110 - the host polls too
            await asyncio.sleep(0.01)
    assert failed >= 3
    assert host.problems == {}


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


async def test_a_network_that_is_tuned_runs_so_without_a_restart_and_answers_all_the_while(
    host: Host, data_dir: Path, red_png: bytes
) -> None:
    store, before = Store(data_dir), (await host.served("tiny")).recognizer.network
    variant = variant_of(store)
    choose(store, variant)
    async with asyncio.timeout(10):
        while (await host.served("tiny")).recognizer.network is before:
            assert top((await host.see(await host.served("tiny"), red_png)).reading.scores) == "red"
    assert (await host.served("tiny")).recognizer.network.artifact.digest == variant.digest
    Tunings(data_dir).forget(before.artifact.digest)
    async with asyncio.timeout(10):
        while (await host.served("tiny")).recognizer.network.artifact.digest == variant.digest:  # noqa: ASYNC110 - the host polls too
            await asyncio.sleep(0.01)


def damage_tunings(data_dir: Path) -> None:
    for file in data_dir.glob("tuning/*/*.json"):
        file.write_text("{")


async def test_how_a_recognizer_runs_is_told_even_where_its_tuning_file_is_damaged(host: Host, data_dir: Path) -> None:
    store = Store(data_dir)
    choose(store, variant_of(store))
    damage_tunings(data_dir)
    told = host.running("tiny", store.artifact(store.resolve("tiny").digest))
    assert told["tuning"] is None
    assert str(told["runs"]).startswith("onnxruntime")


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


def whole(store: Store, name: str, number: int) -> None:
    """Publish a whole model whose network is its own."""
    manifest = Manifest(kind="model", name="whole", task="classify", pixels=tiny.PIXELS, labels=tiny.LABELS, origin=tiny.ORIGIN)
    store.publish(name, store.add(lambda folder: seal_network(folder, manifest, tiny.whole_graph(1 + number / 100))).digest)


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not so():  # noqa: ASYNC110 - threads bring it about
            await asyncio.sleep(0.001)


def gone(network: weakref.ref[Network]) -> bool:
    gc.collect()
    return network() is None


async def test_a_network_leaves_memory_with_its_recognizer(data_dir: Path, red_png: bytes) -> None:
    for number in range(3):
        whole(Store(data_dir), f"w{number}", number)
    host = Host(Settings(data_dir=data_dir, threads=2, max_loaded=1))
    await host.start()
    networks = []
    for number in range(3):
        served = await host.served(f"w{number}")
        await host.see(served, red_png)
        networks.append(weakref.ref(served.recognizer.network))
    del served
    await until(lambda: gone(networks[0]) and gone(networks[1]))
    assert not gone(networks[2])
    host.forget("w2")
    await until(lambda: gone(networks[2]))
    await host.stop()


async def test_a_network_leaves_memory_even_if_images_still_waited_for_it_when_it_was_replaced(data_dir: Path, red_png: bytes) -> None:
    store = Store(data_dir)
    whole(store, "w", 0)
    host = Host(Settings(data_dir=data_dir, threads=1, reload_interval=0.02))
    await host.start()
    served = await host.served("w")
    network = weakref.ref(served.recognizer.network)
    slow = Slow()
    object.__setattr__(served.recognizer.network, "runtime", slow)
    seeing = [asyncio.create_task(host.see(served, red_png))]
    await until(lambda: bool(slow.alone))
    seeing += [asyncio.create_task(host.see(served, red_png)) for _ in range(3)]
    whole(store, "w", 1)
    async with asyncio.timeout(10):
        while (await host.served("w")).version.version == 1:  # noqa: ASYNC110 - the host polls too
            await asyncio.sleep(0.01)
    assert host.waiting()["w"] == 3
    slow.may.set()
    await asyncio.gather(*seeing)
    seeing.clear()
    del served
    await until(lambda: gone(network))
    await host.stop()


class Slow:
    """A runtime that answers only once it may, and remembers which calls were alone."""

    name = "slow"
    outputs = ("scores",)

    def __init__(self) -> None:
        self.may = threading.Event()
        self.alone: list[bool] = []
        self._runtime = OnnxRuntime(tiny.whole_graph())

    def __call__(self, pixels: Pixels, outputs: Sequence[str], *, alone: bool = False) -> Outputs:
        self.alone.append(alone)
        assert self.may.wait(10)
        return self._runtime(pixels, outputs)


async def test_two_networks_are_never_alone_at_once(data_dir: Path, red_png: bytes) -> None:
    for number in range(2):
        whole(Store(data_dir), f"w{number}", number)
    host = Host(Settings(data_dir=data_dir, threads=2))
    await host.start()
    slow = Slow()
    seeing = []
    for name in ("w0", "w1"):
        served = await host.served(name)
        object.__setattr__(served.recognizer.network, "runtime", slow)
        seeing.append(asyncio.create_task(host.see(served, red_png)))
        await until(lambda: len(slow.alone) == len(seeing))
    slow.may.set()
    await asyncio.gather(*seeing)
    assert slow.alone == [True, False]
    await host.stop()
