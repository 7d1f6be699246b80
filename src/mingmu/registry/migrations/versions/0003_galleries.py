"""Galleries of faces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    counters = sa.table("counters", sa.column("name", sa.Text), sa.column("value", sa.BigInteger))
    op.bulk_insert(counters, [{"name": "faces", "value": 0}])
    op.create_table(
        "galleries",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("embedder", sa.Text, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
    )
    op.create_table(
        "gallery_faces",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("gallery", sa.Text, sa.ForeignKey("galleries.name", ondelete="CASCADE"), nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
    )
    op.create_index("gallery_faces_by_person", "gallery_faces", ["gallery", "person"])
