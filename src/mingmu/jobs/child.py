"""The process in which one job runs: it can be told to stop, killed, or run out of memory, and nobody else is hurt."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from mingmu.core.errors import MingmuError
from mingmu.core.logs import log_as_json
from mingmu.settings import Settings

log = logging.getLogger("mingmu.jobs")

NICENESS = 10  # answers to requests go first
OFTEN = 0.25  # seconds between two reports on one step
PATIENCE = 5.0  # seconds from asking to terminating, and from terminating to killing

Verb: TypeAlias = "Callable[[Settings, Mapping[str, Any], Callable[[str, float], None]], Mapping[str, Any]]"


class Stopped(Exception):
    """The job was asked to end."""


@dataclass(frozen=True, slots=True)
class Progressed:
    step: str
    share: float  # 0 to 1


@dataclass(frozen=True, slots=True)
class Done:
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Obeyed:
    """It ended because it was asked to."""


@dataclass(frozen=True, slots=True)
class Died:
    """The process ended without a word."""

    reason: str


Outcome = Done | Failed | Obeyed | Died


class Child:
    """A running job, as its worker sees it. `verb` is written as `module:function`."""

    def __init__(self, settings: Settings, verb: str, arguments: Mapping[str, Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=perform, args=(theirs, settings, verb, dict(arguments)), daemon=True)
        self._process.start()
        theirs.close()  # so that its end is the end of the pipe
        self._asked: float | None = None  # when it was told to stop

    def next(self, timeout: float) -> Progressed | Outcome | None:
        """What it says next; None if it says nothing for so many seconds."""
        try:
            if self._pipe.poll(timeout):
                message: Progressed | Outcome = self._pipe.recv()
                return message
        except (EOFError, OSError):
            self._process.join()
            return Died(f"its process ended with {_exit(self._process.exitcode)}")
        self._insist()
        return None

    def ask_to_stop(self) -> None:
        """Ask once; what does not obey within PATIENCE is terminated, then killed, by the calls of `next` that follow."""
        if self._asked is None:
            self._asked = time.monotonic()
            with contextlib.suppress(OSError):  # it may be gone already
                self._pipe.send("stop")

    def end(self) -> None:
        """Make sure that nothing of it is left."""
        self._process.terminate()
        self._process.join(PATIENCE / 2)
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _insist(self) -> None:
        waited = time.monotonic() - self._asked if self._asked is not None else 0.0
        if waited > 2 * PATIENCE:
            self._process.kill()
        elif waited > PATIENCE:
            self._process.terminate()


def _exit(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    return f"{signal.Signals(-code).name}{' (out of memory?)' if code == -9 else ''}"


def perform(pipe: Connection, settings: Settings, verb: str, arguments: Mapping[str, Any]) -> None:
    """Run a verb and say what came of it; the first thing that the child's process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the worker decides what it means
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    log_as_json(settings.log_level)
    reporter = _Reporter(pipe)
    threading.Thread(target=reporter.listen, daemon=True).start()
    pipe.send(_outcome(settings, verb, arguments, reporter))


def _outcome(settings: Settings, verb: str, arguments: Mapping[str, Any], reporter: _Reporter) -> Outcome:
    module, _, function = verb.partition(":")
    try:
        run: Verb = getattr(import_module(module), function)
        return Done(run(settings, arguments, reporter))
    except Stopped:
        return Obeyed()
    except Exception as error:
        known = isinstance(error, MingmuError) and error.status != 500
        if known:
            return Failed(error.kind, str(error))  # type: ignore[attr-defined]
        log.exception("a job failed")
        kind = error.kind if isinstance(error, MingmuError) else MingmuError.kind
        return Failed(kind, "a fault of the service; its log has the details")


class _Reporter:
    """The progress callback of a job: tells the worker, and raises Stopped once the worker said so."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._stop = threading.Event()
        self._step = ""
        self._last = 0.0

    def __call__(self, step: str, share: float) -> None:
        if self._stop.is_set():
            raise Stopped
        now = time.monotonic()
        if step != self._step or now - self._last >= OFTEN:
            self._step, self._last = step, now
            self._pipe.send(Progressed(str(step), min(1.0, max(0.0, float(share)))))

    def listen(self) -> None:
        """Wait for the worker's word; without a worker there is nobody left to work for."""
        try:
            self._pipe.recv()
            self._stop.set()
            self._pipe.recv()
        except (EOFError, OSError):
            os._exit(1)
