"""Several processes on one port."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from mingmu.registry.store import Store
from tests.real.conftest import Process, launch

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc"),
]

RECOGNIZE = "/v1/recognizers/tiny/recognize"
Start = Callable[..., Process]


def workers(process: Process) -> set[int]:
    """The process ids of a service's workers."""
    listed = Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children").read_text()
    return {int(pid) for pid in listed.split()}


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def who(answer: httpx.Response | http.client.HTTPResponse) -> str:
    """Which worker answered: ids of one process begin alike."""
    return answer.headers["x-request-id"][:8]


def connection_to(process: Process) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(process.host, process.port, timeout=20)


@pytest.fixture(scope="module")
def fleet(tiny_dir: Path) -> Iterator[Process]:
    """A service of two workers for the tests that leave all processes alive."""
    process = launch(tiny_dir, workers=2)
    process.wait_until_ready()
    yield process
    process.end()


def test_few_kept_connections_are_spread_evenly(fleet: Process) -> None:
    with contextlib.ExitStack() as open_:
        for _ in range(2):  # the second time with eight that have ended
            connections = [open_.enter_context(contextlib.closing(connection_to(fleet))) for _ in range(8)]
            found: Counter[str] = Counter()
            for connection in connections:
                connection.request("GET", "/v2/health/ready")
                answer = connection.getresponse()
                answer.read()
                found[who(answer)] += 1
            assert sorted(found.values()) == [4, 4]
            open_.close()
            time.sleep(0.5)  # until that is known


def test_metrics_are_those_of_all_workers(fleet: Process, red_png: bytes) -> None:
    def count(name: str) -> float:
        text = httpx.get(f"{fleet.url}/metrics").text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))

    before = count('mingmu_images_total{kind="",recognizer="tiny"}')
    asked = [httpx.post(fleet.url + RECOGNIZE, content=red_png) for _ in range(6)]
    assert len({who(answer) for answer in asked}) == 2
    for _ in range(4):  # from either worker
        assert count('mingmu_images_total{kind="",recognizer="tiny"}') == before + 6
    assert count('mingmu_batch_images_count{recognizer="tiny"}') == before + 6
    text = httpx.get(f"{fleet.url}/metrics").text
    assert len(re.findall(r"^process_resident_memory_bytes\{", text, re.MULTILINE)) == 2
    assert 'mingmu_queue_images{recognizer="tiny"} 0.0' in text


def test_a_killed_worker_is_replaced_and_others_do_not_notice(start: Start, red_png: bytes) -> None:
    process = start(workers=2)
    before = workers(process)
    with contextlib.closing(connection_to(process)) as one, contextlib.closing(connection_to(process)) as two:
        for connection in (one, two):
            connection.request("POST", RECOGNIZE, red_png)
            connection.getresponse().read()
            connection.auto_open = 0  # what is lost stays lost
        os.kill(min(before), signal.SIGKILL)
        time.sleep(0.2)
        answers = 0
        for _ in range(30):
            for connection in (one, two):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    connection.request("POST", RECOGNIZE, red_png)
                    answers += connection.getresponse().read().startswith(b"{")
            assert httpx.post(process.url + RECOGNIZE, content=red_png).status_code == 200
    assert answers == 30  # of the one whose worker lives
    wait_until(lambda: len(workers(process)) == 2)
    wait_until(lambda: 'images_total{kind="",recognizer="tiny"} 62.0' in httpx.get(process.url + "/metrics").text)  # none is forgotten
    assert process.stop() == 0
    assert any("another takes its place" in line for line in process.lines)


async def send_until(stop: threading.Event, process: Process, red_png: bytes) -> Counter[int]:
    """Statuses of one client that asks again and again; 0 where there was no answer."""
    statuses: Counter[int] = Counter()
    async with httpx.AsyncClient(timeout=20) as client:
        while not stop.is_set():
            try:
                statuses[(await client.post(process.url + RECOGNIZE, content=red_png)).status_code] += 1
            except httpx.TransportError:
                statuses[0] += 1
    return statuses


def test_a_rolling_restart_loses_no_request(start: Start, red_png: bytes) -> None:
    process = start(workers=2, drain_timeout=5)
    before, stop = workers(process), threading.Event()

    async def clients() -> list[Counter[int]]:
        return await asyncio.gather(*(send_until(stop, process, red_png) for _ in range(8)))

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(asyncio.run, clients())
        time.sleep(0.5)
        process.popen.send_signal(signal.SIGHUP)
        wait_until(lambda: any("all workers have been restarted" in line for line in process.lines), 60)
        stop.set()
        statuses = sum(sending.result(), Counter[int]())
    assert statuses[200] > 100
    assert set(statuses) == {200}
    assert len(workers(process)) == 2
    assert not workers(process) & before
    assert process.stop() == 0


def test_an_idle_connection_does_not_hold_up_a_restart(start: Start) -> None:
    process = start(workers=2, drain_timeout=1)
    with httpx.Client() as idle:
        assert idle.get(process.url + "/v2/health/ready").status_code == 200
        process.popen.send_signal(signal.SIGHUP)
        wait_until(lambda: any("all workers have been restarted" in line for line in process.lines))


def test_a_stream_is_told_of_a_restart_at_once(start: Start, red_png: bytes) -> None:
    process = start(workers=2, drain_timeout=15)
    address = f"ws://{process.host}:{process.port}/v1/recognizers/tiny/stream"
    with connect(address, compression=None) as stream:
        stream.send(red_png)
        assert json.loads(stream.recv(10))["recognizer"] == "tiny"
        begun = time.monotonic()
        process.popen.send_signal(signal.SIGHUP)
        with pytest.raises(ConnectionClosed) as closed:
            stream.recv(20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012  # service restart
    wait_until(lambda: any("all workers have been restarted" in line for line in process.lines))
    assert time.monotonic() - begun < 15


def test_a_stream_that_opens_at_a_worker_that_leaves_is_told_of_the_restart(start: Start) -> None:
    process = start(workers=2, drain_timeout=10)
    with contextlib.ExitStack() as open_:
        one, two = (open_.enter_context(contextlib.closing(connection_to(process))) for _ in range(2))
        for each in (one, two):
            each.connect()
        beside = {each: open_.enter_context(socket.create_connection((process.host, process.port), 20)) for each in (one, two)}
        time.sleep(0.3)
        process.popen.send_signal(signal.SIGHUP)

        def leaves(connection: http.client.HTTPConnection) -> bool:
            connection.request("GET", "/v2/health/live")
            answer = connection.getresponse()
            answer.read()
            return answer.will_close

        wait_until(lambda: leaves(one) or leaves(two))
        opening = beside[one if one.sock is None else two]
        upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
        opening.sendall("\r\n".join(("GET /v1/recognizers/tiny/stream HTTP/1.1", "Host: x", *upgrade, "", "")).encode())
        received = b""
        while b"the service restarts" not in received:
            part = opening.recv(65536)
            assert part, received
            received += part
        assert received.startswith(b"HTTP/1.1 101")


def test_a_stop_answers_who_is_in_work_at_any_worker(start: Start, red_png: bytes) -> None:
    process = start(workers=2)
    with contextlib.ExitStack() as open_:
        slow = [open_.enter_context(contextlib.closing(connection_to(process))) for _ in range(4)]
        for connection in slow:
            connection.putrequest("POST", RECOGNIZE)
            connection.putheader("Content-Length", str(len(red_png)))
            connection.endheaders(red_png[:10])
        time.sleep(0.3)
        process.popen.send_signal(signal.SIGTERM)
        time.sleep(0.8)
        for connection in slow:
            connection.send(red_png[10:])
            assert connection.getresponse().status == 200
    assert process.popen.wait(10) == 0


def test_ctrl_c_twice_means_now(start: Start) -> None:
    process = start(workers=2)
    connection = connection_to(process)
    connection.putrequest("POST", RECOGNIZE)
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"x")
    time.sleep(0.3)
    process.popen.send_signal(signal.SIGINT)
    time.sleep(0.6)
    assert process.popen.poll() is None
    process.popen.send_signal(signal.SIGINT)
    process.popen.wait(5)
    connection.close()


def test_no_worker_outlives_its_supervisor(start: Start) -> None:
    process = start(workers=2)
    left = workers(process)
    process.popen.kill()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left))


def test_what_keeps_workers_from_starting_is_said_once_and_plainly(data_dir: Path) -> None:
    store = Store(data_dir)
    digest = store.resolve("tiny").digest
    store.publish("general", digest)  # what is loaded at the start
    (store.artifacts / digest / "head.npz").write_bytes(b"spoilt")
    process = launch(data_dir, workers=2)
    try:
        with pytest.raises(RuntimeError, match="did not start") as caught:
            process.wait_until_ready()
        assert process.popen.wait(10) == 1
        last = str(caught.value).splitlines()[-1]
        assert last.startswith("mingmu.core.errors.MingmuError: ")
        assert digest[:12] in last
    finally:
        process.end()


def test_workers_share_a_grpc_port(start: Start) -> None:
    pytest.importorskip("grpc", reason="grpcio is not installed")
    process = start(workers=2, grpc_port=0)
    found = [line for line in process.lines if "answers gRPC" in line]
    assert len(found) == 2
    assert len(set(found)) == 1


def test_log_lines_of_workers_are_whole(fleet: Process, red_png: bytes) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert all(
            answer.status_code == 200 for answer in pool.map(lambda _: httpx.post(fleet.url + RECOGNIZE, content=red_png), range(40))
        )
    assert all(json.loads(line) for line in [*fleet.lines] if not line.startswith("Mingmu"))
