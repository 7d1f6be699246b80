from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.real.conftest import Process
from tests.serve.test_hostile import HOSTILE

pytestmark = pytest.mark.real

RECOGNIZE = "/v1/recognizers/tiny/recognize"
Start = Callable[..., Process]


def connect(process: Process) -> socket.socket:
    return socket.create_connection((process.host, process.port), timeout=20)


def read_all(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass  # closed while we were still sending
    return b"".join(parts)


def read_until(connection: socket.socket, end: bytes, times: int = 1) -> bytes:
    """What comes until `end` has come so many times."""
    received = b""
    while received.count(end) < times and (part := connection.recv(65536)):
        received += part
    return received


def head(length: int | None, *more: str) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = [f"POST {RECOGNIZE} HTTP/1.1", "Host: x", "Content-Type: image/png", size, *more]
    return "\r\n".join([*lines, "", ""]).encode()


def test_the_service_says_when_it_is_ready_and_exits_with_0(start: Start, red_png: bytes) -> None:
    for sig in (signal.SIGTERM, signal.SIGINT):
        process = start()
        assert httpx.get(f"{process.url}/v2/health/ready").status_code == 200
        assert httpx.post(process.url + RECOGNIZE, content=red_png).status_code == 200
        assert process.stop(sig) == 0
    line = next(json.loads(line) for line in process.lines if RECOGNIZE in line)
    assert (line["status"], line["recognizer"]) == (200, "tiny")


def test_a_stop_under_load_loses_no_request(start: Start, red_png: bytes) -> None:
    process = start()
    stopping = threading.Event()

    def send_until_told_to_stop() -> list[int]:
        statuses: list[int] = []
        connection = http.client.HTTPConnection(process.host, process.port, timeout=20)
        while True:
            try:
                connection.connect() if connection.sock is None else None
            except ConnectionRefusedError:
                assert stopping.is_set()
                return statuses
            connection.request("POST", RECOGNIZE, red_png)  # from here on, an answer is owed
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
            if response.status != 200 or response.will_close:
                return statuses

    with ThreadPoolExecutor(12) as pool:
        clients = [pool.submit(send_until_told_to_stop) for _ in range(12)]
        time.sleep(0.7)
        stopping.set()
        assert process.stop() == 0
        statuses = [status for client in clients for status in client.result()]
    assert statuses.count(200) > 12
    assert set(statuses) <= {200, 503}


def test_a_request_in_work_is_answered_after_the_stop(start: Start, red_png: bytes) -> None:
    process = start()
    with connect(process) as connection:
        connection.sendall(head(len(red_png)) + red_png[:10])
        time.sleep(0.2)
        process.popen.send_signal(signal.SIGTERM)
        time.sleep(1)
        connection.sendall(red_png[10:])
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer
    assert process.popen.wait(10) == 0


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.skipif(sys.platform == "win32", reason="one worker only"))])
def test_newcomers_are_told_of_a_stop_then_find_the_port_closed(start: Start, red_png: bytes, workers: int) -> None:
    process = start(workers=workers)
    with connect(process) as held:
        held.sendall(head(len(red_png)) + red_png[:10])
        time.sleep(0.3)
        stopped = time.monotonic()
        process.popen.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        while time.monotonic() < stopped + 0.25:
            with connect(process) as newcomer:
                newcomer.sendall(head(len(red_png)) + red_png)
                assert read_all(newcomer).startswith(b"HTTP/1.1 503")
        time.sleep(0.6)
        with pytest.raises(ConnectionRefusedError):
            connect(process)
        held.sendall(red_png[10:])
        assert read_all(held).startswith(b"HTTP/1.1 200")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGHUP")
def test_without_tls_a_single_process_takes_no_notice_of_sighup(start: Start, red_png: bytes) -> None:
    process = start()
    process.popen.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert httpx.post(process.url + RECOGNIZE, content=red_png).status_code == 200
    assert process.stop() == 0


def test_a_request_that_never_ends_does_not_hold_up_the_stop(start: Start) -> None:
    process = start(drain_timeout=1)
    with connect(process) as connection:
        connection.sendall(head(1000))
        time.sleep(0.2)
        started = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - started < 5


def test_slow_clients_are_given_up(start: Start, red_png: bytes) -> None:
    process = start(body_timeout=1)
    with connect(process) as silent, connect(process) as slow_head, connect(process) as second:
        second.sendall(head(len(red_png)) + red_png)
        assert read_until(second, b"}}").startswith(b"HTTP/1.1 200")
        with connect(process) as slow_body:
            slow_body.sendall(head(1000) + b"x")
            begun = time.monotonic()
            while time.monotonic() - begun < 2:
                for connection in (slow_head, second):
                    with contextlib.suppress(OSError):
                        connection.sendall(b"POST / HTTP/1.1\r\n" if time.monotonic() - begun < 0.05 else b"X-A: b\r\n")
                time.sleep(0.05)
            assert read_all(slow_body).startswith(b"HTTP/1.1 408")
        for connection in (silent, slow_head, second):
            assert read_all(connection) == b""
        assert time.monotonic() - begun < 10
    assert httpx.post(process.url + RECOGNIZE, content=red_png).status_code == 200


def test_slow_clients_take_nobody_s_place(start: Start, red_png: bytes) -> None:
    process = start(max_queue=2)
    with contextlib.ExitStack() as slow:
        for _ in range(50):
            slow.enter_context(connect(process)).sendall(head(1000) + b"x")
        time.sleep(0.3)
        assert httpx.post(process.url + RECOGNIZE, content=red_png).status_code == 200


def test_an_answer_before_the_end_of_a_large_body_is_the_only_one(server: Process, red_png: bytes) -> None:
    with connect(server) as connection:
        start = head(3_500_000).replace(RECOGNIZE.encode(), b"/nothing")
        connection.sendall(start)
        assert read_until(connection, b'"}').startswith(b"HTTP/1.1 404")
        for _ in range(35):
            connection.sendall(bytes(100_000))
        connection.sendall(head(len(red_png)) + red_png)
        assert read_until(connection, b"}}").startswith(b"HTTP/1.1 200")


def test_a_head_that_comes_in_one_piece_is_bounded_too(server: Process) -> None:
    with connect(server) as connection:
        connection.sendall(b"GET /v2 HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 66_000 + b"\r\n\r\n")
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 431")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["request_id"]


def test_a_flood_of_chunks_is_refused(start: Start, red_png: bytes) -> None:
    process = start(max_body_bytes=100_000)
    sent = 0
    with connect(process) as connection:
        connection.sendall(head(None))
        with contextlib.suppress(OSError):
            while sent < 50_000_000:
                connection.sendall(b"400\r\n" + bytes(0x400) + b"\r\n")
                sent += 0x400
        assert read_all(connection).startswith(b"HTTP/1.1 413")
    assert sent < 20_000_000
    assert httpx.post(process.url + RECOGNIZE, content=red_png).status_code == 200


def test_a_large_upload_is_refused_before_it_is_sent(start: Start, red_png: bytes) -> None:
    process = start(max_body_bytes=1000)
    with connect(process) as connection:
        connection.sendall(head(5000, "Expect: 100-continue"))
        assert read_all(connection).startswith(b"HTTP/1.1 413")
    with connect(process) as connection:
        connection.sendall(head(len(red_png), "Expect: 100-continue"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 100")
        connection.sendall(red_png)
        assert read_until(connection, b"}}").startswith(b"HTTP/1.1 200")
    assert httpx.post(process.url + RECOGNIZE, content=bytes(2_000_000)).status_code == 413


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"rubbish\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET /" + b"a" * 1_000_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 200_000, 431),
    ],
)
def test_what_is_not_http_gets_a_problem(server: Process, red_png: bytes, request_bytes: bytes, status: int) -> None:
    with connect(server) as connection:
        with contextlib.suppress(OSError):  # it may be refused before all is sent
            connection.sendall(request_bytes)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 %d" % status)
    assert b"application/problem+json" in answer
    assert httpx.post(server.url + RECOGNIZE, content=red_png).status_code == 200


def test_requests_one_after_the_other_on_one_connection_are_all_answered(start: Start, red_png: bytes) -> None:
    process = start(body_timeout=1)
    with connect(process) as connection:
        connection.sendall((head(len(red_png)) + red_png) * 20)  # pipelined
        assert read_until(connection, b"}}", 20).count(b"HTTP/1.1 200") == 20


def test_answers_to_pipelined_requests_keep_their_order(server: Process, red_png: bytes) -> None:
    def request(number: int) -> bytes:
        name = f"X-Request-Id: {number}"  # every second one has nothing to wait for
        return head(len(red_png), name) + red_png if number % 2 == 0 else f"GET /v2 HTTP/1.1\r\nHost: x\r\n{name}\r\n\r\n".encode()

    with connect(server) as connection:
        connection.sendall(b"".join(map(request, range(20))) + b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answered = re.findall(rb"\r\nx-request-id: (\d{1,2})\r\n", read_all(connection))
    assert answered == [b"%d" % number for number in range(20)]


def test_clients_that_vanish_leave_no_trace(start: Start, red_png: bytes) -> None:
    process = start()
    for _ in range(50):
        with connect(process) as connection:
            connection.sendall(head(len(red_png)) + red_png)
        with connect(process) as connection:
            connection.sendall(head(len(red_png)) + red_png[:10])
    assert httpx.post(process.url + RECOGNIZE, content=red_png).status_code == 200
    assert 'mingmu_queue_images{recognizer="tiny"} 0.0' in httpx.get(process.url + "/metrics").text
    assert process.stop() == 0
    assert not any('"level":"error"' in line for line in process.lines)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak memory of a process is read from /proc")
def test_hostile_input_takes_bounded_memory(start: Start, red_png: bytes) -> None:
    process = start(max_images=4)

    def peak() -> int:
        """MiB that the process has had in memory at most."""
        status = Path(f"/proc/{process.popen.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024

    before = peak()
    for body, headers, status, kind in HOSTILE.values():
        response = httpx.post(process.url + RECOGNIZE, content=body, headers=headers, timeout=20)
        assert (response.status_code, response.json()["kind"]) == (status, kind)
    assert httpx.post(process.url + RECOGNIZE, content=red_png).status_code == 200
    assert peak() - before < 128  # the largest body has 20 MB


def test_an_address_in_use_is_said_plainly(start: Start, server: Process) -> None:
    with pytest.raises(RuntimeError, match="cannot listen on"):
        start(port=server.port)
