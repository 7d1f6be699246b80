"""NVIDIA's own gRPC client speaks with the service, and hostile messages cost it little memory."""

from __future__ import annotations

import queue
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.real.conftest import Process

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
grpc = pytest.importorskip("grpc", reason="grpcio is not installed")
triton = pytest.importorskip("tritonclient.grpc", reason="tritonclient is not installed")

MIB = 2**20


def port_of(process: Process) -> int:
    said = re.search(r"gRPC on 127\.0\.0\.1:(\d+)", "".join(process.lines))
    assert said, process.lines
    return int(said[1])


@pytest.fixture
def service(start: Callable[..., Process]) -> Process:
    return start(grpc_port=0)


@pytest.fixture
def client(service: Process) -> Iterator[Any]:
    with triton.InferenceServerClient(f"127.0.0.1:{port_of(service)}") as client:
        yield client


def images(*data: bytes) -> Any:
    array = np.empty(len(data), dtype=object)
    array[:] = data
    return triton.InferInput("image", [len(data)], "BYTES").set_data_from_numpy(array)


def pixels(array: NDArray[np.uint8]) -> Any:
    return triton.InferInput("pixels", list(array.shape), "UINT8").set_data_from_numpy(array)


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny", "1")
    assert client.get_server_metadata().name == "mingmu"
    assert client.get_model_metadata("tiny").outputs[0].name == "scores"


def test_images_and_pixels_give_the_scores_of_http(service: Process, client: Any, red_png: bytes, blue_png: bytes) -> None:
    colours = np.stack([np.full((8, 8, 3), colour, np.uint8) for colour in ((250, 10, 10), (10, 10, 250))])
    by_image = client.infer("tiny", [images(red_png, blue_png)], request_id="7")
    by_pixels = client.infer("tiny", [pixels(colours)], model_version="1")
    assert by_image.get_response().id == "7"
    np.testing.assert_array_equal(by_image.as_numpy("scores"), by_pixels.as_numpy("scores"))
    assert by_image.as_numpy("labels").tolist() == [b"red", b"blue"]
    said = httpx.post(f"{service.url}/v1/recognizers/tiny/recognize", content=red_png).json()["answers"][0]["labels"]
    assert [label["score"] for label in said] == pytest.approx(by_image.as_numpy("scores")[0].tolist())


def test_classes_can_be_asked_for(client: Any, red_png: bytes) -> None:
    output = triton.InferRequestedOutput("scores", class_count=2)
    result = client.infer("tiny", [images(red_png)], outputs=[output])
    assert [text.decode().split(":")[2] for text in result.as_numpy("scores")[0]] == ["red", "green"]


def test_a_stream_gives_answers_and_errors_in_order(client: Any, red_png: bytes) -> None:
    said: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(callback=lambda result, error: said.put((result, error)))
    for image in (red_png, b"junk", red_png):
        client.async_stream_infer("tiny", [images(image)])
    answers = [said.get(timeout=20) for _ in range(3)]
    client.stop_stream()
    assert [error is None for _, error in answers] == [True, False, True]
    assert answers[2][0].as_numpy("labels").tolist() == [b"red"]


def test_the_repository_is_listed_loaded_and_unloaded(client: Any, red_png: bytes) -> None:
    client.load_model("tiny")
    assert {model.name: model.state for model in client.get_model_repository_index().models}["tiny"] == "READY"
    client.unload_model("tiny")
    assert {model.name: model.state for model in client.get_model_repository_index().models}["tiny"] == "UNAVAILABLE"
    assert client.infer("tiny", [images(red_png)]).as_numpy("labels").tolist() == [b"red"]


def test_errors_have_their_codes(client: Any, red_png: bytes) -> None:
    with pytest.raises(triton.InferenceServerException, match="image 1") as bad:
        client.infer("tiny", [images(red_png, b"junk")])
    assert bad.value.status() == "StatusCode.INVALID_ARGUMENT"
    with pytest.raises(triton.InferenceServerException, match="no recognizer named 'none'") as missing:
        client.infer("none", [images(red_png)])
    assert missing.value.status() == "StatusCode.NOT_FOUND"


def peak_of(process: Process) -> int:
    """The most memory that a process has had, in bytes."""
    status = Path(f"/proc/{process.popen.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell how much memory a process had")
def test_a_message_never_takes_many_times_its_size(service: Process, client: Any, red_png: bytes) -> None:
    client.infer("tiny", [images(red_png)])
    before = peak_of(service)
    largest = 64 * MIB
    with grpc.insecure_channel(f"127.0.0.1:{port_of(service)}") as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for part in (b"\x2a\x00", b"\x3a\x00", b"\x32\x00"):  # empty inputs, raw contents, outputs: as objects, gigabytes
            with pytest.raises(grpc.RpcError) as refused:
                call(part * (largest // 2), timeout=60)
            assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.RpcError) as refused:
            call(bytes(largest), compression=grpc.Compression.Gzip, timeout=60)
        assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert peak_of(service) - before < 8 * largest  # sixteen and more, if they were parsed
    assert client.infer("tiny", [images(red_png)]).as_numpy("labels").tolist() == [b"red"]


def test_sigterm_ends_streams_and_answers_who_is_in(service: Process, client: Any, red_png: bytes) -> None:
    said: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(callback=lambda result, error: said.put((result, error)))
    client.async_stream_infer("tiny", [images(red_png)])
    assert said.get(timeout=20)[1] is None
    assert service.stop() == 0
    client.stop_stream(cancel_requests=True)
