from __future__ import annotations

import shutil
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.certificates import make_certificate
from tests.real.conftest import Process
from tests.real.test_server import RECOGNIZE, head, read_all, read_until

pytestmark = pytest.mark.real

Start = Callable[..., Process]


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def connect(process: Process, trust: ssl.SSLContext) -> ssl.SSLSocket:
    return trust.wrap_socket(socket.create_connection((process.host, process.port), timeout=20), server_hostname="localhost")


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.skipif(sys.platform == "win32", reason="one worker only"))])
def test_over_tls_all_is_as_without(start: Start, tmp_path: Path, red_png: bytes, workers: int) -> None:
    certificate, key = make_certificate(tmp_path)
    process = start(tls_certificate=certificate, tls_key=key, body_timeout=1, workers=workers)
    trust = trusting(certificate)
    assert process.url.startswith("https://")
    with httpx.Client(verify=trust) as client:
        assert client.post(process.url + RECOGNIZE, content=red_png).status_code == 200
    with connect(process, trust) as pipelined:
        pipelined.sendall((head(len(red_png)) + red_png) * 5)
        assert read_until(pipelined, b"}}", 5).count(b"HTTP/1.1 200") == 5
    with connect(process, trust) as huge:
        huge.sendall(b"GET / HTTP/1.1\r\nX-A: " + b"a" * 70_000)
        assert read_all(huge).startswith(b"HTTP/1.1 431")
    with connect(process, trust) as slow, socket.create_connection((process.host, process.port), timeout=20) as silent:
        begun = time.monotonic()
        slow.sendall(b"POST / HTTP/1.1\r\n")
        assert read_all(slow) == b""
        assert 0.5 < time.monotonic() - begun < 5
        if workers > 1:
            assert read_all(silent) == b""  # not even a handshake
    with socket.create_connection((process.host, process.port), timeout=20) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert not read_all(plain).startswith(b"HTTP")
    assert process.stop() == 0
    assert not any('"level":"error"' in line for line in process.lines)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGHUP")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_new_certificate_is_taken_up_while_serving(start: Start, tmp_path: Path, workers: int) -> None:
    first, key = make_certificate(tmp_path / "used")
    second, second_key = make_certificate(tmp_path / "second")
    process = start(tls_certificate=first, tls_key=key, workers=workers, drain_timeout=1)
    shutil.copy(second, first)  # so far without its key

    def hup_until(said: str) -> None:
        process.popen.send_signal(signal.SIGHUP)
        end = time.monotonic() + 30
        while not any(said in line for line in process.lines):
            assert time.monotonic() < end, process.lines
            time.sleep(0.05)

    hup_until("key values mismatch")
    with pytest.raises(ssl.SSLError), connect(process, trusting(second)):
        pass  # the old one is still there
    shutil.copy(second_key, key)
    hup_until("has been read again" if workers == 1 else "have been restarted")
    with connect(process, trusting(second)):
        pass
