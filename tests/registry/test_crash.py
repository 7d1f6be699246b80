"""Real processes, killed at random moments: what they had acknowledged is there, and nothing is half there."""

from __future__ import annotations

import multiprocessing
import random
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from mingmu.core.artifact import verify
from mingmu.registry.garbage import collect
from mingmu.registry.store import Store
from tests.registry.variants import another

ROUNDS = 20
Acknowledged = tuple[str, ...]


@pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="not tested here: this system starts processes slowly"
)
def test_processes_killed_at_any_moment_lose_nothing_acknowledged_and_leave_nothing_half_done(data_dir: Path) -> None:
    acknowledged: list[Acknowledged] = []
    for turn in range(ROUNDS):
        acknowledged += run_and_kill(data_dir, turn, random.Random(turn).uniform(0.01, 0.15))
        check_all(Store(data_dir))
    store = Store(data_dir)
    for kind, *what in acknowledged:
        check_one(store, kind, *what)
    assert {kind for kind, *_ in acknowledged} == {"artifact", "version", "alias", "blob", "dataset", "report"}


def run_and_kill(data_dir: Path, turn: int, seconds: float) -> list[Acknowledged]:
    """Let two processes work, kill both after some seconds from the first word, and give what they had acknowledged."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    workers = []
    for number in range(2):
        mine, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=work, args=(data_dir, 2 * turn + number, theirs), daemon=True)
        worker.start()
        theirs.close()
        workers.append((worker, mine))
    workers[0][1].poll(20)
    time.sleep(seconds)
    for worker, _ in workers:
        worker.kill()
        worker.join()
    return [word for _, connection in workers for word in heard(connection)]


def heard(connection: Connection) -> list[Acknowledged]:
    words: list[Acknowledged] = []
    with connection:
        try:
            while True:
                words.append(connection.recv())
        except (EOFError, OSError):  # the process is dead, perhaps in the middle of a word
            return words


def work(data_dir: Path, worker: int, connection: Connection) -> None:
    """Do everything that changes a store, and say so after each step."""
    store = Store(data_dir)
    for step in range(10_000):
        name = f"worker-{worker}"
        digest = another(store, 10_000 * worker + step).digest
        connection.send(("artifact", digest))
        version = store.publish("shared" if step % 2 else name, digest)
        connection.send(("version", version.name, str(version.version), digest))
        store.set_alias(version.name, f"at-{worker}-{step}", version.version)
        connection.send(("alias", f"{version.name}@at-{worker}-{step}", str(version.version)))
        image = store.blobs.put(f"{worker} {step}".encode() * 100_000)
        connection.send(("blob", image))
        store.datasets.add(name, digest, b'{"image": "%s"}\n' % image.encode())
        connection.send(("dataset", name, digest, image))
        store.records.add_report(digest, digest, image.encode())
        connection.send(("report", digest))
        if step % 3 == 0:
            collect(store)


def check_all(store: Store) -> None:
    """Whatever can be seen is whole."""
    for folder in store.artifacts.iterdir():
        verify(store.artifact(folder.name))
    for name in store.names():
        numbers = [version.version for version in store.versions(name)]
        assert numbers == list(range(1, len(numbers) + 1))
        for version in store.versions(name):
            verify(store.artifact(version.digest))
        assert all(version.name == name for version in store.aliases(name).values())
    for blob in store.blobs:
        store.blobs.get(blob.sha256)
    for name in store.datasets.names():
        for dataset in store.datasets.versions(name):
            assert store.datasets.examples(dataset)


def check_one(store: Store, kind: str, *what: str) -> None:
    match kind:
        case "artifact":
            verify(store.artifact(what[0]))
        case "version":
            assert store.resolve(f"{what[0]}@{what[1]}").digest == what[2]
        case "alias":
            assert str(store.resolve(what[0]).version) == what[1]
        case "blob":
            store.blobs.get(what[0])
        case "dataset":
            assert what[2].encode() in store.datasets.examples(next(d for d in store.datasets.versions(what[0]) if d.digest == what[1]))
        case "report":
            assert [store.blobs.get(report.blob) for report in store.records.reports(what[0])]
