"""What the benchmarks of the service share: photos, load from wrk, load on a timetable, memory of processes. Linux only."""

from __future__ import annotations

import asyncio
import io
import json
import math
import os
import re
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httptools
import numpy as np
import skimage.data
from PIL import Image

PAGE = resource.getpagesize()
NEVER = math.inf  # seconds until an answer that did not come


def photos() -> list[bytes]:
    """Real photos as 500x375 JPEGs of quality 90."""
    folder = Path(skimage.data.__file__).parent
    return [jpeg(folder / name) for name in ("chelsea.png", "coffee.png", "astronaut.png")]


def jpeg(path: Path) -> bytes:
    file = io.BytesIO()
    Image.open(path).convert("RGB").resize((500, 375), Image.Resampling.LANCZOS).save(file, "JPEG", quality=90)
    return file.getvalue()


@dataclass(frozen=True)
class Service:
    """A `mingmu serve` that is ready."""

    address: str
    process: int


@contextmanager
def service(data_dir: Path, **settings: object) -> Iterator[Service]:
    """`mingmu serve` on a free port, with settings by name."""
    command = [sys.executable, "-m", "mingmu", "--data-dir", str(data_dir), "serve", "--port", "0"]
    environment = os.environ | {f"MINGMU_{name.upper()}": str(value) for name, value in settings.items()}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        lines = iter(process.stderr or [])
        try:
            address = next(found[1] for line in lines if (found := re.search(r"(http://\S+:\d+)", line)))
            threading.Thread(target=lambda: [None for _ in lines], daemon=True).start()  # keep its log flowing
            yield Service(address, process.pid)
        finally:
            process.terminate()


@dataclass(frozen=True)
class Post:
    """What a server is asked, in turn: bodies to one URL."""

    url: str
    bodies: tuple[bytes, ...]
    content_type: str = "image/jpeg"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or 80

    def requests(self) -> list[bytes]:
        """Each body as a whole HTTP/1.1 request."""
        parts = urlsplit(self.url)
        head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: {self.content_type}\r\nContent-Length: "
        return [f"{head}{len(body)}\r\n\r\n".encode() + body for body in self.bodies]


@dataclass(frozen=True)
class Load:
    """What wrk saw."""

    rate: float  # good answers a second
    p50: float  # milliseconds
    p99: float
    failures: int


def wrk(url: str, script: Path, connections: int, seconds: int) -> Load:
    """Keep that many connections busy for a while; raises RuntimeError if wrk gives no result."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s", "-s", str(script), url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"RESULT (\{.*\})", text)
    if found is None:
        raise RuntimeError(f"wrk printed no result:\n{text}")
    return Load(**json.loads(found[1]))


def lua(folder: Path, bodies: Sequence[bytes], content_type: str = "image/jpeg") -> Path:
    """A wrk script that posts the bodies in turn."""
    for number, body in enumerate(bodies):
        (folder / f"{number}.body").write_bytes(body)
    script = folder / "post.lua"
    script.write_text(
        f"""
        local bodies, turn = {{}}, 0
        init = function()  -- not before: only now wrk knows the Host
          for i = 0, {len(bodies) - 1} do
            local file = io.open("{folder}/" .. i .. ".body", "rb")
            bodies[i] = wrk.format("POST", nil, {{["Content-Type"] = "{content_type}"}}, file:read("*a"))
            file:close()
          end
        end
        request = function() turn = (turn + 1) % {len(bodies)}; return bodies[turn] end
        done = function(summary, latency)
          local e = summary.errors
          local good = summary.requests - e.status
          print(string.format('RESULT {{"rate":%f,"p50":%f,"p99":%f,"failures":%d}}', good / summary.duration * 1e6,
            latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
        end
        """
    )
    return script


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one request of a timetable."""

    due: float  # seconds after the start at which it was to be sent
    sent: float  # seconds after the start at which it was sent: later means that this client could not keep up
    seconds: float  # from when it was due to the end of its answer; NEVER if there was none
    status: int  # of HTTP; 0 if there was no answer


def arrivals(rate: float, seconds: float, seed: int = 0) -> list[float]:
    """When requests are due that come independently of each other (Poisson), `rate` a second on average."""
    random = np.random.default_rng(seed)
    count = int(rate * seconds + 6 * math.sqrt(rate * seconds) + 6)  # more than enough
    times = np.cumsum(random.exponential(1 / rate, count))
    return [float(time) for time in times if time < seconds]


async def offer(post: Post, due: Sequence[float], *, patience: float = 10.0) -> list[Reply]:
    """Send requests when they are due, whatever has become of those before.

    Latency counts from when a request was due, so a server that stalls cannot hide it (no coordinated omission). Each
    request has a connection to itself: an idle one, or a new one. `patience` seconds after the last one was due, whoever
    still waits hangs up.
    """
    loop = asyncio.get_running_loop()
    lines = Lines(*post.address)
    requests = post.requests()
    start = loop.time()

    async def one(number: int) -> Reply:
        sent = loop.time() - start
        status = await lines.ask(requests[number % len(requests)])
        return Reply(due[number], sent, loop.time() - start - due[number] if status else NEVER, status)

    asked: list[asyncio.Task[Reply]] = []
    for number, time in enumerate(due):
        await asyncio.sleep(max(0.0, start + time - loop.time()))
        asked.append(asyncio.create_task(one(number)))
    await asyncio.wait(asked, timeout=max(patience, 1e-3))
    lines.hang_up()
    return await asyncio.gather(*asked)


class Lines:
    """Kept-alive connections to one server, as many as there are requests at a time."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._idle: list[_Line] = []
        self._open: set[_Line] = set()
        self._closed = False

    async def ask(self, request: bytes, *, leave_after: float | None = None) -> int:
        """Send one request; its status, or 0 if the connection ended first. `leave_after` seconds the client hangs up."""
        try:
            line = await self._line()
            return await line.ask(request, leave_after)
        except OSError:
            return 0

    def hang_up(self) -> None:
        """Abort every connection, also those that wait for an answer."""
        self._closed = True
        for line in [*self._open]:
            line.abort()

    async def _line(self) -> _Line:
        while self._idle:
            line = self._idle.pop()
            if line in self._open:
                return line
        _, line = await asyncio.get_running_loop().create_connection(lambda: _Line(self._open, self._idle), self._host, self._port)
        if self._closed:
            line.abort()
        return line


@dataclass(eq=False)
class _Line(asyncio.Protocol):
    """One connection."""

    open: set[_Line]
    idle: list[_Line]
    _transport: asyncio.Transport | None = field(default=None, init=False)
    _answer: asyncio.Future[int] | None = field(default=None, init=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's transport can write
        self._parser = httptools.HttpResponseParser(self)
        self.open.add(self)

    async def ask(self, request: bytes, leave_after: float | None) -> int:
        if self._transport is None or self not in self.open:
            return 0
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        leaving = None if leave_after is None else asyncio.get_running_loop().call_later(leave_after, self.abort)
        try:
            return await self._answer
        finally:
            if leaving is not None:
                leaving.cancel()

    def abort(self) -> None:
        self.open.discard(self)  # now, not when the loop comes round to it: nobody may take it up meanwhile
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort()

    def on_message_complete(self) -> None:
        kept = self._parser.should_keep_alive()
        self._finish(self._parser.get_status_code())
        self._parser = httptools.HttpResponseParser(self)
        if kept:
            self.idle.append(self)
        elif self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open.discard(self)
        self._finish(0)

    def _finish(self, status: int) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)


def allow_connections() -> None:
    """As many open connections as the system lets this process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of them do not exceed; 0 of none, NEVER where that many did not come."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else 0.0


def resident(root: int) -> int:
    """Bytes of memory that a process and all its descendants hold (pages they share count for each)."""
    return PAGE * sum(pages for _, pages in family(root).values())


def family(root: int) -> dict[int, tuple[int, int]]:
    """A process and all its descendants by id, each with its parent's id and the pages of memory it holds."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(") ")
        except OSError:  # it has ended meanwhile
            continue
        fields = rest.split()
        found[int(name.split(" ", 1)[0])] = int(fields[1]), int(fields[21])
    members = {root}
    while more := {pid for pid, (parent, _) in found.items() if parent in members} - members:
        members |= more
    return {pid: found[pid] for pid in members if pid in found}
