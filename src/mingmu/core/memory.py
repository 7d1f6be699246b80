"""The memory that decoding takes: shared out beforehand, and given back to the system afterwards."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

LARGE = 64 * 2**20  # bytes of a decode after which it is worth telling the C library to let go of what is free


class Budget:
    """Bytes that decoded images may take at one time; who does not fit waits for its turn, first come, first served."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._spent = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def share(self, count: int) -> Iterator[None]:
        """Hold `count` bytes of the budget; more than all of it means: alone."""
        count = min(count, self._limit)
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is turn and self._spent + count <= self._limit)
                self._spent += count
            finally:
                self._waiting.remove(turn)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._spent -= count
                self._changed.notify_all()


IN_FLIGHT = Budget(2**30)  # of the whole process, however many threads decode


def give_back() -> None:
    """Return freed memory to the system; glibc keeps it otherwise. Other C libraries do without."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
