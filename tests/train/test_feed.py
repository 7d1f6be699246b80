from __future__ import annotations

import errno
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mingmu.core.pixels import PixelSpec, encode_png
from mingmu.train.feed import Feed, Photos, ahead, decoded, roomy, served
from tests.data.memory import MemoryBlobs
from tests.train import made

PIXELS = PixelSpec(size=(8, 8))


def test_every_photo_comes_once_an_epoch_in_an_order_of_its_own() -> None:
    feed = made.feed(24, batch=8)
    first, second = feed.order(0), feed.order(1)
    assert sorted(first) == sorted(second) == [*range(24)]
    assert list(first) != list(second)
    assert list(first) == list(made.feed(24).order(0))
    assert [len(batch.truth) for batch in feed.batches(0)] == [8, 8, 8]


@pytest.mark.parametrize(("count", "batch", "sizes"), [(33, 32, {16, 17}), (63, 32, {31, 32}), (5, 8, {5}), (3, 2, {3}), (9, 2, {2, 3})])
def test_every_photo_comes_in_batches_of_nearly_one_size(count: int, batch: int, sizes: set[int]) -> None:
    feed = made.feed(count, batch=batch)
    found = [len(each.truth) for each in feed.batches(0)]
    assert (sum(found), {*found}, len(found)) == (count, sizes, feed.steps)


def test_an_epoch_can_begin_in_its_middle() -> None:
    feed = made.feed(24, batch=8)
    whole, rest = [*feed.batches(3)], [*feed.batches(3, start=1)]
    assert [list(batch.truth) for batch in whole[1:]] == [list(batch.truth) for batch in rest]
    assert np.array_equal(whole[1].pixels, rest[0].pixels)


def test_rare_classes_come_as_often_as_others_when_balanced() -> None:
    photos = Photos(np.zeros((100, 2, 2, 3), np.uint8), np.array([0] * 90 + [1] * 10))
    shown = Counter(photos.truth[Feed(photos, 10, balance=1.0).order(0)].tolist())
    assert 30 < shown[1] < 70


def test_batches_are_made_ahead_on_another_thread_and_none_is_left_over() -> None:
    before = threading.active_count()
    made_on = []

    def make(step: int) -> int:
        made_on.append(threading.current_thread())
        return step * step

    taken = ahead(make, range(10))
    assert next(taken) == 0
    taken.close()  # type: ignore[attr-defined]
    assert threading.main_thread() not in made_on
    assert len(made_on) < 10
    assert threading.active_count() == before
    assert [*ahead(make, range(5))] == [0, 1, 4, 9, 16]


def test_what_goes_wrong_while_a_batch_is_made_reaches_who_asks() -> None:
    def make(step: int) -> int:
        raise ValueError(f"step {step}")

    with pytest.raises(ValueError, match="step 0"):
        next(ahead(make, range(3)))


def test_photos_are_decoded_once_and_those_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    good = [blobs.put(encode_png(np.full((9, 9, 3), level, np.uint8))) for level in (10, 200)]
    bad = blobs.put(b"no picture")
    shares: list[float] = []
    images = [good[0], bad, good[1]]
    first = decoded(tmp_path / "rows", PIXELS, images, blobs, shares.append)
    assert first.images == (good[0], good[1])
    assert [*first.refused] == [bad]
    assert first.pixels.shape == (2, 8, 8, 3)
    assert [int(row.max()) for row in first.pixels] == [10, 200]
    assert shares[-1] == 1
    again = decoded(tmp_path / "rows", PIXELS, images, MemoryBlobs(), shares.append)
    assert np.array_equal(again.pixels, first.pixels)
    assert len(shares) == 3


def test_other_photos_take_the_place_of_those_before(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    one, other = (blobs.put(encode_png(np.full((9, 9, 3), level, np.uint8))) for level in (10, 200))
    decoded(tmp_path / "rows", PIXELS, [one], blobs, lambda share: None)
    decoded(tmp_path / "rows", PIXELS, [other], blobs, lambda share: None)
    assert len([*(tmp_path / "rows").iterdir()]) == 2


def test_photos_are_kept_with_room_around_what_is_served() -> None:
    view = PixelSpec(size=(100, 100), margin=0.5)
    room = roomy(view)
    assert room.size == (230, 230)
    assert room.box(400, 300) == PixelSpec(size=(1, 1)).box(400, 300)
    assert served(view) == 0.5
    squashed = PixelSpec(size=(100, 100), margin=0.5, fit="squash")  # which shows all of a photo
    assert (roomy(squashed).size, served(squashed)) == ((115, 115), 1.0)


def test_photos_that_do_not_fit_on_the_disk_are_refused_with_what_they_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int, _start: int, _size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    blobs = MemoryBlobs()
    image = blobs.put(encode_png(np.zeros((9, 9, 3), np.uint8)))
    with pytest.raises(OSError, match=r"1 decoded photos cannot be written to .*: 0\.0 MB are needed, [\d.]+ MB are free \(.*No space"):
        decoded(tmp_path / "rows", PIXELS, [image], blobs, lambda share: None)
    assert not [*(tmp_path / "rows").iterdir()]
