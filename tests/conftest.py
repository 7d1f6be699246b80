"""Fixtures that most tests share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from mingmu.core.network import Network
from mingmu.core.pixels import encode_png
from mingmu.registry.store import Store
from tests import tiny


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder with one recognizer, `tiny`: labels red, green, blue; 8x8 pixels."""
    store = Store(tmp_path / "data")
    backbone = store.add(tiny.seal_backbone)
    network = Network.open(backbone)
    head = store.add(lambda folder: tiny.seal_tiny(folder, network))
    store.publish("tiny", head.digest)
    return store.data_dir


@pytest.fixture(scope="session")
def red_png() -> bytes:
    """A red picture, 40x30."""
    return encode_png(np.full((30, 40, 3), (250, 10, 10), np.uint8))


@pytest.fixture(scope="session")
def blue_png() -> bytes:
    """A blue picture, 40x30."""
    return encode_png(np.full((30, 40, 3), (10, 10, 250), np.uint8))


S3_SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 of our own, in a process of its own."""
    with subprocess.Popen([sys.executable, "-c", S3_SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()  # it ends


@pytest.fixture
def s3_bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket in S3, which the environment leads to."""
    said = {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    files = fsspec.filesystem("s3")
    files.mkdir("bucket")
    yield "s3://bucket"
    files.rm("bucket", recursive=True)
    fsspec.filesystem("s3").clear_instance_cache()
