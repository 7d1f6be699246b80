"""No number of a face is given twice."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":  # PostgreSQL never gave one twice
        with op.batch_alter_table("gallery_faces", recreate="always", table_kwargs={"sqlite_autoincrement": True}):
            pass
