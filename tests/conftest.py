"""Fixtures that most tests share."""

from __future__ import annotations

from pathlib import Path

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
