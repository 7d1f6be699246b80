from __future__ import annotations

import json
from pathlib import Path

import pytest

from mingmu.core.errors import BadRequest, Conflict, NotFound
from mingmu.registry.store import Store

ONE, TWO = "1" * 64, "2" * 64


def lines(*images: str) -> bytes:
    return b"".join(json.dumps({"image": image, "labels": ["pear"]}).encode() + b"\n" for image in images)


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Store:
    return Store(tmp_path, database_url=database_url)


def test_versions_count_up_and_the_same_content_is_no_new_version(store: Store) -> None:
    first = store.datasets.add("fruit", ONE, lines(ONE))
    assert store.datasets.add("fruit", ONE, lines(ONE)) == first
    second = store.datasets.add("fruit", TWO, lines(ONE, TWO), parent=ONE)
    assert (second.version, second.parent) == (2, ONE)
    assert store.datasets.names() == ["fruit"]
    assert store.datasets.versions("fruit") == [first, second]
    assert store.datasets.resolve("fruit") == second
    assert store.datasets.resolve("fruit@1") == first
    assert store.datasets.with_digest(TWO) == [second]
    assert store.datasets.examples(second) == lines(ONE, TWO)
    other = store.datasets.add("greens", ONE, lines(ONE))
    assert store.datasets.newest() == [second, other]
    assert store.datasets.newest(after="fruit", most=5) == [other]
    assert store.datasets.versions("fruit", after=1, most=5) == [second]


def test_what_is_not_there_is_answered_with_what_is(store: Store) -> None:
    store.datasets.add("fruit", ONE, lines(ONE))
    with pytest.raises(NotFound, match="fruit"):
        store.datasets.resolve("fruits")
    with pytest.raises(NotFound, match="it has 1"):
        store.datasets.resolve("fruit@2")


@pytest.mark.parametrize("examples", [b"junk\n", b"[]\n", b"{}\n", b'{"image": 3}\n', b'{"image": "../x"}\n'])
def test_examples_that_name_no_picture_are_refused_with_their_line(store: Store, examples: bytes) -> None:
    with pytest.raises(BadRequest, match="line 2"):
        store.datasets.add("fruit", ONE, lines(ONE) + examples)
    assert store.datasets.names() == []


def test_a_dataset_is_not_added_to_a_parent_that_was_removed(store: Store) -> None:
    store.datasets.add("fruit", ONE, lines(ONE))
    store.datasets.remove("fruit")
    with pytest.raises(Conflict, match="no longer here"):
        store.datasets.add("fruit", TWO, lines(ONE, TWO), parent=ONE)


def test_a_version_or_all_can_be_removed(store: Store) -> None:
    for number in "123":
        store.datasets.add("fruit", number * 64, lines(number * 64))
    store.datasets.remove("fruit@3")
    assert store.datasets.resolve("fruit").version == 2
    assert store.datasets.add("fruit", "4" * 64, lines("4" * 64)).version == 4
    store.datasets.remove("fruit")
    assert store.datasets.names() == []


def test_what_a_recognizer_was_taught_on_is_removed_only_by_force(data_dir: Path) -> None:
    store = Store(data_dir)
    store.datasets.add("fruit", ONE, lines(ONE))
    store.records.add_lineage(store.resolve("tiny").digest, ONE, {})
    again = store.datasets.add("greens", ONE, lines(ONE))
    store.datasets.remove("fruit@1")  # greens is the same
    with pytest.raises(Conflict, match="tiny@1 was taught on greens; remove that first, or force"):
        store.datasets.remove("greens")
    assert store.datasets.resolve("greens") == again
    store.datasets.remove("greens", force=True)
    assert store.datasets.names() == []
