"""The service as a process of its own, on a real socket."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mingmu.core.network import Network
from mingmu.registry.store import Store
from tests import tiny, tiny_faces

PROGRAM = "import os; from mingmu.serve.server import run; from mingmu.settings import Settings; run(Settings.load(os.environ))"


@dataclass
class Process:
    """A running service."""

    popen: subprocess.Popen[str]
    host: str = ""
    port: int = 0
    scheme: str = "http"
    lines: list[str] = field(default_factory=list)  # what it wrote to stderr
    _reader: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    def wait_until_ready(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.lines.append(line)
            ready = re.search(r"ready on (https?)://([^:]+):(\d+)", line)
            if ready:
                self.scheme, self.host, self.port = ready[1], ready[2], int(ready[3])
                self._reader = threading.Thread(target=lambda: self.lines.extend(self.popen.stderr or []), daemon=True)
                self._reader.start()
                return
        raise RuntimeError(f"the service did not start: {''.join(self.lines)}")

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; its exit code."""
        self.popen.send_signal(sig)
        return self.popen.wait(30)

    def end(self) -> None:
        """Make sure that nothing of it is left."""
        self.popen.kill()
        self.popen.wait()
        if self._reader:
            self._reader.join()
        if self.popen.stderr:
            self.popen.stderr.close()


@pytest.fixture(scope="session")
def tiny_dir(tmp_path_factory: pytest.TempPathFactory, red_png: bytes) -> Path:
    """A data folder with the recognizer `tiny`, taught on the dataset `flowers` and measured, and the parts of faces with a gallery `tiny`.

    For tests that change none of these.
    """
    store = Store(tmp_path_factory.mktemp("real") / "data")
    network = Network.open(store.add(tiny.seal_backbone))
    version = store.publish("tiny", store.add(lambda folder: tiny.seal_tiny(folder, network)).digest)
    row = {"image": store.blobs.put(red_png), "labels": ["red"], "name": "red.png", "split": None, "group": None, "regions": []}
    dataset = store.datasets.add("flowers", "d" * 64, json.dumps(row).encode())
    store.records.add_lineage(version.digest, dataset.digest, {})
    store.records.add_report(version.digest, dataset.digest, b'{"schema": "mingmu-report/1"}')
    store.galleries.create("tiny", tiny_faces.publish(store.data_dir))
    return store.data_dir


def launch(data_dir: Path, pythonpath: Path | None = None, /, **settings: object) -> Process:
    """Start a service on a free port; modules in `pythonpath` come before those that are installed."""
    chosen = {"data_dir": data_dir, "port": 0, "threads": 2, "workers": 1} | settings
    environment = os.environ | {f"MINGMU_{name.upper()}": str(value) for name, value in chosen.items()}
    if pythonpath:
        environment["PYTHONPATH"] = str(pythonpath)
    return Process(subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stderr=subprocess.PIPE, text=True))


@pytest.fixture(scope="session")
def server(tiny_dir: Path) -> Iterator[Process]:
    """One service for all tests that neither stop it nor need settings of their own."""
    process = launch(tiny_dir)
    process.wait_until_ready()
    yield process
    process.end()


@pytest.fixture
def start(tiny_dir: Path) -> Iterator[Callable[..., Process]]:
    """Start a service with some settings of its own; whatever still runs at the end is killed."""
    started: list[Process] = []

    def start(**settings: object) -> Process:
        started.append(launch(tiny_dir, **settings))
        started[-1].wait_until_ready()
        return started[-1]

    yield start
    for process in started:
        process.end()
