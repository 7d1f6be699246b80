from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from bench.load import NEVER, Lines, Post, arrivals, family, offer, percentile, resident

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc")

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FULL = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
NO_ANSWER = b""


class Server:
    """Answers requests of four bytes, each after a delay, as a script says; counts its connections."""

    def __init__(self, answer: bytes, delay: float = 0.0) -> None:
        self.answer, self.delay = answer, delay
        self.connections = 0
        self.requests: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests.append(head + await reader.readexactly(4))
                await asyncio.sleep(self.delay)
                writer.write(self.answer)
                if self.answer == FULL:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def served(server: Server) -> AsyncIterator[Post]:
    running = await asyncio.start_server(server, "127.0.0.1", 0)
    try:
        yield Post(f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}/look", (b"four",), "text/plain")
    finally:
        running.close()


def test_a_request_names_its_host_type_and_length() -> None:
    [request] = Post("http://127.0.0.1:80/look", (b"four",), "text/plain").requests()
    assert request == b"POST /look HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nfour"


def test_arrivals_come_at_the_rate_that_is_asked_for_independently_of_each_other() -> None:
    times = arrivals(200, 50)
    gaps = np.diff(times)
    assert 0.97 * 200 * 50 < len(times) < 1.03 * 200 * 50
    assert 0 <= times[0] <= times[-1] < 50
    assert np.std(gaps) == pytest.approx(np.mean(gaps), rel=0.05)  # as of an exponential distribution


async def test_latency_counts_from_when_a_request_was_due() -> None:
    async with served(Server(OK, delay=0.05)) as post:
        replies = await offer(post, [0.0, 0.01, 0.02])
    assert [reply.status for reply in replies] == [200] * 3
    assert all(0.05 <= reply.seconds < 1 for reply in replies)
    assert all(reply.sent >= reply.due for reply in replies)


async def test_requests_do_not_wait_for_those_before() -> None:
    server = Server(OK, delay=0.2)
    async with served(server) as post:
        replies = await offer(post, [0.0] * 5)
    assert server.connections == 5
    assert max(reply.seconds for reply in replies) < 5 * 0.2


async def test_an_idle_connection_is_used_again() -> None:
    server = Server(OK)
    async with served(server) as post:
        await offer(post, [0.0, 0.2, 0.4])
    assert server.connections == 1
    assert len(server.requests) == 3


async def test_a_refusal_is_a_reply_and_a_closed_connection_is_not_used_again() -> None:
    server = Server(FULL)
    async with served(server) as post:
        replies = await offer(post, [0.0, 0.2])
    assert [reply.status for reply in replies] == [429, 429]
    assert server.connections == 2


async def test_who_still_waits_at_the_end_hangs_up() -> None:
    async with served(Server(NO_ANSWER)) as post:
        [reply] = await offer(post, [0.0], patience=0.1)
    assert (reply.status, reply.seconds) == (0, NEVER)


async def test_a_client_that_leaves_gets_no_answer_and_one_that_stays_long_enough_keeps_its_connection() -> None:
    server = Server(OK, delay=0.05)
    async with served(server) as post:
        lines, [request] = Lines(*post.address), post.requests()
        assert await lines.ask(request, leave_after=0.01) == 0
        assert await lines.ask(request, leave_after=0.5) == 200
        await asyncio.sleep(0.6)
        assert await lines.ask(request) == 200
        lines.hang_up()
    assert server.connections == 2


async def test_a_server_that_is_not_there_gives_no_answer() -> None:
    async with served(Server(OK)) as post:
        pass
    assert [reply.status for reply in await offer(post, [0.0], patience=1)] == [0]


def test_a_percentile_is_one_of_the_values_and_lost_answers_count_as_endless() -> None:
    assert percentile([3, 1, 2, 4], 50) == 2
    assert percentile([3, 1, 2, 4], 99) == 4
    assert percentile([1, NEVER], 99) == NEVER
    assert percentile([], 99) == 0


def test_memory_is_that_of_a_process_and_its_children() -> None:
    alone = resident(os.getpid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert {os.getpid(), child.pid} <= family(os.getpid()).keys()
        assert resident(os.getpid()) > alone > 10 * 2**20
        child.communicate(b"\n")
