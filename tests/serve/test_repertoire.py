from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mingmu.core.errors import NotFound
from mingmu.core.recognizer import Recognizer
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.serve.repertoire import Repertoire
from tests import tiny, tiny_text
from tests.registry.test_tuning import choose, variant_of
from tests.registry.variants import another, retuned


class Watched(Library):
    """Notes what it opens, and only goes on when it may."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.opened: list[str] = []
        self.may = threading.Event()
        self.may.set()

    def open(self, digest: str) -> Recognizer:
        self.opened.append(digest)
        assert self.may.wait(10)
        return super().open(digest)


@pytest.fixture
def store(data_dir: Path) -> Store:
    return Store(data_dir)


@pytest.fixture
def library(store: Store) -> Watched:
    return Watched(store)


@pytest.fixture
async def repertoire(library: Watched) -> AsyncIterator[Repertoire]:
    with ThreadPoolExecutor(2) as loaders:
        repertoire = Repertoire(library, loaders, most=3)
        watching = asyncio.create_task(repertoire.watch(0.02))
        yield repertoire
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not so():  # noqa: ASYNC110 - the repertoire polls too
            await asyncio.sleep(0.01)


def version_of(repertoire: Repertoire, reference: str) -> int:
    known = repertoire.known(reference)
    return known.version.version if known else 0


def network_of(repertoire: Repertoire, reference: str) -> str:
    known = repertoire.known(reference)
    return known.recognizer.network.artifact.digest if known else ""


def parts_of(repertoire: Repertoire, reference: str) -> dict[str, str]:
    """The networks that the parts of a chain run on, by what they do."""
    known = repertoire.known(reference)
    return {does: part.network.artifact.digest for does, part in known.recognizer.parts.items()} if known else {}


async def test_a_version_that_is_published_while_the_one_before_is_being_loaded_is_served_too(
    repertoire: Repertoire, library: Watched, store: Store
) -> None:
    library.may.clear()
    loading = asyncio.create_task(repertoire.served("tiny"))
    await until(lambda: bool(library.opened))
    store.publish("tiny", another(store, 2).digest)
    await asyncio.sleep(0.1)  # the repertoire sees the change while it still loads
    library.may.set()
    assert (await loading).version.version == 1
    await until(lambda: version_of(repertoire, "tiny") == 2)


async def test_a_network_that_is_tuned_while_a_head_is_being_loaded_runs_so(repertoire: Repertoire, library: Watched, store: Store) -> None:
    await repertoire.served("tiny")
    proceed, opening = threading.Event(), threading.Event()
    library_open = Library.open

    def half(self: Library, digest: str) -> Recognizer:
        recognizer = library_open(self, digest)  # it has looked at the tunings, and found none
        opening.set()
        assert proceed.wait(10)
        return recognizer

    store.publish("other", another(store, 2).digest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Library, "open", half)
        loading = asyncio.create_task(repertoire.served("other"))
        await asyncio.to_thread(opening.wait, 10)
        variant = variant_of(store)
        choose(store, variant)
        await asyncio.sleep(0.1)
        proceed.set()
        await loading
    await until(lambda: all(network_of(repertoire, name) == variant.digest for name in ("tiny", "other")))


async def test_a_head_that_is_to_stay_on_the_sealed_network_moves_back_and_is_left_there(
    repertoire: Repertoire, library: Watched, store: Store
) -> None:
    tuning = choose(store, variant_of(store))
    version = (await repertoire.served("tiny")).version
    assert network_of(repertoire, "tiny") == tuning.chosen
    library.tunings.put(tuning.model_copy(update={"apart": (version.digest,)}))
    await until(lambda: network_of(repertoire, "tiny") == tuning.network)
    library.opened.clear()
    store.publish("other", another(store, 2).digest)
    await repertoire.served("other")
    await asyncio.sleep(0.1)  # the repertoire sees the change
    assert version.digest not in library.opened


async def test_each_part_of_a_chain_that_is_tuned_moves(repertoire: Repertoire, library: Watched, store: Store) -> None:
    version = tiny_text.publish_text(store.data_dir)
    await repertoire.served("lines")
    sealed = {part.does: part.digest for part in store.artifact(version.digest).manifest.parts}
    for does in ("reader", "locator"):
        sealed[does] = retuned(store, sealed[does]).digest
        await until(lambda: parts_of(repertoire, "lines") == sealed)
    library.opened.clear()
    store.publish("other", another(store, 2).digest)
    await asyncio.sleep(0.1)  # the repertoire sees the change
    assert not library.opened


async def test_a_change_opens_only_what_it_concerns(repertoire: Repertoire, library: Watched, store: Store) -> None:
    whole = store.add(tiny.seal_whole)
    store.publish("whole", whole.digest)
    for name in ("tiny", "tiny@1", "whole"):
        await repertoire.served(name)
    newer = another(store, 2)
    library.opened.clear()
    store.publish("tiny", newer.digest)
    await until(lambda: version_of(repertoire, "tiny") == 2)
    assert library.opened == [newer.digest]
    library.opened.clear()
    choose(store, variant_of(store))
    await until(lambda: len(library.opened) == 2)
    await asyncio.sleep(0.1)
    assert sorted(library.opened) == sorted([newer.digest, store.resolve("tiny@1").digest])


async def test_new_versions_come_before_those_that_only_move_to_another_network(
    repertoire: Repertoire, library: Watched, store: Store
) -> None:
    for name in ("one", "two"):
        store.publish(name, store.resolve("tiny").digest)
    for name in ("one", "two", "tiny"):
        await repertoire.served(name)
    library.opened.clear()
    library.may.clear()
    choose(store, variant_of(store))
    await until(lambda: bool(library.opened))  # the first of three is on its way to the variant
    newer = another(store, 2)
    store.publish("two", newer.digest)
    library.may.set()
    await until(lambda: version_of(repertoire, "two") == 2)
    assert newer.digest in library.opened[1:2]


async def test_a_name_that_is_removed_is_dropped_and_leaves_the_others(repertoire: Repertoire, store: Store) -> None:
    store.publish("gone", store.resolve("tiny").digest)
    for reference in ("gone", "gone@1", "tiny"):
        await repertoire.served(reference)
    store.remove("gone")
    await until(lambda: not repertoire.known("gone") and not repertoire.known("gone@1"))
    assert repertoire.known("tiny")


async def test_names_that_do_not_exist_push_nobody_out(repertoire: Repertoire, store: Store) -> None:
    for name in ("one", "two", "tiny"):
        store.publish(name, store.resolve("tiny").digest)
        await repertoire.served(name)
    for i in range(5):
        with contextlib.suppress(NotFound):
            await repertoire.served(f"nobody{i}")
    assert all(repertoire.known(name) for name in ("one", "two", "tiny"))
    store.publish("three", store.resolve("tiny").digest)
    await repertoire.served("three")
    assert not repertoire.known("one")
    assert len(repertoire) == 3
