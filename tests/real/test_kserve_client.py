"""KServe's own client speaks with the service."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.conftest import Process

pytestmark = pytest.mark.real
REPOSITORY = Path(__file__).parents[2]


@pytest.mark.skipif(importlib.util.find_spec("kserve") is None, reason="kserve is not installed; it brings pandas and much more along")
def test_over_rest_in_both_versions_of_its_protocol_and_over_grpc(
    start: Callable[..., Process], tmp_path: Path, red_png: bytes, blue_png: bytes
) -> None:
    process = start(grpc_port=0)
    port = re.search(r"gRPC on 127\.0\.0\.1:(\d+)", "".join(process.lines))
    assert port, process.lines
    for name, image in (("red", red_png), ("blue", blue_png)):
        (tmp_path / name).write_bytes(image)
    command = [sys.executable, "-m", "tests.real.kserve_calls", process.url, port[1], tmp_path / "red", tmp_path / "blue"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
