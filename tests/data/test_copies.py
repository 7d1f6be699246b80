from __future__ import annotations

import numpy as np
import pytest

from mingmu.core.pixels import Pixels, encode_png
from mingmu.data.copies import PART, TURNED, Copies, copies
from mingmu.data.neighbours import Neighbours
from mingmu.data.phash import Thumbs, thumb_of
from tests.data.memory import pixels, png
from tests.data.test_phash import changed

OTHERS = [png(seed) for seed in range(2, 40)]


def cut(seed: int, share: float) -> bytes:
    whole = pixels(seed, 100, 80)
    left, top = round(100 * share), round(40 * share)
    return encode_png(np.ascontiguousarray(whole[top : 80 - top, left:]))


def thumbs(*files: bytes) -> Thumbs:
    return np.stack([thumb_of(data) for data in files])


def pairs_of(found: Copies) -> set[tuple[int, int]]:
    return {(int(left), int(right)) for left, right in found.pairs}


def test_recompressed_resized_and_slightly_cut_pictures_are_copies_and_different_ones_are_not() -> None:
    found = copies(thumbs(png(1, 100, 80), *changed(1), cut(1, 0.05), *OTHERS))
    assert pairs_of(found) >= {(0, 1), (0, 2), (0, 3)}
    assert {int(at) for at in found.pairs.ravel()} <= {0, 1, 2, 3}
    assert ((found.scores >= 0.98) & (found.scores <= 1)).all()


@pytest.mark.parametrize("turn", range(1, 8))
def test_a_mirrored_or_turned_picture_is_a_copy(turn: int) -> None:
    square: Pixels = np.rot90(pixels(1, 60, 60), turn % 4)
    file = encode_png(np.ascontiguousarray(square[:, ::-1] if turn >= 4 else square))
    found = copies(thumbs(*OTHERS, file, png(1, 60, 60)))
    assert pairs_of(found) == {(38, 39)}
    assert found.turned.all()


@pytest.mark.parametrize("first", [True, False])
def test_a_larger_cut_is_found_where_the_embedding_leads_to_it(first: bool) -> None:
    both = [png(1, 100, 80), cut(1, 0.2)]
    images = thumbs(*(both if first else both[::-1]), *OTHERS)
    led = Neighbours(np.array([[1], [2], *[[0]] * 38]), np.full((40, 1), 0.8, np.float32))
    found = copies(images, led)
    assert pairs_of(found) == {(0, 1)}
    assert set(found.ways.tolist()) <= set(PART)
    assert pairs_of(copies(images)) == set()
    far = Neighbours(led.places, np.full((40, 1), 0.7, np.float32))
    assert pairs_of(copies(images, far)) == set()


def test_different_pictures_are_no_copies_however_close_their_embeddings() -> None:
    every = Neighbours(np.array([[(at + step) % 38 for step in range(1, 17)] for at in range(38)]), np.ones((38, 16), np.float32))
    assert pairs_of(copies(thumbs(*OTHERS), every)) == set()


def test_blank_pictures_are_not_taken_for_each_other() -> None:
    blank = np.stack([np.full((32, 32), level, np.uint8) for level in (0, 90, 255)])
    everyone = Neighbours(np.array([[1, 2], [0, 2], [0, 1]]), np.ones((3, 2), np.float32))
    assert pairs_of(copies(blank, everyone)) == set()
    assert 0 not in TURNED
