"""Who else serves this port, and whether they are busy: a lone request may have all processors only if nobody else needs one."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

FILE = "busy"
PLACES = 4096  # bytes, one for each worker that lives


class Company:
    """The workers that share out the processors, this one among them; a process that serves by itself is its own company."""

    def __init__(self, size: int = 1) -> None:
        self.size = size
        self._place = 0
        self._busy: bytearray | mmap.mmap = bytearray(1)

    @classmethod
    def joined(cls, folder: Path, number: int, size: int) -> Company:
        """The company of `size` workers who tell each other in `folder` whether they are busy; this one has that number."""
        company = cls(size)
        with (folder / FILE).open("a+b") as file:
            os.truncate(file.fileno(), PLACES)  # as it is for all but the first
            company._busy = mmap.mmap(file.fileno(), PLACES)
        company._place = number % PLACES
        company.tell(busy=False)  # the worker that had the number before may have died at work
        return company

    def tell(self, *, busy: bool) -> None:
        """Let the others know whether this worker keeps a processor busy."""
        self._busy[self._place] = busy

    def idle(self) -> bool:
        """Whether none of the others is busy, as far as is known at this moment."""
        return self._busy[:].count(1) <= self._busy[self._place]
