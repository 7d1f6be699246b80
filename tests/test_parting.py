"""What is compared with what, and remembered, when photos are parted."""

from __future__ import annotations

from pathlib import Path

import pytest

from mingmu.data.dataset import Dataset, Example
from mingmu.registry.store import Store
from mingmu.verbs import silent
from mingmu.verbs.parting import groups_of
from tests.data.memory import png


class Reads:
    """A store's blobs, which note what is read."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.images: list[str] = []
        get = store.blobs.get

        def noted(sha256: str) -> bytes:
            self.images.append(sha256)
            return get(sha256)

        monkeypatch.setattr(store.blobs, "get", noted)


def pictures(store: Store, *seeds: int) -> Dataset:
    return Dataset.of(Example(store.blobs.put(png(seed)), ("a",), f"{seed:03}") for seed in seeds)


def test_ten_more_photos_are_looked_at_alone_and_still_find_their_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    before = pictures(store, *range(20))
    groups_of(before, store, silent)
    copy = Example(store.blobs.put(png(7, 128, 96)), ("a",), "copy of 7")
    after = Dataset.of([*before, copy, *pictures(store, 50, 51)])
    reads = Reads(store, monkeypatch)
    groups = dict(zip((example.name for example in after), groups_of(after, store, silent, before).tolist(), strict=True))
    assert groups["copy of 7"] == groups["007"]
    assert len(set(groups.values())) == len(after) - 1
    assert not {example.image for example in before} - {before.examples[7].image} & set(reads.images)


def test_what_was_found_before_is_known_without_looking_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    dataset = Dataset.of([*pictures(store, *range(5)), Example(store.blobs.put(png(3, 128, 96)), ("a",), "copy of 3")])
    once = groups_of(dataset, store, silent)
    reads = Reads(store, monkeypatch)
    assert groups_of(dataset, store, silent).tolist() == once.tolist()
    assert not reads.images
    more = Dataset.of([*dataset, *pictures(store, 9)])
    assert len(set(groups_of(more, store, silent, dataset).tolist())) == 6
