"""Every example in docs/doors.md does what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.conftest import Process
from tests.real.test_triton_grpc import port_of

pytestmark = pytest.mark.real

PAGE = (Path(__file__).parents[2] / "docs" / "doors.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found).replace("general", "tiny")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_for_tensorflow_serving_work(server: Process, red_png: bytes, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(red_png)
    environment, script = os.environ | {"MINGMU": server.url}, "set -euo pipefail\n" + block("sh")
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert '{"predictions":[[' in done.stdout


def test_the_program_for_grpc_works(start: Callable[..., Process], red_png: bytes, tmp_path: Path) -> None:
    pytest.importorskip("tritonclient.grpc", reason="tritonclient is not installed")
    (tmp_path / "photo.jpg").write_bytes(red_png)
    program = block("python").replace("8601", str(port_of(start(grpc_port=0))))
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "[b'red'] (1, 3)\n", done.stderr
