"""Every command in docs/http.md does what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import textwrap
import zipfile
from pathlib import Path

import pytest

from tests import tiny_faces
from tests.real.conftest import Process

pytestmark = pytest.mark.real

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
BLOCKS = [textwrap.dedent(block) for block in re.findall(r"^ *```sh\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)]
COMMANDS = [block for block in BLOCKS if "curl" in block]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_documented_command_works(server: Process, red_png: bytes, tmp_path: Path, command: str) -> None:
    if "/train" in command:
        pytest.importorskip("torch", reason="a service without torch (extra `train`) refuses to train")
    (tmp_path / "photo.jpg").write_bytes(tiny_faces.photo("ada") if "/faces" in command else red_png)
    with zipfile.ZipFile(tmp_path / "flowers.zip", "w") as archive:
        archive.writestr("rose/photo.jpg", red_png)
    script = "set -euo pipefail\n" + command.replace("general", "tiny")
    environment = os.environ | {"MINGMU": server.url}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.strip()


def test_all_commands_are_found() -> None:
    assert sum(command.count("curl ") for command in COMMANDS) == PAGE.count("curl --fail-with-body")
