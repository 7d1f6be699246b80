"""A worker in a process of its own: `mingmu.jobs.crew` starts it, and it ends with whoever started it.

The first line of standard input says what it needs, in JSON. The end of standard input means that the starter is
gone, even where that one was killed.
"""

from __future__ import annotations

import json
import signal
import threading
from io import FileIO

from mingmu.core.logs import log_as_json
from mingmu.jobs.worker import Worker
from mingmu.settings import Settings


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the starter decides what it means
    with open(0, "rb", buffering=0, closefd=False) as starter:
        said = json.loads(starter.readline())
        settings = Settings.model_validate(said["settings"])
        log_as_json(settings.log_level)
        worker = Worker(settings, said["name"])
        signal.signal(signal.SIGTERM, lambda *_: worker.stop())
        threading.Thread(target=_stop_with, args=(starter, worker), daemon=True).start()
        worker.run()


def _stop_with(starter: FileIO, worker: Worker) -> None:
    starter.read()
    worker.stop()


if __name__ == "__main__":
    main()
