"""A worker of the service in a process of its own: `mingmu.serve.fleet` starts it, and it ends with whoever started it.

The only argument is the number of an open socket. The first line that comes over it says what to do, in JSON; then come
connections. Its end means that the starter is gone, even where that one was killed.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

from mingmu.core.errors import MingmuError
from mingmu.core.logs import log_as_json
from mingmu.settings import Settings


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    words = b""
    while not words.endswith(b"\n"):
        heard = channel.recv(65536)
        if not heard:
            return
        words += heard
    said = json.loads(words)
    settings = Settings.model_validate(said["settings"])
    log_as_json(settings.log_level)
    from mingmu.serve.process import failed, work

    try:
        work(settings, channel, said["number"], Path(said["folder"]))
    except MingmuError as error:
        failed(channel, error)
        sys.exit(1)


if __name__ == "__main__":
    main()
