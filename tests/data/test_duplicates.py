from __future__ import annotations

import numpy as np

from mingmu.data.closeups import Closeups
from mingmu.data.copies import Copies, copies
from mingmu.data.dataset import Dataset, Example
from mingmu.data.duplicates import cliques, exact_findings, groups_of, near_findings
from mingmu.data.phash import thumb_of
from tests.data.memory import MemoryBlobs, png
from tests.data.test_phash import changed


def test_a_group_is_what_is_linked_by_file_likeness_or_the_user() -> None:
    blobs = MemoryBlobs()
    files = [png(1), png(1), changed(1)[0], *(png(seed) for seed in range(2, 7))]
    named = [None, None, "clip", "clip", None, None, None, None]
    dataset = Dataset.of(
        Example(blobs.put(data), ("a",), f"{at}", group=group) for at, (data, group) in enumerate(zip(files, named, strict=True))
    )
    groups = groups_of(dataset, copies(np.stack([thumb_of(data) for data in files]), Closeups(dataset, blobs)).pairs)
    assert [int(groups[at] == groups[0]) for at in range(8)] == [1, 1, 1, 1, 0, 0, 0, 0]
    assert len(np.unique(groups)) == 5


def test_a_finding_says_how_it_was_found_and_a_turned_picture_may_have_another_label() -> None:
    labels = "aaaaab6969"
    dataset = Dataset.of(Example(f"{at}", (label,), f"{at}.png") for at, label in enumerate(labels))
    pairs = np.array([(0, 1), (2, 3), (4, 5), (6, 7), (6, 8)])
    found = Copies(pairs, np.full(5, 0.99, np.float32), np.array([0, 40, 40, 2, 6]))
    said = {(finding.kind, finding.where): finding.detail for finding in near_findings(dataset, found, np.arange(10))}
    assert said == {
        ("near-duplicate", ("1.png", "0.png")): "nearly the same picture, 2 times; found by perceptual hash",
        ("near-duplicate", ("3.png", "2.png")): "nearly the same picture, 2 times; one is a part of the other; found by embedding",
        ("label-clash", ("5.png", "4.png")): "nearly the same picture, labelled a and b; one is a part of the other; found by embedding",
        ("near-duplicate", ("8.png", "6.png")): "nearly the same picture, 2 times; mirrored or turned; found by perceptual hash",
    }


def test_the_ends_of_a_chain_are_not_called_the_same() -> None:
    assert list(cliques([(0, 1), (1, 2), (3, 4), (3, 5), (4, 5)])) == [{0, 1}, {1, 2}, {3, 4, 5}]
    dataset = Dataset.of(Example(f"{at}", (label,), f"{at}.png") for at, label in enumerate("aab"))
    chain = Copies(np.array([(0, 1), (1, 2)]), np.array([0.99, 0.985], np.float32), np.array([0, 0]))
    found = [(finding.kind, finding.where, finding.confidence) for finding in near_findings(dataset, chain, np.array([9, 8, 7]))]
    assert found == [("near-duplicate", ("0.png", "1.png"), 0.99), ("label-clash", ("1.png", "2.png"), 0.985)]


def test_the_same_file_is_a_duplicate_or_a_clash() -> None:
    dataset = Dataset.of([Example("1", ("a",), "x"), Example("1", ("a",), "y"), Example("2", ("a",), "v"), Example("2", ("b",), "w")])
    assert [(finding.kind, finding.where) for finding in exact_findings(dataset)] == [
        ("label-clash", ("v", "w")),
        ("duplicate", ("x", "y")),
    ]
