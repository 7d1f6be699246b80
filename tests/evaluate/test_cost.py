from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from mingmu.evaluate.cost import cost
from tests.evaluate.made import picture, recognizer


def test_times_are_those_of_single_images_and_sizes_those_on_disk(tmp_path: Path) -> None:
    tiny, ticks = recognizer(tmp_path), count()
    found = cost(tiny, [picture("red"), picture("blue")], clock=lambda: next(ticks) / 1000)
    assert found.images == 2
    assert (found.median_ms, found.p95_ms) == pytest.approx((1, 1))
    assert found.head_bytes == tiny.artifact.size
    assert found.network_bytes == tiny.network.artifact.size
