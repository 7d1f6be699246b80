"""From a folder of photos to a live recognizer, through a real server with a real worker beside it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from mingmu.client import AsyncClient, Client, Taught
from mingmu.core.answers import Labels
from mingmu.core.errors import BadRequest, MingmuError, NotFound
from mingmu.core.pixels import encode_png
from tests.real.conftest import Process
from tests.tiny import labels_of

pytestmark = pytest.mark.real

PROC = Path("/proc")
PER_LABEL = 12


@dataclass(frozen=True)
class Lesson:
    taught: Taught
    steps: list[str]


def photo(image: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> bytes:
    """A digit of scikit-learn, 8x8 in 17 greys, as a PNG of 64x64."""
    grey = np.kron(image * 255 / 16, np.ones((8, 8))).astype(np.uint8)
    return encode_png(np.repeat(grey[:, :, None], 3, axis=2))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders 0, 1 and 7, and one more photo of each beside them, in `unseen`."""
    datasets = pytest.importorskip("sklearn.datasets", reason="the digits are not tested: pip install scikit-learn")
    found, root = datasets.load_digits(), tmp_path_factory.mktemp("digits")
    for label in (0, 1, 7):
        images = found.images[found.target == label][: PER_LABEL + 1]
        for folder in ("seen", "unseen"):
            (root / folder / str(label)).mkdir(parents=True)
        for number, image in enumerate(images):
            folder = "seen" if number < PER_LABEL else "unseen"
            (root / folder / str(label) / f"{number}.png").write_bytes(photo(image))
    return root


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = serve(tmp_path_factory.mktemp("teaching") / "data")
    yield process
    process.end()


@pytest.fixture(scope="module")
def lesson(server: Process, digits: Path) -> Lesson:
    """The recognizer `digits`, taught through the client, and the steps that the client was told of."""
    steps: list[str] = []
    with Client(server.url) as client:
        return Lesson(client.teach(digits / "seen", name="digits", effort="quick", progress=lambda step, _: steps.append(step)), steps)


def serve(data_dir: Path) -> Process:
    command = [sys.executable, "-m", "mingmu", "--data-dir", str(data_dir), "serve", "--port", "0"]
    process = Process(
        subprocess.Popen(
            command, env=os.environ | {"MINGMU_RELOAD_INTERVAL": "0.1", "MINGMU_WORKERS": "1"}, stderr=subprocess.PIPE, text=True
        )
    )
    process.wait_until_ready()
    return process


def data_dir(process: Process) -> Path:
    command = process.popen.args
    assert isinstance(command, list)
    return Path(command[command.index("--data-dir") + 1])


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """The processes that a process started; those that have ended do not count."""
    found = []
    for status in PROC.glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue  # it ended meanwhile
        if re.search(rf"^PPid:\t{pid}$", text, re.MULTILINE) and not re.search(r"^State:\tZ", text, re.MULTILINE):
            found.append(int(status.parent.name))
    return found


def begin(process: Process) -> int:
    """Have the service teach `digits` again, thoroughly; gives the job as soon as it runs."""
    body = {"dataset": "digits", "effort": "thorough"}
    number: int = httpx.post(f"{process.url}/v1/recognizers/digits/teach", json=body).json()["job"]["id"]
    until(lambda: job(process, number)["step"])
    return number


def job(process: Process, number: int) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{process.url}/v1/jobs/{number}").json()
    return found


def test_a_folder_becomes_a_live_recognizer_and_learns_more(server: Process, lesson: Lesson, digits: Path) -> None:
    taught = lesson.taught
    assert (taught.recognizer, taught.version) == ("digits", 1)
    assert taught.interval[0] <= taught.accuracy <= taught.interval[1]
    assert lesson.steps[0] == "uploading"
    assert len(set(lesson.steps)) > 2
    with Client(server.url) as client:
        unseen = sorted((digits / "unseen").rglob("*.png"))
        answers = [client.recognize(path, "digits@1") for path in unseen]
        assert [labels_of(answer.answer)[0].label for answer in answers] == [path.parent.name for path in unseen]
        assert answers[0].digest == taught.digest
        assert client.report("digits@1")["subject"]["digest"] == taught.digest
        client.recognize(unseen[0], "digits")
        added = client.follow(client.add_example("digits", unseen[0], "0", teach=True).id)
        again = (added.result or {})["digest"]
        until(lambda: client.recognize(unseen[0], "digits").digest == again)


def test_the_client_is_told_what_went_wrong(server: Process, tmp_path: Path) -> None:
    (tmp_path / "read.me").write_text("no photo")

    async def teach() -> None:
        async with AsyncClient(server.url) as client:
            await client.teach(tmp_path, name="nothing", effort="quick")

    with pytest.raises(MingmuError, match="no picture in"):
        asyncio.run(teach())
    with Client(server.url) as client, pytest.raises(NotFound, match="none"):
        client.add_example("none", b"a photo", "pear")


@pytest.mark.skipif(not PROC.exists(), reason="which processes run is read from /proc")
def test_a_worker_that_is_killed_is_replaced_and_its_job_done(server: Process, lesson: Lesson) -> None:
    number = begin(server)
    (worker,) = children(server.popen.pid)
    os.kill(worker, signal.SIGKILL)
    with Client(server.url) as client:
        assert client.follow(number).state == "done"
    assert job(server, number)["attempts"] == 2
    assert "its worker" in httpx.get(f"{server.url}/v1/jobs/{number}/events").text


@pytest.mark.skipif(not PROC.exists(), reason="which processes run is read from /proc")
def test_a_killed_server_leaves_no_process_and_the_next_one_goes_on_with_its_job(server: Process, lesson: Lesson, tmp_path: Path) -> None:
    shutil.copytree(data_dir(server), tmp_path / "data")
    first = serve(tmp_path / "data")
    try:
        number = begin(first)
        workers = children(first.popen.pid)
        family = [*workers, *(child for worker in workers for child in children(worker))]
        assert len(family) >= 2
        assert first.stop(signal.SIGKILL) == -signal.SIGKILL
        until(lambda: not any((PROC / str(pid)).exists() for pid in family), 10)
    finally:
        first.end()
    second = serve(tmp_path / "data")
    try:
        with Client(second.url) as client:
            assert client.follow(number).state == "done"
        (worker,) = children(second.popen.pid)
        assert second.stop() == 0
        assert not (PROC / str(worker)).exists()
    finally:
        second.end()


def test_a_network_of_its_own_is_trained_and_answers(server: Process, digits: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed (extra `train`)")
    steps: list[str] = []
    with Client(server.url) as client:
        trained = client.train(digits / "seen", name="trained", net="cnn", size=32, epochs=2, progress=lambda step, _: steps.append(step))
        answer = client.recognize(next((digits / "unseen").rglob("*.png")), trained.reference)
        with pytest.raises(BadRequest, match=r"there is no key net\.nmae; did you mean name"):
            client.train(digits / "seen", name="trained", recipe="[net]\nnmae = 'cnn'", progress=lambda _step, _share: None)
    assert {"training", "sealing"} <= {*steps}
    assert (trained.recognizer, trained.version) == ("trained", 1)
    assert isinstance(answer.answer, Labels)
    assert answer.answer.labels[0].label in {"0", "1", "7"}
