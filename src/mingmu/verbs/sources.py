"""Labelled photos to look at: from a folder or an archive, or from a dataset that the store has."""

from __future__ import annotations

import json
from pathlib import Path

from mingmu.data import reading
from mingmu.data.dataset import Dataset
from mingmu.data.finding import FOUND_WHILE_READING, Finding
from mingmu.registry.datasets import DatasetVersion
from mingmu.registry.store import Store
from mingmu.verbs.recognizing import Progress


def found_in(store: Store, source: Path | DatasetVersion, progress: Progress, *, texts: bool = False) -> reading.Reading:
    """Labelled photos, and what was found when they were read; with `texts`, of a folder or an archive, the label of a photo is what stands
    in it. Raises BadRequest, NotFound.
    """
    if isinstance(source, Path):
        return reading.read(source, store.blobs, progress, texts=texts)
    dataset = Dataset.from_lines(store.datasets.examples(source))
    return reading.Reading(dataset, _found_then(store, source), "dataset", len(dataset))


def _found_then(store: Store, version: DatasetVersion) -> tuple[Finding, ...]:
    """What was found when photos were read, or those that they were made from; what an audit found then may be true no more."""
    for each in store.datasets.ancestry(version):
        if reports := store.records.reports(each.digest):
            rows = json.loads(store.blobs.get(reports[-1].blob))
            return tuple(Finding(**row | {"where": tuple(row["where"])}) for row in rows if row["kind"] in FOUND_WHILE_READING)
    return ()
