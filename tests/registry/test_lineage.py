from __future__ import annotations

import pytest

from mingmu.core.errors import NotFound
from tests.registry.conftest import OpenStore


def test_a_digest_leads_to_its_dataset_and_settings_even_when_its_name_is_gone(open_store: OpenStore) -> None:
    store = open_store()
    digest = store.resolve("tiny").digest
    with pytest.raises(NotFound, match="how"):
        store.records.lineage(digest)
    store.records.add_lineage(digest, None, {})
    store.records.add_lineage(digest, "1" * 64, {"margin": 0.8, "views": ["flip"]})
    store.remove("tiny")
    found = open_store().records.lineage(digest)
    assert (found.digest, found.dataset, found.settings) == (digest, "1" * 64, {"margin": 0.8, "views": ["flip"]})


def test_reports_are_kept_in_the_order_they_came(open_store: OpenStore) -> None:
    store = open_store()
    digest = store.resolve("tiny").digest
    added = [store.records.add_report(digest, dataset * 64, b'{"accuracy": 0.%d}' % index) for index, dataset in enumerate("21")]
    assert store.records.reports(digest) == added
    assert store.blobs.get(added[1].blob) == b'{"accuracy": 0.1}'
    assert store.records.reports("0" * 64) == []


def test_of_pages_the_last_on_a_dataset_is_kept_and_of_figures_all(open_store: OpenStore) -> None:
    store, one, two = open_store(), "1" * 64, "2" * 64
    for report in (b"<html>1", b"{1}", b"<html>2", b"{2}"):
        store.records.add_report(one, two, report)
    store.records.add_report(one, one, b"<html>3")
    assert [store.blobs.get(report.blob) for report in store.records.reports(one)] == [b"{1}", b"<html>2", b"{2}", b"<html>3"]
