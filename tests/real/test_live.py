from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_stream

from mingmu.serve.live import MOST_STREAMS
from tests.real.conftest import Process
from tests.real.test_server import connect, read_all, read_until

pytestmark = pytest.mark.real

STREAM = "/v1/recognizers/tiny/stream"
HANDSHAKE = (
    f"GET {STREAM} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
).encode()
Start = Callable[..., Process]


def stream(process: Process, query: str = "") -> ClientConnection:
    return open_stream(f"ws://{process.host}:{process.port}{STREAM}{query}", compression=None)


def frame(opcode: int, payload: bytes = b"", *, last: bool = True) -> bytes:
    """A frame as clients send it, masked with zeros."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xff" + struct.pack(">Q", size)
    return bytes([0x80 * last | opcode]) + length + bytes(4) + payload


def memory(process: Process) -> int:
    """MiB of a process now."""
    return int(Path(f"/proc/{process.popen.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 2**20


def still_answers(process: Process, red_png: bytes) -> bool:
    with stream(process) as client:
        client.send(red_png)
        return bool(json.loads(client.recv(10))["labels"][0]["label"] == "red")


def test_frames_are_answered_in_order_and_leave_one_line(start: Start, red_png: bytes, blue_png: bytes) -> None:
    process = start()
    with stream(process, "?top=1") as client:
        for picture, label in [(red_png, "red"), (blue_png, "blue")]:
            client.send(picture)
            assert json.loads(client.recv(10))["labels"][0]["label"] == label
    assert process.stop() == 0
    line = next(json.loads(line) for line in process.lines if STREAM in line)
    assert (line["method"], line["status"], line["recognizer"], line["images"]) == ("WS", 101, "tiny", 2)
    assert line["bytes"] == len(red_png) + len(blue_png)


def test_a_flood_of_frames_is_thinned_out(server: Process, red_png: bytes) -> None:
    with stream(server) as client:
        for _ in range(2000):
            client.send(red_png)
        client.send(b"the last")
        seen = dropped = 0
        while True:
            answer = json.loads(client.recv(10))
            seen, dropped = seen + 1, dropped + answer["dropped"]
            if "error" in answer:
                break
    assert (answer["frame"], seen + dropped) == (2001, 2001)
    assert dropped > 0


def test_a_huge_message_closes_the_stream_with_the_limit(start: Start, red_png: bytes) -> None:
    process = start(max_image_bytes=100_000)
    with stream(process) as client:
        with contextlib.suppress(ConnectionClosedError):
            client.send(bytes(20_000_000))
        with pytest.raises(ConnectionClosedError) as closed:
            client.recv(10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009
    assert "100000" in closed.value.rcvd.reason
    assert still_answers(process, red_png)


def test_streams_share_the_memory_of_all_bodies(start: Start, red_png: bytes) -> None:
    process = start(max_body_bytes=100_000, max_image_bytes=1_000_000)  # eight of the former in all
    with stream(process) as client:
        with contextlib.suppress(ConnectionClosedError):
            client.send([bytes(300_000)] * 3)
        with pytest.raises(ConnectionClosedError) as closed:
            client.recv(10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013
    assert still_answers(process, red_png)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory of a process is read from /proc")
def test_who_never_reads_is_cut_off_and_costs_no_memory(start: Start, red_png: bytes) -> None:
    process = start(body_timeout=1)
    assert still_answers(process, red_png)
    before = memory(process)
    with connect(process) as client:
        client.sendall(HANDSHAKE + b"\r\n")
        read_until(client, b"\r\n\r\n")
        begun, sent = time.monotonic(), 0
        ping = frame(9, bytes(125)) * 500 + frame(2, red_png)
        client.settimeout(5)
        with contextlib.suppress(OSError):  # that is the end of it
            while time.monotonic() - begun < 20:
                client.sendall(ping)
                sent += len(ping)
    assert time.monotonic() - begun < 10
    assert sent > 1_000_000
    assert memory(process) - before < 32
    assert still_answers(process, red_png)


def test_a_message_of_endless_empty_fragments_is_refused(server: Process, red_png: bytes) -> None:
    with connect(server) as client:
        client.sendall(HANDSHAKE + b"\r\n")
        read_until(client, b"\r\n\r\n")
        with contextlib.suppress(OSError):
            client.sendall(frame(2, last=False) + frame(0, last=False) * 100_000)
        answer = read_all(client)
    assert answer[:4] == bytes([0x88, len(answer) - 2]) + struct.pack(">H", 1009)
    assert still_answers(server, red_png)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (HANDSHAKE.replace(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"Sec-WebSocket-Key: x"), b"400"),
        (HANDSHAKE.replace(b"Version: 13", b"Version: 7"), b"400"),
        (HANDSHAKE.replace(b"GET", b"POST"), b"4"),
        (HANDSHAKE + b"X-A: " + b"a" * 20_000 + b"\r\n", b"4"),
        (HANDSHAKE + b"X-A: b\r\n" * 500, b"4"),
        (HANDSHAKE.replace(STREAM.encode(), b"/v1/nothing"), b"404"),
        (HANDSHAKE.replace(b"/tiny/", b"/nobody/"), b"404"),
        (HANDSHAKE + b"Origin: https://elsewhere.example\r\n", b"400"),
    ],
)
def test_a_handshake_that_is_none_gets_a_refusal(server: Process, red_png: bytes, head: bytes, status: bytes) -> None:
    with connect(server) as client:
        client.sendall(head + b"\r\n")
        assert read_all(client).startswith(b"HTTP/1.1 " + status)
    assert still_answers(server, red_png)


def test_what_is_no_frame_closes_the_stream(server: Process, red_png: bytes) -> None:
    with connect(server) as client:
        client.sendall(HANDSHAKE + b"\r\n")
        read_until(client, b"\r\n\r\n")
        client.sendall(os.urandom(10) + b"\xff" * 1000)
        assert read_all(client)[:1] == b"\x88"
    assert still_answers(server, red_png)


def test_a_thousand_clients_are_told_that_there_are_too_many(server: Process, red_png: bytes) -> None:
    with contextlib.ExitStack() as clients:
        refusals = []
        for _ in range(1000):
            try:
                clients.enter_context(stream(server))
            except InvalidStatus as error:
                refusals.append((error.response.status_code, json.loads(error.response.body or b"")["kind"]))
        assert refusals == [(429, "queue-full")] * (1000 - MOST_STREAMS)
        assert httpx.post(f"{server.url}/v1/recognizers/tiny/recognize", content=red_png).status_code == 200
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(InvalidStatus):
            assert still_answers(server, red_png)
            break
        time.sleep(0.1)


def test_a_stop_answers_the_frame_in_work_and_says_that_the_service_restarts(start: Start, red_png: bytes) -> None:
    process = start()
    with stream(process) as client, stream(process) as idle:
        client.send(red_png)
        client.recv(10)
        process.popen.send_signal(signal.SIGTERM)
        for each in (client, idle):
            with pytest.raises(ConnectionClosedError) as closed:
                each.recv(10)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "the service restarts; connect again")
    assert process.popen.wait(10) == 0
    assert not any('"level":"error"' in line for line in process.lines)
