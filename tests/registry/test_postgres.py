"""What is PostgreSQL's own; all else that is promised of the index is tested on both databases, beside this file."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from mingmu.core.errors import Overloaded
from mingmu.registry import index
from mingmu.registry.store import Store


def test_the_migrations_lead_to_the_tables_of_the_program(postgres: str, tmp_path: Path) -> None:
    with Store(tmp_path, database_url=postgres).index.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), index.metadata) == []


def test_a_login_that_the_server_refuses_is_overloaded_in_its_words(postgres: str, tmp_path: Path) -> None:
    with pytest.raises(Overloaded, match='does not answer: role "stranger" does not exist'):
        Store(tmp_path, database_url=postgres.replace("mingmu@", "stranger@")).names()


def test_a_server_without_tls_is_refused_where_tls_is_required(postgres: str, tmp_path: Path) -> None:
    with pytest.raises(Overloaded, match="SSL"):
        Store(tmp_path, database_url=f"{postgres}&sslmode=require").names()
