from __future__ import annotations

import numpy as np
import pytest

from mingmu.core.pixels import Pixels, PixelSpec, encode_jpeg, encode_png
from mingmu.data.closeups import Closeups
from mingmu.data.copies import PART, TURNED, Copies, copies
from mingmu.data.dataset import Dataset, Example
from mingmu.data.neighbours import Neighbours
from mingmu.data.phash import Thumbs, thumb_of
from tests.data.memory import MemoryBlobs, pixels, png
from tests.data.test_phash import changed

OTHERS = [png(seed) for seed in range(2, 40)]


def cut(seed: int, share: float) -> bytes:
    whole = pixels(seed, 100, 80)
    left, top = round(100 * share), round(40 * share)
    return encode_png(np.ascontiguousarray(whole[top : 80 - top, left:]))


def thumbs(*files: bytes) -> Thumbs:
    return np.stack([thumb_of(data) for data in files])


def among(*files: bytes, near: Neighbours | None = None) -> Copies:
    blobs = MemoryBlobs()
    dataset = Dataset(tuple(Example(blobs.put(data), (), f"{at}") for at, data in enumerate(files)))
    return copies(thumbs(*files), Closeups(dataset, blobs), near)


def on_plain_ground(seed: int) -> bytes:
    """A picture that fills a ninth of its frame."""
    framed = np.full((300, 300, 3), 200, np.uint8)
    framed[100:200, :100] = pixels(seed, 100, 100)
    return encode_png(framed)


def recompressed(data: bytes) -> bytes:
    return encode_jpeg(PixelSpec(size=(150, 150), fit="squash").frame(data).pixels, quality=60)


def pairs_of(found: Copies) -> set[tuple[int, int]]:
    return {(int(left), int(right)) for left, right in found.pairs}


def test_recompressed_resized_and_slightly_cut_pictures_are_copies_and_different_ones_are_not() -> None:
    found = among(png(1, 100, 80), *changed(1), cut(1, 0.05), *OTHERS)
    assert pairs_of(found) >= {(0, 1), (0, 2), (0, 3)}
    assert {int(at) for at in found.pairs.ravel()} <= {0, 1, 2, 3}
    assert ((found.scores >= 0.98) & (found.scores <= 1)).all()


@pytest.mark.parametrize("turn", range(1, 8))
def test_a_mirrored_or_turned_picture_is_a_copy(turn: int) -> None:
    square: Pixels = np.rot90(pixels(1, 60, 60), turn % 4)
    file = encode_png(np.ascontiguousarray(square[:, ::-1] if turn >= 4 else square))
    found = among(*OTHERS, file, png(1, 60, 60))
    assert pairs_of(found) == {(38, 39)}
    assert found.turned.all()


@pytest.mark.parametrize("first", [True, False])
def test_a_larger_cut_is_found_where_the_embedding_leads_to_it(first: bool) -> None:
    both = [png(1, 100, 80), cut(1, 0.2)]
    images = [*(both if first else both[::-1]), *OTHERS]
    led = Neighbours(np.array([[1], [2], *[[0]] * 38]), np.full((40, 1), 0.8, np.float32))
    found = among(*images, near=led)
    assert pairs_of(found) == {(0, 1)}
    assert set(found.ways.tolist()) <= set(PART)
    assert pairs_of(among(*images)) == set()
    far = Neighbours(led.places, np.full((40, 1), 0.7, np.float32))
    assert pairs_of(among(*images, near=far)) == set()


def test_different_pictures_are_no_copies_however_close_their_embeddings() -> None:
    every = Neighbours(np.array([[(at + step) % 38 for step in range(1, 17)] for at in range(38)]), np.ones((38, 16), np.float32))
    assert pairs_of(among(*OTHERS, near=every)) == set()


def test_blank_pictures_are_not_taken_for_each_other() -> None:
    blank = [encode_png(np.full((32, 32, 3), level, np.uint8)) for level in (0, 90, 255)]
    everyone = Neighbours(np.array([[1, 2], [0, 2], [0, 1]]), np.ones((3, 2), np.float32))
    assert pairs_of(among(*blank, near=everyone)) == set()
    assert 0 not in TURNED


def test_small_things_before_a_plain_ground_are_told_apart_and_their_copies_are_found() -> None:
    small = [on_plain_ground(seed) for seed in range(60, 84)]
    found = among(*small, recompressed(small[0]))
    assert pairs_of(found) == {(0, 24)}
