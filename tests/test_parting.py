"""What is compared with what, and remembered, when photos are parted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mingmu.data import splits
from mingmu.data.dataset import Dataset, Example
from mingmu.registry.store import Store
from mingmu.verbs import silent
from mingmu.verbs.parting import groups_of, of_each_label
from tests.data.memory import png

COUNTS = (("a", 5), ("b", 5), ("c", 6), ("d", 2))  # photos of each label; of two, none can be spared


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


def test_every_label_has_a_say_in_which_epoch_is_best_where_enough_is_left_to_learn_from() -> None:
    dataset = Dataset.of(Example(f"{number:064}", (label,), f"{label}{number}") for label, count in COUNTS for number in range(count))
    groups = np.arange(len(dataset))
    parts = splits.split(dataset, groups, test=0.2, calibration=0.1)
    held_out = [dataset.examples[at].labels[0] for at in of_each_label(dataset, groups, parts)]
    assert {*held_out} == {"a", "b", "c"}
    drawn = Dataset.of(replace(example, split="train") for example in dataset)
    given = splits.Parts(np.arange(4, len(drawn)), np.arange(2), np.arange(2, 4))
    with_parts = Dataset.of(replace(each, split="val" if at < 2 else "test" if at < 4 else "train") for at, each in enumerate(drawn))
    assert [*of_each_label(with_parts, groups, given)] == [0, 1]  # what came parted stays so
