"""Each gallery says when it changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("galleries", sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"))
