"""One photo through every door gives the same scores: `general` in a process that cannot import torch."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import skimage.data
from PIL import Image

import mingmu
from mingmu import verbs
from mingmu.core.pixels import encode_png
from mingmu.core.recognizer import Recognizer
from mingmu.settings import Settings
from tests.real.conftest import Process, launch
from tests.tiny import labels_of

pytestmark = pytest.mark.real

TOP = 1000
TOLERANCE = 1e-5
Scores = dict[str, float]  # by label


@pytest.fixture(scope="module")
def general_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("general")


@pytest.fixture(scope="module")
def general(general_dir: Path) -> Recognizer:
    return verbs.open_recognizer(Settings(data_dir=general_dir), "general").recognizer


@pytest.fixture(scope="module")
def without_torch(general: Recognizer, general_dir: Path) -> Iterator[Process]:
    """The service, where importing torch fails."""
    blocker = general_dir / "blocker"
    (blocker / "torch").mkdir(parents=True)
    (blocker / "torch/__init__.py").write_text("raise ImportError('torch is blocked')")
    process = launch(general_dir, blocker)
    try:
        process.wait_until_ready()
        yield process
    finally:
        process.end()


@pytest.fixture(scope="module")
def photo() -> bytes:
    """Chelsea the cat, as a PNG."""
    return (Path(skimage.data.__file__).parent / "chelsea.png").read_bytes()


def expected(general: Recognizer, photo: bytes) -> Scores:
    scores = general.scores([general.frame(photo)])[0]
    return {label: float(score) for label, score in zip(general.manifest.labels, scores, strict=True)}


def by_label(answer: dict[str, list[dict[str, object]]]) -> Scores:
    return {str(label["label"]): float(str(label["score"])) for label in answer["labels"]}


def raw(url: str, photo: bytes) -> Scores:
    return by_label(httpx.post(f"{url}/v1/recognizers/general/recognize", params={"top": TOP}, content=photo).json()["answers"][0])


def multipart(url: str, photo: bytes) -> Scores:
    files = {"image": ("cat.png", photo, "image/png")}
    return by_label(httpx.post(f"{url}/v1/recognizers/general/recognize", params={"top": TOP}, files=files).json()["answers"][0])


def base64_json(url: str, photo: bytes) -> Scores:
    body = {"images": [{"base64": base64.b64encode(photo).decode()}], "top": TOP}
    return by_label(httpx.post(f"{url}/v1/recognizers/general/recognize", json=body).json()["answers"][0])


def python_client(url: str, photo: bytes) -> Scores:
    with mingmu.Client(url) as client:
        return {label.label: label.score for label in labels_of(client.recognize(photo, top=TOP).answer)}


def python_client_with_a_file(url: str, photo: bytes) -> Scores:
    with tempfile.NamedTemporaryFile(suffix=".png") as file, mingmu.Client(url) as client:
        Path(file.name).write_bytes(photo)
        return {label.label: label.score for label in labels_of(client.recognize(file.name, top=TOP).answer)}


def python_client_with_a_picture(url: str, photo: bytes) -> Scores:
    with mingmu.Client(url) as client:
        return {label.label: label.score for label in labels_of(client.recognize(Image.open(io.BytesIO(photo)), top=TOP).answer)}


def python_client_with_pixels(url: str, photo: bytes) -> Scores:
    with mingmu.Client(url) as client:
        return {
            label.label: label.score for label in labels_of(client.recognize(np.asarray(Image.open(io.BytesIO(photo))), top=TOP).answer)
        }


def several_at_once(url: str, photo: bytes) -> Scores:
    images = [{"base64": base64.b64encode(each).decode()} for each in (encode_png(np.zeros((9, 9, 3), np.uint8)), photo, photo)]
    return by_label(httpx.post(f"{url}/v1/recognizers/general/recognize", json={"images": images, "top": TOP}).json()["answers"][2])


DOORS = [
    raw,
    multipart,
    base64_json,
    python_client,
    python_client_with_a_file,
    python_client_with_a_picture,
    python_client_with_pixels,
    several_at_once,
]


@pytest.mark.parametrize("door", DOORS)
def test_every_http_door_gives_the_in_process_scores(
    door: Callable[[str, bytes], Scores], without_torch: Process, general: Recognizer, photo: bytes
) -> None:
    assert door(without_torch.url, photo) == pytest.approx(expected(general, photo), abs=TOLERANCE)


def test_the_open_inference_protocol_gives_the_in_process_scores(without_torch: Process, general: Recognizer, photo: bytes) -> None:
    pixels = general.frame(photo).pixels
    inputs = [
        {"name": "image", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(photo).decode()]},
        {"name": "pixels", "datatype": "UINT8", "shape": [1, *pixels.shape], "data": pixels.ravel().tolist()},
    ]
    for given in inputs:
        answer = httpx.post(f"{without_torch.url}/v2/models/general/infer", json={"inputs": [given]}).json()
        scores = next(output["data"] for output in answer["outputs"] if output["name"] == "scores")
        np.testing.assert_allclose(scores, general.scores([general.frame(photo)])[0], atol=TOLERANCE)


@pytest.mark.parametrize("name", ["image", "pixels"])
def test_the_open_inference_protocol_in_binary_gives_the_in_process_scores(
    name: str, without_torch: Process, general: Recognizer, photo: bytes
) -> None:
    pixels = general.frame(photo).pixels
    data = len(photo).to_bytes(4, "little") + photo if name == "image" else pixels.tobytes()
    datatype, shape = ("BYTES", [1]) if name == "image" else ("UINT8", [1, *pixels.shape])
    given = {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}
    wanted = {"name": "scores", "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [given], "outputs": [wanted]}).encode()
    sent = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    answer = httpx.post(f"{without_torch.url}/v2/models/general/infer", content=head + data, headers=sent)
    scores = np.frombuffer(answer.content[int(answer.headers["Inference-Header-Content-Length"]) :], np.float32)
    np.testing.assert_allclose(scores, general.scores([general.frame(photo)])[0], atol=TOLERANCE)


def test_the_command_line_gives_the_in_process_scores(general: Recognizer, general_dir: Path, photo: bytes, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(photo)
    command = [sys.executable, "-m", "mingmu", "recognize", str(tmp_path / "cat.png"), "--json", "--top", str(TOP)]
    environment = os.environ | {"MINGMU_DATA_DIR": str(general_dir)}
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert by_label(json.loads(printed)["answers"][0]) == pytest.approx(expected(general, photo), abs=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "labels"),
    [("chelsea.png", {"tabby", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat"}), ("coffee.png", {"espresso"})],
)
def test_famous_photos_are_recognized(without_torch: Process, name: str, labels: set[str]) -> None:
    photo = (Path(skimage.data.__file__).parent / name).read_bytes()
    with mingmu.Client(without_torch.url) as client:
        assert labels_of(client.recognize(photo).answer)[0].label in labels
