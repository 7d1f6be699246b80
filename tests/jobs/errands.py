"""Errands for tests: what they do shows in the files that their arguments name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mingmu.core.errors import Conflict
from mingmu.settings import Settings

Progress = Callable[[str, float], None]
TABLE = {name: f"{__name__}:{name}" for name in ("count", "fail", "break_down", "die", "ignore")}


def count(_: Settings, arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Count slowly, and note each start."""
    with Path(arguments["notes"]).open("a") as notes:
        notes.write(f"{os.getpid()}\n")
    for number in range(arguments["to"]):
        progress("counting", number / arguments["to"])
        time.sleep(0.05)
    return {"counted": arguments["to"], "niceness": os.nice(0)}


def fail(*_: object) -> dict[str, Any]:
    raise Conflict("there is nothing to count")


def break_down(*_: object) -> dict[str, Any]:
    raise ValueError("/a/secret/path")


def die(*_: object) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def ignore(_: Settings, arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Pay no attention to being asked to stop."""
    progress("ignoring", 0.0)
    time.sleep(60)
    return {}
