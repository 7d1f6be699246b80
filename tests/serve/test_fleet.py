from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mingmu.core.errors import MingmuError
from mingmu.serve.fleet import Fleet, share
from mingmu.settings import Settings


def test_workers_share_what_may_wait_and_the_memory_for_answers() -> None:
    one = share(Settings(workers=3, cache_bytes=300, max_queue=600, max_images=64))
    assert (one.cache_bytes, one.max_queue) == (100, 200)


def test_a_request_finds_room_in_one_worker_however_many_there_are() -> None:
    assert share(Settings(workers=8, max_queue=256, max_images=64)).max_queue == 64
    assert share(Settings(workers=8, max_queue=16, max_images=64)).max_queue == 16


async def test_a_process_that_cannot_be_started_is_an_error_that_is_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "gone"))
    with socket.socket() as listener, pytest.raises(MingmuError, match=r"no process can be started for a worker: .*No such file"):
        await Fleet(Settings(workers=2), listener, tmp_path).run()
