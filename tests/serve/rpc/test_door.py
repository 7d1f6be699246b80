"""The gRPC service in this process, on a real socket."""

from __future__ import annotations

import asyncio
import base64
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from mingmu.core.errors import BadSettings, MissingExtra
from mingmu.serve.http import create_app
from mingmu.serve.rpc.protos import proto
from mingmu.settings import Settings
from tests.serve.conftest import RECOGNIZE, running

grpc = pytest.importorskip("grpc", reason="grpcio is not installed")

PROTOCOL, HEALTH = proto("inference"), proto("health")
PIXELS = np.full((2, 8, 8, 3), (250, 10, 10), np.uint8)


@dataclass
class Client:
    """A gRPC client of the service, and an HTTP client of the same."""

    app: FastAPI
    channel: Any
    http: httpx.AsyncClient

    async def call(self, call: str, /, **fields: object) -> Any:
        return await self.send(call, PROTOCOL.methods[call].request(**fields).SerializeToString())

    def send(self, call: str, data: bytes, **options: Any) -> Any:
        method = PROTOCOL.methods[call]
        return self.channel.unary_unary(method.path, response_deserializer=method.response.FromString)(data, **{"timeout": 20} | options)

    async def infer(self, tensor: Any, *raw: bytes, options: Any = (), **fields: Any) -> Any:
        request = PROTOCOL.methods["ModelInfer"].request(model_name="tiny", inputs=[tensor], raw_input_contents=raw, **fields)
        return await self.send("ModelInfer", request.SerializeToString(), **dict(options))

    def stream(self) -> Any:
        method = PROTOCOL.methods["ModelStreamInfer"]
        serialize, parse = method.request.SerializeToString, method.response.FromString
        return self.channel.stream_stream(method.path, request_serializer=serialize, response_deserializer=parse)()


Start = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def start(data_dir: Path) -> Start:
    """Start the service with some settings of its own."""

    @asynccontextmanager
    async def start(**settings: Any) -> AsyncIterator[Client]:
        app = create_app(Settings(data_dir=data_dir, threads=2, grpc_port=0, **settings))
        async with running(app) as http, grpc.aio.insecure_channel(f"127.0.0.1:{app.state.grpc_port}") as channel:
            yield Client(app, channel, http)

    return start


@pytest.fixture
async def client(start: Start) -> AsyncIterator[Client]:
    async with start() as client:
        yield client


def images(*data: bytes) -> dict[str, Any]:
    return {"name": "image", "datatype": "BYTES", "shape": [len(data)], "contents": {"bytes_contents": data}}


def pixels(**changes: object) -> dict[str, Any]:
    contents = {"uint_contents": PIXELS.ravel().tolist()}
    return {"name": "pixels", "datatype": "UINT8", "shape": PIXELS.shape, "contents": contents} | changes


def raw(tensor: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tensor.items() if key != "contents"}


def kind_of(error: Any) -> str:
    return str(dict(error.trailing_metadata())["kind"])


async def test_the_server_and_its_models_describe_themselves(client: Client) -> None:
    assert (await client.call("ServerLive")).live
    assert (await client.call("ServerReady")).ready
    assert (await client.call("ServerMetadata")).name == "mingmu"
    assert (await client.call("ModelReady", name="tiny", version="1")).ready
    about = await client.call("ModelMetadata", name="tiny")
    rest = (await client.http.get("/v2/models/tiny")).json()
    assert [(each.name, each.datatype, [*each.shape]) for each in about.inputs] == [tuple(each.values()) for each in rest["inputs"]]
    assert [(each.name, each.datatype, [*each.shape]) for each in about.outputs] == [tuple(each.values()) for each in rest["outputs"]]


async def test_health_is_checked_as_grpc_does(client: Client) -> None:
    check = HEALTH.methods["Check"]
    ask = client.channel.unary_unary(check.path, check.request.SerializeToString, check.response.FromString)
    for name in ("", PROTOCOL.service):
        assert (await ask(check.request(service=name))).status == 1
    client.app.state.service.admission.close()
    assert (await ask(check.request())).status == 2
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ask(check.request(service="other"))
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND


async def test_all_doors_give_the_same_scores(client: Client, red_png: bytes, blue_png: bytes) -> None:
    typed = await client.infer(images(red_png, blue_png), id="42")
    scores, labels = typed.outputs
    assert (typed.model_name, typed.model_version, typed.id) == ("tiny", "1", "42")
    assert (scores.name, scores.datatype, [*scores.shape]) == ("scores", "FP32", [2, 3])
    assert [*labels.contents.bytes_contents] == [b"red", b"blue"]

    prefixed = b"".join(struct.pack("<I", len(image)) + image for image in (red_png, blue_png))
    by_raw = await client.infer(raw(images(red_png, blue_png)), prefixed)
    assert np.frombuffer(by_raw.raw_output_contents[0], "<f4").tolist() == [*scores.contents.fp32_contents]
    assert by_raw.raw_output_contents[1] == b"\x03\0\0\0red\x04\0\0\0blue"
    assert not by_raw.outputs[0].HasField("contents")

    for answer in (await client.infer(pixels()), await client.infer(pixels(), outputs=[{"name": "scores"}])):
        assert [*answer.outputs[0].contents.fp32_contents][:3] == [*scores.contents.fp32_contents][:3]
    by_raw_pixels = await client.infer(raw(pixels()), PIXELS.tobytes())
    assert by_raw_pixels.raw_output_contents[0][:12] == by_raw.raw_output_contents[0][:12]

    said = (await client.http.post(RECOGNIZE, content=red_png)).json()["answers"][0]["labels"]
    assert {each["label"]: each["score"] for each in said} == pytest.approx(
        dict(zip(("red", "green", "blue"), scores.contents.fp32_contents, strict=False)), rel=1e-6
    )
    rest = {"inputs": [images(red_png, blue_png) | {"data": [base64.b64encode(image).decode() for image in (red_png, blue_png)]}]}
    del rest["inputs"][0]["contents"]
    over_rest = (await client.http.post("/v2/models/tiny/infer", json=rest)).json()["outputs"][0]["data"]
    np.testing.assert_array_equal(np.float32(over_rest), scores.contents.fp32_contents)


async def test_scores_can_be_given_as_classes(client: Client, red_png: bytes) -> None:
    answer = await client.infer(images(red_png), outputs=[{"name": "scores", "parameters": {"classification": {"int64_param": 2}}}])
    assert [text.split(b":")[2] for text in answer.outputs[0].contents.bytes_contents] == [b"red", b"green"]


WRONG: dict[str, dict[str, Any]] = {
    "no inputs": {},
    "two inputs": {"inputs": [pixels(), pixels()]},
    "an unknown input": {"inputs": [pixels(name="other")]},
    "a wrong datatype": {"inputs": [pixels(datatype="FP32")]},
    "a wrong shape": {"inputs": [pixels(shape=[2, 8, 9, 3])]},
    "no shape": {"inputs": [pixels(shape=[])]},
    "a shape of many dimensions": {"inputs": [pixels(shape=[1] * 9)]},
    "a huge shape": {"inputs": [pixels(shape=[2**62, 8, 8, 3])]},
    "a negative shape": {"inputs": [pixels(shape=[-1, 8, 8, 3])]},
    "too many images": {"inputs": [images(*[b"x"] * 65)]},
    "no images": {"inputs": [images()]},
    "too few values": {"inputs": [pixels(contents={"uint_contents": [1, 2, 3]})]},
    "values over 255": {"inputs": [pixels(contents={"uint_contents": [256] * 384})]},
    "contents of another type": {"inputs": [pixels(contents={"fp32_contents": [1.0] * 384})]},
    "no contents": {"inputs": [raw(pixels())]},
    "fewer images than the shape says": {"inputs": [images(b"x") | {"shape": [2]}]},
    "raw contents of a wrong length": {"inputs": [raw(pixels())], "raw_input_contents": [bytes(383)]},
    "raw contents of another number": {"inputs": [raw(pixels())], "raw_input_contents": [bytes(384)] * 2},
    "raw contents beside typed ones": {"inputs": [pixels()], "raw_input_contents": [bytes(384)]},
    "a raw element that is cut short": {"inputs": [raw(images(b""))], "raw_input_contents": [b"\x05\0\0\0abcd"]},
    "a raw length that is cut short": {"inputs": [raw(images(b""))], "raw_input_contents": [b"\x05\0"]},
    "more raw elements than the shape says": {"inputs": [raw(images(b""))], "raw_input_contents": [bytes(4_000_000)]},
    "shared memory": {"inputs": [raw(pixels()) | {"parameters": {"shared_memory_region": {"string_param": "x"}}}]},
    "shared memory for an output": {
        "inputs": [pixels()],
        "outputs": [{"name": "scores", "parameters": {"shared_memory_region": {"string_param": "x"}}}],
    },
    "an unknown output": {"inputs": [pixels()], "outputs": [{"name": "boxes"}]},
    "classes beyond the last": {
        "inputs": [pixels()],
        "outputs": [{"name": "scores", "parameters": {"classification": {"int64_param": 4}}}],
    },
    "a name that is none": {"model_name": "NO!", "inputs": [pixels()]},
    "a junk image": {"inputs": [images(b"junk")]},
    "a very long name": {"inputs": [pixels(name="é" * 2000)]},
}


async def refusal(client: Client, data: bytes) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.send("ModelInfer", data)
    return refused.value


@pytest.mark.parametrize("name", WRONG)
async def test_a_request_of_the_wrong_form_is_an_invalid_argument(client: Client, name: str) -> None:
    error = await refusal(client, PROTOCOL.messages["ModelInferRequest"](**{"model_name": "tiny"} | WRONG[name]).SerializeToString())
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert kind_of(error) in ("bad-request", "bad-image")
    assert 0 < len(error.details()) <= 500
    assert (await client.infer(pixels())).outputs


HOSTILE = {
    "rubbish": b"\xff" * 1000,
    "a cut message": b"\x0a\x7fti",
    "a name that is no text": b"\x0a\x02\xff\xfe",
    "a group": b"\x0b" * 100,
    "millions of inputs": b"\x2a\x00" * 5_000_000,
    "millions of elements": b"\x2a\x84\xad\xe2\x04\x2a\x80\xad\xe2\x04" + b"\x42\x00" * 5_000_000,
    "millions of raw contents": b"\x3a\x00" * 5_000_000,
    "millions of numbers": b"\x2a\x84\xad\xe2\x04\x2a\x80\xad\xe2\x04" + b"\x22\x80\xa4\xe8\x03" + bytes(8_000_000),
    "a shape of millions": b"\x2a\x84\x92\xf4\x01\x1a\x80\x92\xf4\x01" + bytes(4_000_000),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_messages_are_refused_and_disturb_nobody(client: Client, name: str) -> None:
    error = await refusal(client, HOSTILE[name])
    assert (error.code(), kind_of(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "bad-request")
    assert (await client.infer(pixels())).outputs


async def test_an_image_that_is_too_large_is_named_and_called_so(start: Start, red_png: bytes) -> None:
    async with start(max_image_pixels=100) as client:
        with pytest.raises(grpc.aio.AioRpcError, match="image 0: ") as refused:
            await client.infer(images(red_png))
        assert (refused.value.code(), kind_of(refused.value)) == (grpc.StatusCode.INVALID_ARGUMENT, "image-too-large")


async def test_a_message_over_the_limit_is_refused(start: Start, red_png: bytes) -> None:
    async with start(max_body_bytes=100_000) as client:
        assert (await refusal(client, bytes(100_001))).code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.aio.AioRpcError) as refused:  # a few bytes could stand for gigabytes
            await client.send("ModelInfer", bytes(50_000), compression=grpc.Compression.Gzip)
        assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.send("ModelReady", bytes(70_000))
        assert kind_of(refused.value) == "bad-request"
        assert (await client.infer(images(red_png))).outputs


@pytest.mark.parametrize(("name", "version"), [("none", ""), ("tiny", "9")])
async def test_a_model_that_does_not_exist_is_not_found(client: Client, name: str, version: str) -> None:
    for call, names in (("ModelInfer", ("model_name", "model_version")), ("ModelReady", ("name", "version"))):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.call(call, **dict(zip(names, (name, version), strict=True)))
        assert (refused.value.code(), kind_of(refused.value)) == (grpc.StatusCode.NOT_FOUND, "not-found")


async def test_the_repository_lists_loads_and_unloads_models(client: Client, red_png: bytes) -> None:
    async def states(**wanted: object) -> dict[str, str]:
        return {model.name: model.state for model in (await client.call("RepositoryIndex", **wanted)).models}

    assert await states() == {"tiny": "UNAVAILABLE"}
    assert await states(ready=True) == {}
    await client.call("RepositoryModelLoad", model_name="tiny")
    assert await states(ready=True) == {"tiny": "READY"}
    await client.call("RepositoryModelUnload", model_name="tiny", parameters={"unload_dependents": {"bool_param": False}})
    assert await states() == {"tiny": "UNAVAILABLE"}
    assert (await client.infer(images(red_png))).outputs
    for call in ("RepositoryModelLoad", "RepositoryModelUnload"):
        with pytest.raises(grpc.aio.AioRpcError, match="without parameters"):
            await client.call(call, model_name="tiny", parameters={"config": {"string_param": "{}"}})
        with pytest.raises(grpc.aio.AioRpcError, match="no recognizer named 'none'"):
            await client.call(call, model_name="none")


async def test_a_stream_answers_in_order_and_an_error_is_its_own(client: Client, red_png: bytes, blue_png: bytes) -> None:
    sent = [red_png, b"junk", blue_png] * 20
    kind = PROTOCOL.messages["ModelInferRequest"]
    stream = client.stream()
    for number, image in enumerate(sent):
        await stream.write(kind(model_name="tiny", id=str(number), inputs=[images(image)]))
    await stream.done_writing()
    answers = [answer async for answer in stream]
    assert [answer.infer_response.id for answer in answers] == [str(number) if number % 3 != 1 else "" for number in range(60)]
    said = [answer.error_message[:9] or answer.infer_response.outputs[1].contents.bytes_contents[0].decode() for answer in answers]
    assert said == ["red", "image 0: ", "blue"] * 20


async def test_an_idle_stream_does_not_keep_the_service_from_closing(start: Start, red_png: bytes) -> None:
    async with start(drain_timeout=20) as client:
        stream = client.stream()
        await stream.write(PROTOCOL.messages["ModelInferRequest"](model_name="tiny", inputs=[images(red_png)]))
        assert (await stream.read()).infer_response.outputs
        client.app.state.service.admission.close()
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 5


async def test_streams_are_bounded(start: Start, red_png: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mingmu.serve.rpc.door.MAX_STREAMS", 2)  # one for each address
    async with start() as client:
        first = client.stream()
        request = PROTOCOL.messages["ModelInferRequest"](model_name="tiny", inputs=[images(red_png)])
        await first.write(request)
        assert (await first.read()).infer_response.outputs
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.stream().read()
        assert (refused.value.code(), kind_of(refused.value)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "queue-full")
        await first.done_writing()
        assert await first.read() == grpc.aio.EOF


async def test_a_stream_ends_when_nothing_is_in_work_and_nothing_comes(start: Start, red_png: bytes) -> None:
    async with start(body_timeout=0.3) as client:
        see = client.app.state.host.see

        async def slowly(*given: Any, **more: Any) -> Any:
            await asyncio.sleep(0.8)
            return await see(*given, **more)

        client.app.state.host.see = slowly
        stream = client.stream()
        await stream.write(PROTOCOL.messages["ModelInferRequest"](model_name="tiny", inputs=[images(red_png)]))
        assert (await stream.read()).infer_response.outputs
        with pytest.raises(grpc.aio.AioRpcError, match=r"no message arrived within 0\.3 s") as ended:
            await asyncio.wait_for(stream.read(), 10)
        assert (ended.value.code(), kind_of(ended.value)) == (grpc.StatusCode.DEADLINE_EXCEEDED, "slow-body")


class Stuck:
    """Stands in for `Host.see`: never answers, and knows how often it was given up."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.given_up = asyncio.Event()

    async def __call__(self, *_: object, **__: object) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up.set()


async def test_the_clients_deadline_is_kept_and_its_work_dropped(client: Client, red_png: bytes) -> None:
    client.app.state.host.see = stuck = Stuck()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.infer(images(red_png), options={"timeout": 0.5})
    assert refused.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(stuck.given_up.wait(), 5)


async def test_the_default_deadline_is_kept(start: Start, red_png: bytes) -> None:
    async with start(request_timeout=1) as client:
        client.app.state.host.see = stuck = Stuck()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.infer(images(red_png), options={"timeout": None})
        assert (refused.value.code(), kind_of(refused.value)) == (grpc.StatusCode.DEADLINE_EXCEEDED, "deadline-exceeded")
        await asyncio.wait_for(stuck.given_up.wait(), 5)


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_client_that_leaves_takes_its_request_along(
    client: Client, red_png: bytes, caplog: pytest.LogCaptureFixture, streaming: bool
) -> None:
    caplog.set_level("INFO", logger="mingmu.requests")
    client.app.state.host.see = stuck = Stuck()
    request = PROTOCOL.messages["ModelInferRequest"](model_name="tiny", inputs=[images(red_png)])
    if streaming:
        call = client.stream()
        await call.write(request)
    else:
        call = client.send("ModelInfer", request.SerializeToString())
    await asyncio.wait_for(stuck.begun.wait(), 5)
    call.cancel()
    await asyncio.wait_for(stuck.given_up.wait(), 5)
    for _ in range(500):
        if kinds := [vars(record)["kind"] for record in caplog.records if record.name == "mingmu.requests"]:
            break
        await asyncio.sleep(0.01)
    assert kinds == ["client-gone"]


async def test_a_slow_message_is_given_up(start: Start) -> None:
    async with start(body_timeout=0.1) as client:
        method = PROTOCOL.methods["ModelInfer"]
        call = client.channel.stream_unary(method.path)()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert kind_of(refused.value) == "slow-body"
        empty = client.channel.stream_unary(method.path)(iter(()))
        with pytest.raises(grpc.aio.AioRpcError, match="without a message"):
            await empty


async def test_calls_without_a_message_keep_health_from_nobody(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mingmu.serve.rpc.door.SMALL_PATIENCE", 0.2)
    async with start() as client:
        infer, live = (client.channel.stream_unary(PROTOCOL.methods[call].path) for call in ("ModelInfer", "ServerLive"))
        silent = [infer() for _ in range(40)]
        await asyncio.gather(*(call.wait_for_connection() for call in silent))
        small = live()
        await small.wait_for_connection()
        assert (await asyncio.wait_for(client.call("ServerLive"), 5)).live
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await asyncio.wait_for(small, 5)
        assert kind_of(refused.value) == "slow-body"
        for call in silent:
            call.cancel()


async def test_a_full_service_refuses_at_once_and_says_when_to_return(start: Start, red_png: bytes) -> None:
    async with start(max_queue=1) as client:
        with client.app.state.service.admission.working(), pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.infer(images(red_png))
        assert (refused.value.code(), kind_of(refused.value)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "queue-full")
        assert int(dict(refused.value.trailing_metadata())["grpc-retry-pushback-ms"]) >= 1000
        assert (await client.infer(images(red_png))).outputs


async def test_http_and_grpc_bodies_share_their_memory(client: Client, red_png: bytes) -> None:
    with client.app.state.service.admission.budget.hold() as take:
        take(8 * 64 * 2**20)
        with pytest.raises(grpc.aio.AioRpcError, match="memory set aside for bodies"):
            await client.infer(images(red_png))
    assert (await client.infer(images(red_png))).outputs


async def test_a_closing_service_is_unavailable(client: Client, red_png: bytes) -> None:
    client.app.state.service.admission.close()
    assert not (await client.call("ServerReady")).ready
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.infer(images(red_png))
    assert (refused.value.code(), kind_of(refused.value)) == (grpc.StatusCode.UNAVAILABLE, "overloaded")


async def test_a_fault_of_the_service_keeps_its_details_to_the_log(
    client: Client, red_png: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret")

    client.app.state.host.see = fail
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.infer(images(red_png), options={"metadata": [("x-request-id", "find-me")]})
    assert (refused.value.code(), kind_of(refused.value)) == (grpc.StatusCode.INTERNAL, "internal")
    assert "secret" not in refused.value.details()
    assert any("secret" in record.getMessage() and vars(record)["request_id"] == "find-me" for record in caplog.records)


async def test_every_call_is_counted_and_leaves_a_line(client: Client, red_png: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="mingmu.requests")
    await client.infer(images(red_png), options={"metadata": [("x-request-id", "order-66")]})
    with pytest.raises(grpc.aio.AioRpcError):
        await client.infer(images(b"junk"))
    good, bad = (vars(record) for record in caplog.records if record.name == "mingmu.requests")
    assert (good["request_id"], good["method"], good["path"]) == ("order-66", "GRPC", "/inference.GRPCInferenceService/ModelInfer")
    assert (good["status"], good["recognizer"], good["images"]) == (200, "tiny", 1)
    assert good["bytes"] > len(red_png)
    assert (bad["status"], bad["kind"]) == (400, "bad-image")
    metrics = (await client.http.get("/metrics")).text
    assert 'mingmu_requests_total{kind="",recognizer="tiny",status="200"} 1.0' in metrics
    assert 'mingmu_images_total{kind="bad-image",recognizer="tiny"} 1.0' in metrics


async def test_without_grpcio_the_service_says_what_to_install(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    app = create_app(Settings(data_dir=data_dir, grpc_port=0))
    with pytest.raises(MissingExtra, match=r"pip install 'mingmu\[grpc\]'"):
        async with app.router.lifespan_context(app):
            pass
    assert isinstance(app.state.failure, MissingExtra)


async def test_a_port_that_is_taken_is_a_bad_setting(data_dir: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        app = create_app(Settings(data_dir=data_dir, grpc_port=other.getsockname()[1]))
        with pytest.raises(BadSettings, match="grpc_port"):
            async with app.router.lifespan_context(app):
                pass


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of `localhost`, with its key in `key.pem` beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificate can be made")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "certificate.pem", *names]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "certificate.pem"


def trust_in(certificate: Path) -> Any:
    return grpc.ssl_channel_credentials(certificate.read_bytes())


async def test_tls_is_used_where_there_is_a_certificate(data_dir: Path, certificate: Path, red_png: bytes) -> None:
    settings = Settings(data_dir=data_dir, grpc_port=0, tls_certificate=certificate, tls_key=certificate.with_name("key.pem"))
    app, trusted = create_app(settings), trust_in(certificate)
    async with running(app) as http, grpc.aio.secure_channel(f"localhost:{app.state.grpc_port}", trusted) as channel:
        assert (await Client(app, channel, http).infer(images(red_png))).outputs


async def test_a_certificate_that_is_not_there_is_a_bad_setting(data_dir: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    app = create_app(Settings(data_dir=data_dir, grpc_port=0, tls_certificate=missing, tls_key=missing))
    with pytest.raises(BadSettings, match="tls_certificate"):
        async with app.router.lifespan_context(app):
            pass
