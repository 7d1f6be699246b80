"""Alembic runs this file: the revisions go through the connection that the index opened, in its transaction."""

from __future__ import annotations

from alembic import context

from mingmu.registry.index import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
