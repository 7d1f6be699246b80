"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    counters = op.create_table(
        "counters",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(counters, [{"name": "recognizers", "value": 0}, {"name": "datasets", "value": 0}])
    _recognizers()
    _datasets()
    op.create_table(
        "reports",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("dataset", sa.Text, nullable=False),
        sa.Column("blob", sa.Text, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
    )
    op.create_index("reports_by_digest", "reports", ["digest"])
    op.create_table(
        "lineage",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("dataset", sa.Text),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
    )


def _recognizers() -> None:
    op.create_table(
        "recognizers",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("newest", sa.Integer, nullable=False),
    )
    op.create_table(
        "versions",
        sa.Column("name", sa.Text, sa.ForeignKey("recognizers.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
    )
    op.create_index("versions_by_digest", "versions", ["digest"])
    op.create_table(
        "aliases",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["name", "version"], ["versions.name", "versions.version"], ondelete="CASCADE"),
    )
    op.create_index("aliases_by_name", "aliases", ["name", "alias", "id"])


def _datasets() -> None:
    op.create_table(
        "datasets",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("newest", sa.Integer, nullable=False),
    )
    op.create_table(
        "dataset_versions",
        sa.Column("name", sa.Text, sa.ForeignKey("datasets.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("examples", sa.Text, nullable=False),
        sa.Column("parent", sa.Text),
        sa.Column("created", sa.Text, nullable=False),
    )
    op.create_index("dataset_versions_by_digest", "dataset_versions", ["digest"])
