from __future__ import annotations

import numpy as np

from mingmu.data.dataset import Dataset, Example
from mingmu.data.duplicates import exact_findings, groups_of, near_pairs
from mingmu.data.phash import thumb_of, thumbs_of
from tests.data.memory import MemoryBlobs, pixels, png
from tests.data.test_phash import changed


def cut(seed: int) -> bytes:
    from mingmu.core.pixels import encode_png

    return encode_png(np.ascontiguousarray(pixels(seed, 100, 80)[2:-2, 5:]))


def test_recompressed_resized_and_cut_pictures_are_pairs_and_different_ones_are_not() -> None:
    files = [png(1, 100, 80), *changed(1), cut(1), *(png(seed) for seed in range(2, 40))]
    pairs, scores = near_pairs(np.stack([thumb_of(data) for data in files]))
    assert {(int(a), int(b)) for a, b in pairs} >= {(0, 3)}
    assert {int(at) for at in pairs.ravel()} <= {0, 1, 2, 3}
    assert ((scores >= 0.98) & (scores <= 1)).all()


def test_blank_pictures_are_not_taken_for_each_other() -> None:
    thumbs = np.stack([np.full((32, 32), level, np.uint8) for level in (0, 90, 255)])
    assert len(near_pairs(thumbs)[0]) == 0


def test_a_group_is_what_is_linked_by_file_likeness_embedding_or_the_user() -> None:
    blobs = MemoryBlobs()
    same, alike, *others = (blobs.put(data) for data in (png(1), changed(1)[0], *(png(seed) for seed in range(2, 7))))
    images = [same, same, alike, *others]
    named = [None, None, "clip", "clip", None, None, None, None]
    dataset = Dataset.of(Example(image, ("a",), f"{at}", group=group) for at, (image, group) in enumerate(zip(images, named, strict=True)))
    embeddings = np.eye(8, dtype=np.float32)
    embeddings[5] = embeddings[4]
    thumbs = thumbs_of([example.image for example in dataset], blobs)
    groups = groups_of(dataset, thumbs, embeddings)
    assert [int(groups[at] == groups[0]) for at in range(8)] == [1, 1, 1, 1, 0, 0, 0, 0]
    assert groups[4] == groups[5]
    assert len(np.unique(groups)) == 4
    assert len(np.unique(groups_of(dataset, thumbs))) == 5


def test_the_same_file_is_a_duplicate_or_a_clash() -> None:
    dataset = Dataset.of([Example("1", ("a",), "x"), Example("1", ("a",), "y"), Example("2", ("a",), "v"), Example("2", ("b",), "w")])
    assert [(finding.kind, finding.where) for finding in exact_findings(dataset)] == [
        ("label-clash", ("v", "w")),
        ("duplicate", ("x", "y")),
    ]
