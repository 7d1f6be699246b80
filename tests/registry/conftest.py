"""The index in each of the databases that it may lie in; PostgreSQL is a real server, started on a Unix socket of its own."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy

from mingmu.registry import index
from mingmu.registry.store import Store

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
SETTINGS = "-c listen_addresses='' -c fsync=off -c shared_buffers=16MB -c max_connections=40"

OpenStore = Callable[[], Store]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a database."""
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


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | None]:
    """Where the index lies, which is empty: nowhere else, or in PostgreSQL."""
    if request.param == "SQLite":
        yield None
        return
    url: str = request.getfixturevalue("postgres")
    yield url
    names = ", ".join(table.name for table in index.metadata.sorted_tables if table is not index.counters)
    with Store(tmp_path / "emptied", database_url=url).index.writing("recognizers") as connection:
        connection.execute(sqlalchemy.text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))


@pytest.fixture
def open_store(data_dir: Path, database_url: str | None) -> OpenStore:
    """Open the store of `data_dir` anew, with the recognizer `tiny`."""
    if database_url:
        Store(data_dir, database_url=database_url).publish("tiny", Store(data_dir).resolve("tiny").digest)
    return lambda: Store(data_dir, database_url=database_url)
