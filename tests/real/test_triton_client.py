"""NVIDIA's own client speaks with the service."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.real.conftest import Process

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
triton = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")


@pytest.fixture
def client(server: Process) -> Iterator[Any]:
    with triton.InferenceServerClient(f"{server.host}:{server.port}") as client:
        yield client


def images(*data: bytes, binary: bool) -> Any:
    """An input of encoded images; the client sends text in JSON, so there the images go as base64."""
    values = data if binary else tuple(base64.b64encode(each) for each in data)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return triton.InferInput("image", [len(values)], "BYTES").set_data_from_numpy(array, binary_data=binary)


def pixels(array: NDArray[np.uint8], *, binary: bool) -> Any:
    return triton.InferInput("pixels", list(array.shape), "UINT8").set_data_from_numpy(array, binary_data=binary)


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1")
    assert client.get_server_metadata()["name"] == "mingmu"
    assert client.get_model_metadata("tiny")["outputs"][0]["name"] == "scores"


@pytest.mark.parametrize("binary", [True, False])
def test_images_and_pixels_give_the_same_scores(client: Any, red_png: bytes, blue_png: bytes, binary: bool) -> None:
    colours = np.stack([np.full((8, 8, 3), colour, np.uint8) for colour in ((250, 10, 10), (10, 10, 250))])
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("scores", "labels")]
    by_image = client.infer("tiny", [images(red_png, blue_png, binary=binary)], outputs=outputs, request_id="7")
    by_pixels = client.infer("tiny", [pixels(colours, binary=binary)], model_version="1")
    assert by_image.get_response()["id"] == "7"
    assert by_image.as_numpy("scores").shape == (2, 3)
    assert by_image.as_numpy("scores").dtype == np.float32
    np.testing.assert_array_equal(by_image.as_numpy("scores"), by_pixels.as_numpy("scores"))
    said = [label.decode() if isinstance(label, bytes) else label for label in by_image.as_numpy("labels")]
    assert said == ["red", "blue"]


def test_classes_can_be_asked_for(client: Any, red_png: bytes) -> None:
    output = triton.InferRequestedOutput("scores", class_count=2)
    result = client.infer("tiny", [images(red_png, binary=True)], outputs=[output])
    assert [text.decode().split(":")[2] for text in result.as_numpy("scores")[0]] == ["red", "green"]


def test_errors_are_those_of_the_protocol(client: Any, red_png: bytes) -> None:
    with pytest.raises(triton.InferenceServerException, match="image 1"):
        client.infer("tiny", [images(red_png, b"junk", binary=True)])
    with pytest.raises(triton.InferenceServerException, match="no recognizer named 'none'"):
        client.infer("none", [images(red_png, binary=True)])
    with pytest.raises(triton.InferenceServerException, match="content encoding"):
        client.infer("tiny", [images(red_png, binary=True)], request_compression_algorithm="gzip")
