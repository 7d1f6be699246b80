from __future__ import annotations

import numpy as np

from mingmu.core.pixels import encode_png
from mingmu.data.closeups import Closeups, Floats, trimmed, window
from mingmu.data.dataset import Dataset, Example
from tests.data.memory import MemoryBlobs, pixels


def likeness(one: Floats, other: Floats) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def framed(left: int, top: int) -> bytes:
    ground = np.full((256, 256, 3), 200, np.uint8)
    ground[top : top + 80, left : left + 80] = pixels(1, 80, 80)
    return encode_png(ground)


def test_what_lies_before_the_ground_fills_the_frame_and_is_found_where_the_thumbnails_say() -> None:
    blobs = MemoryBlobs()
    dataset = Dataset(tuple(Example(blobs.put(data), (), f"{at}") for at, data in enumerate((framed(16, 80), framed(32, 80)))))
    closeups = Closeups(dataset, blobs)
    one, other = closeups.of(0), closeups.of(1)
    assert one.shape == (128, 128)
    there, elsewhere = (likeness(*trimmed(one, other, np.array([shift, 0, 0, 0], np.float32))) for shift in (2, 0))
    assert there > 0.99 > elsewhere  # 16 of 256 pixels to the right are 2 of 32
    assert np.mean(trimmed(one, other, np.zeros(4, np.float32))[0] == 200) < 0.1 < np.mean(one == 200)


def test_a_picture_that_cannot_be_decoded_is_plain_and_a_window_lies_where_it_is_said_to() -> None:
    blobs = MemoryBlobs()
    closeups = Closeups(Dataset.of([Example(blobs.put(b"no picture"), (), "x")]), blobs)
    assert not closeups.of(0).any()
    ramp = np.tile(np.arange(100, dtype=np.uint8), (100, 1))
    assert window(ramp, 0.8, 0.0, 1.0)[0].tolist() == [*range(20, 100)]
