from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mingmu.core.errors import MingmuError
from mingmu.serve.fleet import Fleet, share
from mingmu.settings import Settings


def test_workers_share_the_processors_and_the_memory_for_answers() -> None:
    one = share(Settings(threads=8, workers=3, cache_bytes=300, max_queue=7))
    assert (one.threads, one.cache_bytes, one.max_queue) == (2, 100, 7)


async def test_a_process_that_cannot_be_started_is_an_error_that_is_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "gone"))
    with socket.socket() as listener, pytest.raises(MingmuError, match=r"no process can be started for a worker: .*No such file"):
        await Fleet(Settings(workers=2), listener, tmp_path).run()


def test_every_worker_has_a_thread() -> None:
    assert share(Settings(threads=2, workers=5)).threads == 1
