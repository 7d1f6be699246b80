"""Keeps several processes that serve one port: accepts connections and deals them out evenly, replaces who dies, restarts one by one.

    fleet (supervisor)  --- a connection's descriptor, again and again; the end: leave --->  worker (mingmu.serve.process)
                        <---------- ready, ended, leaving, failed; one line each -----------

The supervisor alone listens, so the port stays open while workers come and go, and it knows who has how many connections.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

from mingmu.core.errors import MingmuError
from mingmu.serve.server import announce, listen
from mingmu.settings import Settings

log = logging.getLogger("mingmu.serve")

BACKLOG = 2048
FAREWELL = 0.3  # seconds in which newcomers are still told that the service stops
PATIENCE = 10.0  # seconds that a worker may take longer to stop than the setting `drain_timeout` says
STEADY = 10.0  # seconds after which a worker that dies is replaced at once
PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds until one that died earlier is; doubled each time
BUSY = 0.05  # seconds until a connection that no worker could take is offered again


def lead(settings: Settings, listener: socket.socket) -> None:
    """Serve with several workers until a signal says stop; raises MingmuError if they cannot start."""
    with tempfile.TemporaryDirectory(prefix="mingmu-") as folder:
        if settings.grpc_port == 0:
            with listen(settings.host, 0) as free:  # all workers take the same
                settings = settings.model_copy(update={"grpc_port": free.getsockname()[1]})
        asyncio.run(Fleet(settings, listener, Path(folder)).run())


class Fleet:
    """The workers of one service."""

    def __init__(self, settings: Settings, listener: socket.socket, folder: Path) -> None:
        self._settings = settings
        self._listener = listener
        self._folder = folder  # where workers count what /metrics shows
        self._posts: list[Worker] = []  # who is to serve
        self._alive: dict[Worker, asyncio.Task[None]] = {}  # they, who is about to, and who has been let go; each until its end
        self._dead: asyncio.Queue[Worker] = asyncio.Queue()  # whose posts are empty
        self._stop, self._restart = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C; SIGHUP restarts the workers, one after the other."""
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sig, self._told_to_stop, sig)
        loop.add_signal_handler(signal.SIGHUP, self._restart.set)
        serving, stop = asyncio.create_task(self._serve()), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()  # raises why they could not start
        finally:
            await self._end(serving)

    def _told_to_stop(self, sig: signal.Signals) -> None:
        if self._stop.is_set() and sig == signal.SIGINT:  # Ctrl-C again: now
            for worker in self._alive:
                worker.process.kill()
        self._stop.set()

    async def _serve(self) -> None:
        self._posts += await asyncio.gather(*(self._hire() for _ in range(self._settings.workers)))
        self._listener.setblocking(False)
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # its connections inherit it
        self._listener.listen(BACKLOG)
        announce(self._settings, self._listener, f" with {self._settings.workers} workers")
        await asyncio.gather(self._deal(), self._replace_the_dead(), self._restart_when_told())

    async def _end(self, serving: asyncio.Task[None]) -> None:
        """Let all workers answer whom they have let in, and wait until they are gone."""
        self._stop.set()
        for worker in self._alive:
            worker.process.terminate()
        if self._posts:
            await asyncio.sleep(FAREWELL)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        self._listener.close()
        for worker in self._alive:
            worker.let_go()
        ends = [*self._alive.values()]
        if ends:
            await asyncio.wait(ends, timeout=self._settings.drain_timeout + PATIENCE)
        for worker in self._alive:
            worker.process.kill()
        await asyncio.gather(*ends)

    async def _hire(self) -> Worker:
        """A new worker that has proven what it serves; raises MingmuError."""
        taken = {worker.number for worker in self._alive}
        try:
            worker = Worker(next(number for number in count(1) if number not in taken), self._settings, self._folder)
        except OSError as error:
            raise MingmuError(f"no process can be started for a worker: {error}") from error
        self._alive[worker] = asyncio.create_task(self._attend(worker))
        await worker.ready
        return worker

    async def _attend(self, worker: Worker) -> None:
        """Follow a worker to its end, and note it if nobody let it go."""
        from prometheus_client.multiprocess import mark_process_dead

        code = await worker.follow()
        del self._alive[worker]
        mark_process_dead(worker.number, str(self._folder))  # type: ignore[no-untyped-call]
        if worker in self._posts and not self._stop.is_set():
            self._posts.remove(worker)
            self._dead.put_nowait(worker)
            log.error("a worker died; another takes its place", extra={"worker": worker.number, "exit_code": code})

    async def _replace_the_dead(self) -> None:
        pause = 0.0
        while True:
            worker = await self._dead.get()
            pause = 0.0 if time.monotonic() - worker.started > STEADY else _longer(pause)
            while not await self._filled(pause):
                pause = _longer(pause)

    async def _filled(self, pause: float) -> bool:
        """Whether a new worker could start, after a pause."""
        await asyncio.sleep(pause)
        try:
            self._posts.append(await self._hire())
        except MingmuError as error:
            log.error("a worker cannot start", extra={"problem": str(error)})
            return False
        return True

    async def _restart_when_told(self) -> None:
        while True:
            await self._restart.wait()
            self._restart.clear()
            try:
                for worker in [*self._posts]:
                    await self._relieve(worker)
                log.info("all workers have been restarted")
            except MingmuError as error:
                log.error("a new worker cannot start, so those there are go on", extra={"problem": str(error)})

    async def _relieve(self, worker: Worker) -> None:
        """Put a new worker in the place of one, and wait until that one has answered whom it has let in."""
        fresh = await self._hire()
        if worker not in self._posts:  # it died meanwhile, and is being replaced
            return fresh.let_go()
        self._posts[self._posts.index(worker)] = fresh
        end = self._alive[worker]
        worker.let_go()
        return await asyncio.shield(end)

    async def _deal(self) -> None:
        """Give each new connection to the worker that has the fewest."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                log.error("a connection cannot be accepted", extra={"problem": str(error)})
                await asyncio.sleep(BUSY)
                continue
            with connection:
                await self._hand_over(connection)

    async def _hand_over(self, connection: socket.socket) -> None:
        while True:
            for worker in sorted(self._posts, key=Worker.load):
                if worker.take(connection):
                    return
            await asyncio.sleep(BUSY)


class Worker:
    """One process that serves, as the supervisor sees it; raises OSError if it cannot be started."""

    def __init__(self, number: int, settings: Settings, folder: Path) -> None:
        self.number = number  # no other one that lives has it
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.started = time.monotonic()
        self._taken = 0  # connections
        self._ended = 0  # of them, by what the worker says
        self._leaving = False
        self._failure = ""
        self._channel, theirs = socket.socketpair()
        with theirs:
            try:
                self.process = _start(theirs)
            except OSError:
                self._channel.close()
                raise
        said = {"number": number, "folder": str(folder), "settings": share(settings).model_dump(mode="json")}
        with suppress(ConnectionError):  # it died already; `follow` sees to it
            self._channel.sendall(json.dumps(said).encode() + b"\n")
        self._channel.setblocking(False)

    def load(self) -> tuple[int, int]:
        """What decides who gets the next connection: the fewest open ones, then the fewest so far."""
        return self._taken - self._ended, self._taken

    def take(self, connection: socket.socket) -> bool:
        """Hand a connection over; False if the worker cannot take it now."""
        if self._leaving:
            return False
        try:
            socket.send_fds(self._channel, [b"c"], [connection.fileno()])
        except OSError:  # it has not yet taken those before, or is dead
            return False
        self._taken += 1
        return True

    def let_go(self) -> None:
        """Tell the worker that no more connections come: it ends when those it has are answered."""
        self._leaving = True
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)

    async def follow(self) -> int:
        """Listen to what the worker says until it ends; its exit code."""
        rest = b""
        with suppress(ConnectionError), self._channel:
            while heard := await asyncio.get_running_loop().sock_recv(self._channel, 65536):
                *lines, rest = (rest + heard).split(b"\n")
                for line in lines:
                    self._hear(*line.decode().split(" ", 1))
        self._leaving = True
        code = await asyncio.to_thread(self.process.wait)
        if not self.ready.done():
            self.ready.set_exception(MingmuError(self._failure or f"a worker ended with exit code {code}; the log says why"))
        return code

    def _hear(self, word: str, more: str = "") -> None:
        if word == "ended":
            self._ended = int(more)
        elif word == "ready" and not self.ready.done():
            self.ready.set_result(None)
        elif word == "leaving":
            self._leaving = True
        elif word == "failed":
            self._failure = json.loads(more)


def _start(channel: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        # -P: what lies in the current folder must not stand in for our modules
        [sys.executable, "-P", "-m", "mingmu.serve", str(channel.fileno())],
        stdin=subprocess.DEVNULL,
        pass_fds=[channel.fileno()],
        process_group=0,  # Ctrl-C is for the supervisor alone
    )


def share(settings: Settings) -> Settings:
    """The settings of one worker: its part of what may wait, and of the memory for answers."""
    waiting = max(settings.max_queue // settings.workers, min(settings.max_queue, settings.max_images))  # a request must find room in one
    return settings.model_copy(update={"max_queue": waiting, "cache_bytes": settings.cache_bytes // settings.workers})


def _longer(pause: float) -> float:
    return min(LONGEST_PAUSE, 2 * pause or PAUSE)
