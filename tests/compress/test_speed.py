from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mingmu.compress.speed import race
from mingmu.core.errors import BadImage
from mingmu.core.network import Network
from mingmu.core.runtime import Outputs, Pixels
from tests import tiny


class Slow:
    """A network's runtime that takes its time, and counts."""

    name = "slow"

    def __init__(self, network: Network, seconds: float) -> None:
        self._runtime, self._seconds, self._lock = network.runtime, seconds, threading.Lock()
        self.outputs = network.runtime.outputs
        self.alone = 0

    def __call__(self, pixels: Pixels, outputs: Sequence[str], *, alone: bool = False) -> Outputs:
        time.sleep(self._seconds)
        with self._lock:
            self.alone += alone and len(pixels) == 1
        return self._runtime(pixels, outputs, alone=alone)


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network.open(tiny.seal_backbone(tmp_path / "backbone"))


def test_the_slower_network_has_the_lower_ratio_and_waits_longer_alone(network: Network, red_png: bytes) -> None:
    slow = Slow(network, 0.02)
    speeds = race({"a": network, "b": replace(network, runtime=slow)}, [red_png], ("features",), seconds=0.2, rounds=2)
    assert speeds["a"].ratio == 1
    assert 0 < speeds["b"].ratio < 1
    assert speeds["b"].lone_ms >= 20
    assert speeds["a"].images_per_second > speeds["b"].images_per_second
    assert slow.alone > 0


def test_what_goes_wrong_while_timing_is_said(network: Network) -> None:
    with pytest.raises(BadImage):
        race({"a": network}, [b"no picture"], ("features",), seconds=0.05, rounds=1)
