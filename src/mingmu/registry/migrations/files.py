"""Names that the first Mingmu kept in files, `recognizers/<name>.json`, move into the index."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from sqlalchemy import Connection, insert, select

from mingmu.registry.index import Index, recognizers, versions

log = logging.getLogger("mingmu.registry")


def import_names(index: Index, folder: Path) -> None:
    """Take in every file of `folder` and remove it; one that is damaged stays, and is logged."""
    files = sorted(folder.glob("*.json"))
    if not files:
        return
    taken = []
    with index.writing("recognizers") as connection:
        for file in files:
            try:
                _take(connection, file.stem, json.loads(file.read_bytes())["versions"])
                taken.append(file)
            except FileNotFoundError:
                continue  # another process took it in while we waited for our turn
            except (ValueError, TypeError, KeyError) as error:
                log.warning("%s is damaged and was not taken in: %r", file, error)
    for file in taken:
        file.unlink(missing_ok=True)


def _take(connection: Connection, name: str, rows: list[dict[str, object]]) -> None:
    found = [{"name": name} | {key: row[key] for key in ("version", "digest", "created")} for row in rows]
    if connection.execute(select(recognizers).where(recognizers.c.name == name)).first() is None:
        connection.execute(insert(recognizers).values(name=name, newest=found[-1]["version"] if found else 0))
        connection.execute(insert(versions), found)
