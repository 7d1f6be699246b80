"""The same promises on a real PostgreSQL server, which these tests start on a Unix socket of their own."""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from mingmu.core.errors import Conflict, Overloaded
from mingmu.registry import index
from mingmu.registry.garbage import Freed, collect
from mingmu.registry.store import Store
from tests.registry.variants import another

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
SETTINGS = "-c listen_addresses='' -c fsync=off -c shared_buffers=16MB -c max_connections=40"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of an empty database."""
    pytest.importorskip("pg8000", reason="PostgreSQL is not tested: its driver is missing, pip install 'mingmu[postgres]'")
    control = shutil.which("pg_ctl") or next((str(path / "pg_ctl") for path in reversed(PROGRAMS)), None)
    if control is None:
        pytest.skip("PostgreSQL is not tested: no pg_ctl on this machine; install the package postgresql")
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []  # the server refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket's path has at most 107 bytes
    if as_user:
        shutil.chown(folder, "postgres")
    call = [*as_user, control, "-D", str(folder / "data"), "-s", "-w"]
    try:
        subprocess.run([*call, "initdb", "-o", "-A trust -U mingmu -E UTF8 --no-sync"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([*call, "-l", str(folder / "log"), "-o", f"{SETTINGS} -k {folder}", "start"], check=True)
        try:
            yield f"postgresql://mingmu@/postgres?host={folder}"
        finally:
            gc.collect()  # what the tests left open is closed while there is still a server to tell
            subprocess.run([*call, "-m", "immediate", "stop"], check=True)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def store(server: str, data_dir: Path) -> Iterator[Store]:
    """The artifacts of `data_dir`, with the index in PostgreSQL."""
    artifact = Store(data_dir).resolve("tiny").digest
    store = Store(data_dir, database_url=server)
    store.publish("tiny", artifact)
    yield store
    with store.index.writing("recognizers", "datasets") as connection:
        for table in (index.recognizers, index.datasets, index.reports, index.lineage):
            connection.execute(table.delete())


def test_the_migrations_lead_to_the_tables_of_the_program(store: Store) -> None:
    with store.index.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), index.metadata) == []


def test_a_login_that_the_server_refuses_is_overloaded_in_its_words(server: str, tmp_path: Path) -> None:
    with pytest.raises(Overloaded, match='does not answer: role "stranger" does not exist'):
        Store(tmp_path, database_url=server.replace("mingmu@", "stranger@")).names()


def test_a_server_without_tls_is_refused_where_tls_is_required(server: str, tmp_path: Path) -> None:
    with pytest.raises(Overloaded, match="SSL"):
        Store(tmp_path, database_url=f"{server}&sslmode=require").names()


def test_names_versions_aliases_and_gc(store: Store) -> None:
    first = store.resolve("tiny")
    second = store.publish("tiny", another(store, 2).digest)
    assert store.versions("tiny") == [first, second]
    store.set_alias("tiny", "prod", 1)
    revision = store.revision()
    store.set_alias("tiny", "prod", 2)
    assert store.revision() > revision
    assert store.resolve("tiny@prod") == store.resolve("tiny") == store.resolve(f"sha256:{second.digest[:8]}") == second
    with pytest.raises(Conflict):
        store.remove("tiny@2")
    assert store.rollback("tiny", "prod") == first
    store.remove("tiny@2")
    assert collect(store, -3600) == Freed(1, 0, 0)
    assert store.aliases("tiny") == {"prod": first}


def test_datasets_reports_and_lineage(store: Store) -> None:
    added = store.datasets.add("fruit", "1" * 64, b'{"image": "%s"}\n' % (b"1" * 64))
    assert store.datasets.resolve("fruit") == added
    report = store.records.add_report("2" * 64, added.digest, b"{}")
    assert store.records.reports("2" * 64) == [report]
    store.records.add_lineage("2" * 64, added.digest, {"margin": 0.8})
    assert store.records.lineage("2" * 64).settings == {"margin": 0.8}
    store.datasets.remove("fruit")
    assert store.datasets.names() == []


def test_processes_that_publish_at_once_lose_no_version(store: Store, server: str) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=publish_often, args=(store.data_dir, server, number)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert [version.version for version in store.versions("busy")] == list(range(1, 11))


def publish_often(data_dir: Path, server: str, number: int) -> None:
    store = Store(data_dir, database_url=server)
    for turn in range(5):
        store.publish("busy", another(store, 10 * number + turn).digest)
