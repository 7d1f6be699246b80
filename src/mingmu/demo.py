"""`python -m mingmu.demo`: the real service recognizes real photos over HTTP, and you see how to go on.

On a terminal the service keeps running until Ctrl-C; otherwise it is stopped and the exit code is 0.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from mingmu.client import Client, Recognition
from mingmu.core.answers import Labels
from mingmu.core.errors import MingmuError, MissingExtra, Unreachable

PHOTOS = (  # package, file: photos that ship with it, freely licensed
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/rocket.jpg"),
    ("skimage", "data/motorcycle_left.png"),
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
)
STARTS_WITHIN = 120.0  # seconds; the first start builds the recognizer
STOPS_WITHIN = 20.0
WIDE = 200  # characters; where there is no terminal, nothing needs to wrap


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m mingmu.demo", description="Recognize real photos through the service.")
    parser.add_argument("--data-dir", type=Path, default=Path(".mingmu-demo"), help="folder that holds recognizers (default: %(default)s)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # an exit runs what must run before it
    try:
        photos = find_photos()
        with service(options.data_dir) as (url, process):
            show(url, photos)
            explain(url, photos[0])
            if sys.stdout.isatty():
                print("The service keeps running. Ctrl-C stops it.")
                process.wait()
            else:
                print("This is no terminal, so the service stops now. `mingmu serve` starts one that stays.")
    except MingmuError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
    return 0


def find_photos() -> list[Path]:
    """The photos, where pip put them; raises MissingExtra. The packages are not imported: that would take seconds."""
    found = []
    for package, file in PHOTOS:
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise MissingExtra(f"the photos of the demo are in {package}, which is not installed: pip install 'mingmu[demo]'")
        path = Path(spec.submodule_search_locations[0]) / file
        if path.is_file():
            found.append(path)
    if not found:
        raise MissingExtra(
            "scikit-image and scikit-learn are installed, but without their photos: pip install --force-reinstall 'mingmu[demo]'"
        )
    return found


@contextmanager
def service(data_dir: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The real service in a process of its own, ready, on a free loopback port; stopped in the end whatever happens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mingmu", "serve", "--host", "127.0.0.1", "--port", str(port), "--data-dir", str(data_dir)]
    print("Starting the service …", flush=True)
    with subprocess.Popen(command, stdout=sys.stderr, env=os.environ | {"MINGMU_LOG_LEVEL": "warning"}) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(url, process)
            yield url, process
        finally:
            stop(process)


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    with Client(url) as client:
        while not client.ready():
            if process.poll() is not None:
                raise Unreachable(f"the service ended with exit code {process.returncode}; what it said is above")
            if time.monotonic() > deadline:
                raise Unreachable(f"the service was not ready within {STARTS_WITHIN:.0f} seconds")
            time.sleep(0.05)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOPS_WITHIN)
    finally:
        process.kill()  # does nothing to one that has ended


def show(url: str, photos: list[Path]) -> None:
    """Send the photos, and print what comes back."""
    from rich.console import Console
    from rich.table import Table

    table = Table("photo", "what it shows", "ms", "digest", title=f"{len(photos)} photos over HTTP", title_justify="left")
    with Client(url) as client:
        for photo in photos:
            started = time.perf_counter()
            recognition = client.recognize(photo, top=3)
            elapsed = (time.perf_counter() - started) * 1000
            table.add_row(photo.name, labels_of(recognition), f"{elapsed:.0f}", recognition.digest[:12])
    Console(highlight=False, width=None if sys.stdout.isatty() else WIDE).print(table)


def labels_of(recognition: Recognition) -> str:
    answer = recognition.answer
    found = answer.labels if isinstance(answer, Labels) else answer.boxes
    return ", ".join(f"{one.label} {one.score:.0%}" for one in found)


def explain(url: str, photo: Path) -> None:
    print(f"""
How to go on:
  curl -F image=@'{photo}' '{url}/v1/recognizers/general/recognize?top=3'
  python -c 'import mingmu; print(mingmu.Client("{url}").recognize("{photo}"))'
  {url}/docs    every endpoint, to try in the browser
  mingmu recognize FOLDER    the same without a service
""")


if __name__ == "__main__":
    sys.exit(main())
