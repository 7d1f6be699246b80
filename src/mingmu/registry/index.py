"""The index: names, versions, aliases, datasets, reports, lineage and jobs. SQLite in the data folder, or PostgreSQL by URL.

Its schema is migrated when it is opened. Writers take turns; readers never wait.
"""

from __future__ import annotations

import ssl
import time
import weakref
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import URL, Connection, Engine, event, exc, insert, select, update

from mingmu.core.errors import BadArtifact, BadSettings, Conflict, MissingExtra, Overloaded

SCHEMA = "0005"  # the newest revision under migrations/versions
MOST_LISTED = 100  # in one go, unless told otherwise
BUSY_TIMEOUT = 30.0  # seconds that a writer waits for its turn
SCRUB_PAUSE = 0.05  # seconds before the log is tried again
MIGRATION_LOCK = 0x6D696E67  # PostgreSQL advisory lock
UNAVAILABLE = ("08", "28", "3D", "40", "53", "57")  # SQLSTATE classes of a server that is not there for us, now or with this login

TLS = {"prefer": None, "disable": False, "require": True, "verify-full": "verified"}  # sslmode, and what our driver makes of it

Counter = Literal["recognizers", "datasets", "jobs", "faces"]

metadata = sa.MetaData()
counters = sa.Table(  # one row for each Counter, which every writer raises first: it queues the writers, and tells readers of the change
    "counters",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)
recognizers = sa.Table(
    "recognizers",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("newest", sa.Integer, nullable=False),  # the highest number ever given: none is given twice
)
versions = sa.Table(
    "versions",
    metadata,
    sa.Column("name", sa.ForeignKey("recognizers.name", ondelete="CASCADE"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("created", sa.Text, nullable=False),
    sa.Index("versions_by_digest", "digest"),
)
aliases = sa.Table(  # what each alias pointed to, one row for each time it was set; the last row counts
    "aliases",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("alias", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(["name", "version"], ["versions.name", "versions.version"], ondelete="CASCADE"),
    sa.Index("aliases_by_name", "name", "alias", "id"),
)
datasets = sa.Table(
    "datasets",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("newest", sa.Integer, nullable=False),
)
dataset_versions = sa.Table(
    "dataset_versions",
    metadata,
    sa.Column("name", sa.ForeignKey("datasets.name", ondelete="CASCADE"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("examples", sa.Text, nullable=False),  # a blob: JSON lines
    sa.Column("parent", sa.Text),  # the digest of the dataset that this one was made from
    sa.Column("created", sa.Text, nullable=False),
    sa.Index("dataset_versions_by_digest", "digest"),
)
reports = sa.Table(
    "reports",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),  # what was measured …
    sa.Column("dataset", sa.Text, nullable=False),  # … on which dataset
    sa.Column("blob", sa.Text, nullable=False),
    sa.Column("created", sa.Text, nullable=False),
    sa.Index("reports_by_digest", "digest"),
)
lineage = sa.Table(
    "lineage",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("dataset", sa.Text),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("created", sa.Text, nullable=False),
)
jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("verb", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),  # the dataset or recognizer that it is about
    sa.Column("arguments", sa.JSON, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("cancelling", sa.Boolean, nullable=False),  # somebody wants it to end
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("worker", sa.Text),  # who runs it …
    sa.Column("heartbeat", sa.Float),  # … and when that one was last known to live, in seconds since 1970
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("share", sa.Float, nullable=False),
    sa.Column("result", sa.JSON(none_as_null=True)),
    sa.Column("error", sa.JSON(none_as_null=True)),  # kind and detail
    sa.Column("created", sa.Text, nullable=False),
    sa.Column("started", sa.Text),
    sa.Column("finished", sa.Text),
    sa.Index("jobs_by_state", "state", "id"),
    sqlite_autoincrement=True,  # no number is given twice
)
job_events = sa.Table(
    "job_events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("job", sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Index("job_events_by_job", "job", "id"),
    sqlite_autoincrement=True,
)

galleries = sa.Table(
    "galleries",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("embedder", sa.Text, nullable=False),  # the digest of what made the vectors
    sa.Column("created", sa.Text, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),  # what the counter was at its last change: no other state had the same
)
gallery_faces = sa.Table(
    "gallery_faces",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("gallery", sa.ForeignKey("galleries.name", ondelete="CASCADE"), nullable=False),
    sa.Column("person", sa.Text, nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),  # little-endian float32
    sa.Column("created", sa.Text, nullable=False),
    sa.Index("gallery_faces_by_person", "gallery", "person"),
    sqlite_autoincrement=True,  # who has read the gallery up to a number knows what came since
)


class Index:
    """One database. Several processes may use it at once; threads may share one Index."""

    def __init__(self, url: URL, lock: AbstractContextManager[None]) -> None:
        """Open a database and bring its schema up to date; `lock` keeps other processes of this machine from doing so too.

        Raises Overloaded where it cannot be reached, Conflict where a newer Mingmu wrote it.
        """
        self._engine = _engine(url)
        weakref.finalize(self, self._engine.dispose)
        with _explained(url):
            if _schema(self._engine) != SCHEMA:
                with lock:
                    _migrate(self._engine)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the index, whatever others write meanwhile."""
        with _explained(self._engine.url), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, *counted: Counter) -> Iterator[Connection]:
        """A connection whose changes all come about when the block ends, or none; other writers of the same kind wait.

        `connection.rollback()` in the block says that nothing changed after all.
        """
        with _explained(self._engine.url), self._engine.connect() as connection:
            connection.execute(update(counters).where(counters.c.name.in_(counted)).values(value=counters.c.value + 1))
            yield connection
            connection.commit()

    def scrub(self) -> None:
        """Have what was deleted vanish from the disk, too: SQLite overwrites it, and here gives up the log that still had it.

        Raises Overloaded where a reader keeps the log for longer than BUSY_TIMEOUT. PostgreSQL does it in its own time (VACUUM).
        """
        if self._engine.dialect.name != "sqlite":
            return
        deadline = time.monotonic() + BUSY_TIMEOUT
        while self._log_is_busy():  # at once, whatever busy_timeout says, where another process is about to empty it
            if time.monotonic() < deadline:
                time.sleep(SCRUB_PAUSE)
                continue
            raise Overloaded("it is deleted, but another process reads what was before and keeps that on the disk; delete once more")

    def _log_is_busy(self) -> bool:
        """Try to empty SQLite's log."""
        with _explained(self._engine.url):
            raw = self._engine.raw_connection()
            try:
                return bool(raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
            finally:
                raw.close()

    def revision(self, counter: Counter) -> int:
        """A number that changes whenever somebody writes."""
        with self.reading() as connection:
            return int(connection.execute(select(counters.c.value).where(counters.c.name == counter)).scalar_one())


def sqlite_url(file: Path) -> URL:
    """The URL of an SQLite file."""
    return URL.create("sqlite+pysqlite", database=str(file))


def postgres_url(url: str) -> URL:
    """The URL of a PostgreSQL database with our driver; raises BadSettings."""
    try:
        parsed = sa.make_url(url)
    except exc.ArgumentError as error:
        raise BadSettings(f"database_url: {error}") from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise BadSettings(f"database_url: {parsed.drivername} is not supported; it is postgresql://user:password@host/database, or none")
    unknown = set(parsed.query) - {"host", "sslmode"}
    if unknown or not parsed.username:
        wrong = f"unknown options: {', '.join(sorted(unknown))}" if unknown else "it names no user"
        raise BadSettings(f"database_url: {wrong}; it is postgresql://user:password@host/name, and after ? host=/socket/folder or sslmode")
    if parsed.query.get("sslmode", "prefer") not in TLS:
        raise BadSettings(f"database_url: sslmode is one of {', '.join(TLS)}")
    return parsed.set(drivername="postgresql+pg8000")


def next_number(connection: Connection, names: sa.Table, name: str) -> int:
    """A version number for `name` that was never given before."""
    newest = connection.execute(select(names.c.newest).where(names.c.name == name)).scalar()
    if newest is None:
        connection.execute(insert(names).values(name=name, newest=1))
        return 1
    connection.execute(update(names).where(names.c.name == name).values(newest=newest + 1))
    return int(newest) + 1


def newest_of_each(table: sa.Table, after: str, most: int) -> sa.Select[Any]:
    """The newest version of each name that comes after one, in the order of the names."""
    newest = select(table.c.name, sa.func.max(table.c.version).label("version")).where(table.c.name > after)
    page = newest.group_by(table.c.name).order_by(table.c.name).limit(most).subquery()
    return select(table).join(page, sa.and_(table.c.name == page.c.name, table.c.version == page.c.version)).order_by(table.c.name)


def newest_named(table: sa.Table, names: Collection[str]) -> sa.Select[Any]:
    """The newest version of each of these names."""
    newest = select(table.c.name, sa.func.max(table.c.version).label("version")).where(table.c.name.in_(names)).group_by(table.c.name)
    found = newest.subquery()
    return select(table).join(found, sa.and_(table.c.name == found.c.name, table.c.version == found.c.version))


def now() -> str:
    """ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _engine(url: URL) -> Engine:
    try:
        if url.get_backend_name() == "sqlite":
            engine = sa.create_engine(url)
        else:
            engine = sa.create_engine(url.set(query={}), pool_pre_ping=True, connect_args=_postgres_arguments(url))
    except ModuleNotFoundError as error:
        raise MissingExtra("PostgreSQL needs its driver: pip install 'mingmu[postgres]'") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _postgres_arguments(url: URL) -> dict[str, Any]:
    """What our driver calls the options that PostgreSQL's own tools take in a URL."""
    arguments: dict[str, Any] = {"ssl_context": TLS[str(url.query.get("sslmode", "prefer"))]}
    if arguments["ssl_context"] == "verified":
        arguments["ssl_context"] = ssl.create_default_context()
    if "host" in url.query:
        arguments["unix_sock"] = f"{url.query['host']}/.s.PGSQL.{url.port or 5432}"
    return arguments


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # Python's driver would begin transactions too late to cover reads and schema changes
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT * 1000)}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
    connection.execute("PRAGMA synchronous = FULL")  # a commit is on the disk before it is acknowledged


def _schema(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        return None if found is None else str(found)


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    if engine.dialect.name == "sqlite":
        raw = engine.raw_connection()
        raw.cursor().execute("PRAGMA journal_mode = WAL")  # the file keeps it; not possible inside a transaction
        raw.close()
    config = Config()
    config.set_main_option("script_location", "mingmu.registry:migrations")
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise Conflict(f"the index was written by a newer Mingmu; this one knows schema {SCHEMA}: {error}") from error


@contextmanager
def _explained(url: URL) -> Iterator[None]:
    """Turn what a database driver raises into our errors."""
    try:
        yield
    except (exc.DatabaseError, exc.InterfaceError) as error:
        state, said = _reason(error)
        if isinstance(error, (exc.OperationalError, exc.InterfaceError)) or state.startswith(UNAVAILABLE):
            raise Overloaded(f"the index {url} does not answer: {said}") from error
        raise BadArtifact(f"the index {url} is damaged, or is no index of Mingmu: {said}") from error


def _reason(error: exc.DBAPIError) -> tuple[str, str]:
    """The SQLSTATE and the words of what a driver raised. PostgreSQL's has them in a dict, and may hide it behind a failure to hang up."""
    found: BaseException | None = error.orig
    while found is not None:
        match found.args:
            case [{"C": state, "M": said}, *_]:
                return str(state), str(said)
        found = found.__context__
    return "", str(error.orig)
