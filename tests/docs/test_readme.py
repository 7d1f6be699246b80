"""The blocks of the README and of the tutorial, run in order as a reader would, with a service on a free port.

`bash` and `python` blocks are run; a `text` block is what the block before it prints, in a pipe; with … at its end, what it begins with.
Others are only shown.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mingmu import demo
from mingmu.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/tutorial.md")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\d+\.\d+")
CHANGES = re.compile(r"\b[0-9a-f]{12}(?:[0-9a-f]{52})?\b|\d{4}-\d\d-\d\dT\S+")  # digests of what is learned, and times

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def url(data_dir: Path) -> Iterator[str]:
    """A running service on that data folder."""
    with demo.service(data_dir) as (url, _):
        yield url


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run_in_order(page: str, data_dir: Path, url: str, tmp_path: Path) -> None:
    if not shutil.which("curl") or not shutil.which("bash"):
        pytest.skip("the blocks need curl and bash, and one of them is not installed")
    (tmp_path / "src").symlink_to(ROOT / "src")
    blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert {"bash", "python"} <= {language for language, _ in blocks}
    printed = ""
    for language, block in blocks:
        if language == "text":
            assert_printed(printed, block)
        elif language in ("bash", "python"):
            printed = run(language, block.replace(default_url(), url), tmp_path, data_dir)


def run(language: str, block: str, folder: Path, data_dir: Path) -> str:
    """What a block prints; fails if it fails, or if a request of it was refused."""
    command = ["bash", "-euo", "pipefail", "-c", block] if language == "bash" else [sys.executable, "-c", block]
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = os.environ | {"PATH": path, "MINGMU_DATA_DIR": str(data_dir)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    assert '"kind":' not in done.stdout, f"{block}\n{done.stdout}"
    return done.stdout


def assert_printed(printed: str, expected: str) -> None:
    """The same text; figures may differ a little from machine to machine, digests and times altogether."""
    wanted = CHANGES.sub("~", expected).splitlines()
    found = CHANGES.sub("~", printed).splitlines()
    if wanted[-1] == "…":
        wanted.pop()
        found = found[: len(wanted)]
    assert [NUMBER.sub("~", line) for line in found] == [NUMBER.sub("~", line) for line in wanted]
    for text, like in zip(NUMBER.findall("\n".join(found)), NUMBER.findall("\n".join(wanted)), strict=True):
        assert float(text) == pytest.approx(float(like), abs=0.02 if float(like) < 1 else 3)


def default_url() -> str:
    settings = Settings()
    return f"http://{settings.host}:{settings.port}"
