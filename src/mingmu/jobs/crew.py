"""Keeps workers running beside a service, each in a process of its own, and leaves none behind."""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mingmu.settings import Settings

log = logging.getLogger("mingmu.jobs")

PAUSE = 1.0  # seconds until a worker that died is replaced
PATIENCE = 10.0  # seconds that a worker has to put its job back


@contextmanager
def crew(settings: Settings) -> Iterator[None]:
    """Run as many workers as the setting `job_workers` says for as long as the block runs."""
    host = f"{platform.node()}-{os.getpid()}"
    posts = [_Post(settings, f"{host}-{number}") for number in range(settings.job_workers)]
    try:
        yield
    finally:
        for post in posts:
            post.close()
        for post in posts:
            post.join()


class _Post:
    """The place of one worker: when it dies, another takes its place and its name."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._words = json.dumps({"name": name, "settings": settings.model_dump(mode="json")}).encode() + b"\n"
        self._name = name
        self._closing = threading.Event()
        self._worker = self._start()
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Tell the worker to stop."""
        self._closing.set()
        _let_go(self._worker)

    def join(self) -> None:
        """Wait until it has stopped; kill it if that takes too long."""
        try:
            self._worker.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._worker.kill()
        self._thread.join()

    def _keep(self) -> None:
        while True:
            code = self._worker.wait()
            if self._closing.wait(PAUSE):
                return _let_go(self._worker)
            log.error("a worker died; another takes its place", extra={"worker": self._name, "exit_code": code})
            _let_go(self._worker)
            self._worker = self._start()
            if self._closing.is_set():  # meanwhile
                _let_go(self._worker)

    def _start(self) -> subprocess.Popen[bytes]:
        # -P: what lies in the current folder must not stand in for our modules
        worker = subprocess.Popen([sys.executable, "-P", "-m", "mingmu.jobs"], stdin=subprocess.PIPE)
        try:
            worker.stdin.write(self._words)  # type: ignore[union-attr]
            worker.stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError:
            pass  # it died already; `_keep` sees to it
        return worker


def _let_go(worker: subprocess.Popen[bytes]) -> None:
    """Close what tells a worker that we live."""
    if worker.stdin:
        with suppress(BrokenPipeError):
            worker.stdin.close()
