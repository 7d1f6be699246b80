from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from mingmu.data.dataset import Dataset, Example
from mingmu.data.finding import Finding
from mingmu.registry.store import Store
from mingmu.verbs.recognizing import silent
from mingmu.verbs.sources import found_in


def test_photos_bring_what_was_found_when_they_were_read_but_not_what_an_audit_then_found(tmp_path: Path, red_png: bytes) -> None:
    store = Store(tmp_path)
    image = store.blobs.put(red_png)
    before, after = (Dataset.of([Example(image, (label,), "1.png")]) for label in ("red", "blue"))
    first = store.datasets.add("paints", before.digest, before.to_lines())
    said = [Finding.of("unreadable", "2.png"), Finding.of("label-error", "1.png", confidence=0.9, suggestion="blue")]
    store.records.add_report(first.digest, first.digest, json.dumps([asdict(finding) for finding in said]).encode())
    relabelled = store.datasets.add("paints", after.digest, after.to_lines(), first.digest)
    found = found_in(store, relabelled, silent)
    assert (found.dataset, found.images, found.findings) == (after, 1, (said[0],))
