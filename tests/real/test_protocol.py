"""HTTP/1.1 on a real socket: what a head may ask for, and what may follow a body."""

from __future__ import annotations

import contextlib
import itertools
import time

import pytest

from tests.real.conftest import Process
from tests.real.test_server import connect, head, read_all, read_until

pytestmark = pytest.mark.real

H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")  # curl and Java do so
CHUNKED = head(None) + b"1\r\nx\r\n0\r\n"


@pytest.mark.parametrize("line", [b"a: b\r\n", b"x" * 8192])
def test_endless_trailers_are_refused(server: Process, line: bytes) -> None:
    sent = 0
    with connect(server) as connection:
        connection.sendall(CHUNKED)
        with contextlib.suppress(OSError):
            while sent < 40_000_000:
                connection.sendall(line * (65_536 // len(line)))
                sent += 65_536
    assert sent < 20_000_000


def test_who_sends_too_many_trailers_is_told_so(server: Process) -> None:
    with connect(server) as connection:
        connection.sendall(CHUNKED)
        time.sleep(0.1)
        connection.sendall(b"a: b\r\n" * 12_000)
        assert read_all(connection).startswith(b"HTTP/1.1 431")


def test_a_few_trailers_do_no_harm(server: Process, red_png: bytes) -> None:
    with connect(server) as connection:
        for _ in range(2):
            connection.sendall(head(None) + b"%x\r\n%s\r\n0\r\nX-Checksum: 1\r\n\r\n" % (len(red_png), red_png))
            assert read_until(connection, b"}}").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_a_protocol_that_is_not_spoken_is_ignored_and_the_body_read(server: Process, red_png: bytes, pieces: int) -> None:
    request = head(len(red_png), *H2C) + red_png
    cuts = [0, *(len(request) * i // pieces for i in range(1, pieces)), len(request)]
    if pieces == 2:
        cuts[1] = request.index(b"\r\n\r\n") + 4  # as curl does it
    with connect(server) as connection:
        for _ in range(2):
            for start, end in itertools.pairwise(cuts):
                connection.sendall(request[start:end])
                time.sleep(0.02)
            assert read_until(connection, b"}}").startswith(b"HTTP/1.1 200")


def test_chunks_and_pipelines_are_read_after_such_a_head_too(server: Process, red_png: bytes) -> None:
    chunked = head(None, *H2C) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(red_png), red_png)
    doubled = head(len(red_png), *H2C, "Connection: keep-alive") + red_png
    with connect(server) as connection:
        connection.sendall((chunked + doubled + head(len(red_png)) + red_png) * 3)
        assert read_until(connection, b"}}", 9).count(b"HTTP/1.1 200") == 9


def test_a_tunnel_is_refused(server: Process) -> None:
    with connect(server) as connection:
        connection.sendall(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 4")
