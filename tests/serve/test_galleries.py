from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mingmu.core.errors import NotFound
from mingmu.registry.galleries import Galleries
from mingmu.registry.store import Store
from mingmu.serve.galleries import Searched
from mingmu.tasks.known import Exact, Known
from tests.registry.test_galleries import ONE, vectors


class Slow(Galleries):
    """Galleries of which one takes long to be made ready."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.index)
        self.go_on = threading.Event()

    def known(self, name: str, embedder: str) -> Known:
        if name == "large":
            assert self.go_on.wait(20)
        return super().known(name, embedder)


async def test_whoever_waits_for_a_large_gallery_keeps_nobody_from_another(tmp_path: Path) -> None:
    galleries = Slow(Store(tmp_path))
    for name in ("large", "family"):
        galleries.enrol(name, ONE, "Ada", vectors(1))
    with ThreadPoolExecutor(2) as loaders:
        searched = Searched(galleries, loaders)
        waiting = [asyncio.create_task(searched.known("large", ONE)) for _ in range(5)]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(searched.known("large", ONE), 0.05)
        assert (await asyncio.wait_for(searched.known("family", ONE), 10)).people == ("Ada",)
        with pytest.raises(NotFound):
            await searched.known("friends", ONE)
        galleries.go_on.set()
        assert [len(each) for each in await asyncio.gather(*waiting)] == [1] * 5


async def test_whom_another_process_deletes_is_soon_in_memory_no_more(tmp_path: Path) -> None:
    other, galleries = Store(tmp_path).galleries, Store(tmp_path).galleries
    other.enrol("family", ONE, "Ada", vectors(1))
    with ThreadPoolExecutor(1) as loaders:
        searched = Searched(galleries, loaders)
        search = (await searched.known("family", ONE)).search
        assert isinstance(search, Exact)
        there = weakref.ref(search.vectors)
        del search
        watcher = asyncio.create_task(searched.watch(0.02))
        other.remove_person("family", "Ada")
        for _ in range(200):
            await asyncio.sleep(0.02)
            gc.collect()
            if there() is None:
                break
        watcher.cancel()
        assert there() is None
