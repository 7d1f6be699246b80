from __future__ import annotations

import io

import numpy as np
from PIL import Image

from mingmu.data.phash import hashes_of, pairs_within, thumb_of
from tests.data.memory import pixels, png


def changed(seed: int) -> list[bytes]:
    """The same picture as JPEG, and smaller."""
    image, files = Image.fromarray(pixels(seed)), []
    for version in (image, image.resize((40, 30))):
        file = io.BytesIO()
        version.save(file, "JPEG", quality=50)
        files.append(file.getvalue())
    return files


def test_a_hash_hardly_changes_with_compression_and_size_and_much_with_the_picture() -> None:
    thumbs = np.stack([thumb_of(data) for data in (png(1), *changed(1), png(2))])
    distance = np.bitwise_count(hashes_of(thumbs) ^ hashes_of(thumbs)[0])
    assert distance[0] == 0
    assert distance[1:3].max() <= 6
    assert distance[3] > 16


def test_pairs_within_a_distance_are_those_that_comparing_all_gives() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 300, np.uint64)
    hashes[200:] = hashes[:100] ^ (np.uint64(1) << rng.integers(0, 64, 100, np.uint64))
    expected = {(i, j) for i in range(300) for j in range(i + 1, 300) if bin(int(hashes[i] ^ hashes[j])).count("1") <= 16}
    found = [(int(i), int(j)) for pairs in pairs_within(hashes, hashes, 16) for i, j in pairs]
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert sum(map(len, pairs_within(hashes[:0], hashes[:0], 16))) == 0
