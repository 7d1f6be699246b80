from __future__ import annotations

from mingmu.serve.fleet import share
from mingmu.settings import Settings


def test_workers_share_the_processors_and_the_memory_for_answers() -> None:
    one = share(Settings(threads=8, workers=3, cache_bytes=300, max_queue=7))
    assert (one.threads, one.cache_bytes, one.max_queue) == (2, 100, 7)


def test_every_worker_has_a_thread() -> None:
    assert share(Settings(threads=2, workers=5)).threads == 1
