from __future__ import annotations

import json
import logging
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from mingmu.core.errors import BadArtifact, BadSettings, Conflict, Overloaded
from mingmu.registry import index
from mingmu.registry.store import Store


def test_the_migrations_lead_to_the_tables_of_the_program(tmp_path: Path) -> None:
    with Store(tmp_path).index.reading() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, index.metadata) == []
        assert context.get_current_revision() == index.SCHEMA
    migrations = Path(index.__file__).parent / "migrations"
    assert ScriptDirectory(str(migrations)).get_current_head() == index.SCHEMA


def test_an_index_that_is_up_to_date_opens_without_alembic(data_dir: Path) -> None:
    program = (
        f"import sys; from mingmu.registry.store import Store; from pathlib import Path; Store(Path({str(data_dir)!r})).resolve('tiny')"
    )
    done = subprocess.run([sys.executable, "-c", program + "; print('alembic' in sys.modules)"], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_names_that_were_kept_in_files_move_into_the_index(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    digest = Store(data_dir).resolve("tiny").digest
    (data_dir / "index.db").unlink()
    old = data_dir / "recognizers"
    old.mkdir()
    rows = [{"name": "tiny", "version": number, "digest": digest, "created": "2024-05-01T10:00:00+00:00"} for number in (1, 2)]
    (old / "tiny.json").write_text(json.dumps({"versions": rows}))
    (old / "damaged.json").write_text("{")
    with caplog.at_level(logging.WARNING):
        store = Store(data_dir)
        assert store.names() == ["tiny"]
    assert "damaged.json" in caplog.text
    assert [version.version for version in store.versions("tiny")] == [1, 2]
    assert store.resolve("tiny").created == "2024-05-01T10:00:00+00:00"
    assert [path.name for path in old.iterdir()] == ["damaged.json"]
    assert Store(data_dir).resolve("tiny").version == 2


def test_an_index_of_a_newer_program_is_left_alone(data_dir: Path) -> None:
    with sqlite3.connect(data_dir / "index.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(Conflict, match="newer Mingmu"):
        Store(data_dir).names()


def test_a_file_that_is_no_index_is_reported(tmp_path: Path) -> None:
    (tmp_path / "index.db").write_bytes(b"not a database, though long enough to be taken for one" * 10)
    with pytest.raises(BadArtifact, match="damaged"):
        Store(tmp_path).names()


def test_a_writer_that_finds_the_index_taken_says_so(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "BUSY_TIMEOUT", 0.01)
    store = Store(data_dir)
    with store.index.writing("recognizers"):
        assert Store(data_dir).resolve("tiny").version == 1
        with pytest.raises(Overloaded, match="locked"):
            Store(data_dir).set_alias("tiny", "prod", 1)


def test_a_block_that_fails_changes_nothing(data_dir: Path) -> None:
    store = Store(data_dir)
    before = store.revision()
    with suppress(RuntimeError), store.index.writing("recognizers") as connection:
        connection.execute(index.recognizers.delete())
        raise RuntimeError
    assert store.names() == ["tiny"]
    assert store.revision() == before


@pytest.mark.parametrize(
    "url",
    [
        "mysql://host/name",
        "nonsense",
        "sqlite:///other.db",
        "postgresql://host/name",
        "postgresql://u@host/name?sslmode=maybe",
        "postgresql://u@host/name?x=1",
    ],
)
def test_a_database_of_another_kind_is_a_bad_setting(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadSettings, match="database_url"):
        Store(tmp_path, database_url=url).names()


def test_a_database_that_cannot_be_reached_is_overloaded_and_keeps_its_password(tmp_path: Path) -> None:
    pytest.importorskip("pg8000", reason="PostgreSQL's driver is not installed: pip install 'mingmu[postgres]'")
    with pytest.raises(Overloaded, match="does not answer") as raised:
        Store(tmp_path, database_url="postgresql://mingmu:secret@127.0.0.1:1/mingmu").names()
    assert "secret" not in str(raised.value)
