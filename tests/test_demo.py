from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mingmu import demo
from mingmu.client import Client
from mingmu.core.errors import MissingExtra, Unreachable


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder for all demos of this file: the recognizer is built once."""
    return tmp_path_factory.mktemp("demo")


def answers(url: str) -> bool:
    with Client(url) as client:
        return client.ready()


@pytest.mark.real
def test_the_demo_recognizes_real_photos_and_ends(folder: Path) -> None:
    command = [sys.executable, "-m", "mingmu.demo", "--data-dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    rows = {cells[1].strip(): cells[2] for line in done.stdout.splitlines() if len(cells := line.split("│")) == 6}
    assert set(rows) == {Path(file).name for _, file in demo.PHOTOS}
    assert re.match(r" (tabby|tiger cat|Egyptian cat) ", rows["chelsea.png"])
    assert rows["coffee.png"].startswith(" espresso ")
    (url,) = re.findall(r"(http://\S+)/docs", done.stdout)
    assert not answers(url)


@pytest.mark.real
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_demo_that_is_stopped_stops_its_service(folder: Path, signum: signal.Signals) -> None:
    command = [sys.executable, "-m", "mingmu.demo", "--data-dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        url = next(line.split()[-1] for line in process.stdout if line.startswith("Mingmu is ready on"))
        process.send_signal(signum)
        output, _ = process.communicate(timeout=30)
    assert "Traceback" not in output
    assert not answers(url)


@pytest.mark.real
def test_an_exception_stops_the_service_too(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="it answered: True"), demo.service(folder) as (url, process):
        raise RuntimeError(f"it answered: {answers(url)}")
    assert process.poll() is not None


@pytest.mark.real
def test_a_service_that_cannot_start_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unreachable, match="ended with exit code 1"), demo.service(tmp_path / "file"):
        pass


def test_without_the_photos_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PHOTOS", (("no_such_package", "cat.png"),))
    with pytest.raises(MissingExtra, match=r"pip install 'mingmu\[demo\]'"):
        demo.find_photos()
