"""Where an answer comes from: the digest it carries leads to the dataset, the settings and the reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, insert, select, update

from mingmu.core.errors import NotFound
from mingmu.registry import index as tables
from mingmu.registry.blobs import Blobs
from mingmu.registry.index import Index, now

PAGE = b"<"  # how a report begins that is HTML


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured of an artifact on a dataset; the report itself is a blob."""

    digest: str
    dataset: str  # digest
    blob: str  # SHA-256
    created: str  # ISO 8601, UTC


@dataclass(frozen=True, slots=True)
class Lineage:
    """What an artifact was made from, and how."""

    digest: str
    dataset: str | None  # digest; None: made from no dataset of ours
    settings: Mapping[str, Any]
    created: str  # ISO 8601, UTC


class Records:
    """The lineage and the reports of a store. They outlive what they are about: an answer can be traced after `remove`."""

    def __init__(self, index: Index, blobs: Blobs) -> None:
        self._index = index
        self._blobs = blobs

    def add_lineage(self, digest: str, dataset: str | None, settings: Mapping[str, Any]) -> None:
        """Write down what an artifact was made from; said again, the last word counts. `settings` is JSON."""
        row = {"dataset": dataset, "settings": dict(settings), "created": now()}
        with self._index.writing("datasets") as connection:
            if not connection.execute(update(tables.lineage).where(tables.lineage.c.digest == digest).values(row)).rowcount:
                connection.execute(insert(tables.lineage).values({"digest": digest} | row))

    def lineage(self, digest: str) -> Lineage:
        """What an artifact was made from; raises NotFound where nobody wrote it down."""
        with self._index.reading() as connection:
            row = connection.execute(select(tables.lineage).where(tables.lineage.c.digest == digest)).first()
        if row is None:
            raise NotFound(f"nothing is known of how {digest[:12]}… was made")
        return Lineage(**row._mapping)

    def add_report(self, digest: str, dataset: str, report: bytes) -> Report:
        """Keep a report of an artifact on a dataset. Of pages, which show photos and are large, only the last one on a dataset is kept."""
        new = Report(digest, dataset, self._blobs.put(report), now())
        is_page = report.startswith(PAGE)
        pages = [each.blob for each in self.reports(digest) if is_page and each.dataset == dataset and self._is_page(each.blob)]
        table = tables.reports
        with self._index.writing("datasets") as connection:
            connection.execute(delete(table).where(table.c.digest == digest, table.c.dataset == dataset, table.c.blob.in_(pages)))
            connection.execute(insert(table).values(asdict(new)))
        return new

    def _is_page(self, blob: str) -> bool:
        with self._blobs.open(blob) as stream:
            return stream.read(len(PAGE)) == PAGE

    def reports(self, digest: str) -> list[Report]:
        """All reports of an artifact, the newest last."""
        table = tables.reports
        query = select(table.c.digest, table.c.dataset, table.c.blob, table.c.created).where(table.c.digest == digest).order_by(table.c.id)
        with self._index.reading() as connection:
            return [Report(**row._mapping) for row in connection.execute(query)]
