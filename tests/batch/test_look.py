from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path

import pytest

from mingmu import verbs
from mingmu.batch.look import look
from mingmu.batch.rows import Row
from mingmu.batch.sources import Item
from mingmu.core.batching import BatchOptions
from mingmu.core.errors import FetchFailed, MingmuError, Unreachable
from mingmu.settings import Settings

Look = Callable[[int, Mapping[int, type[MingmuError]]], Iterator[list[Row]]]


class Far:
    """Images by number, some of which are refused."""

    remote = True
    about: Mapping[str, object] = {}

    def __init__(self, image: bytes, refused: Mapping[int, type[MingmuError]]) -> None:
        self._image = image
        self._refused = refused

    def items(self, aside: Path) -> Iterator[Item]:
        raise NotImplementedError

    def read(self, key: str, limit: int) -> bytes:
        if error := self._refused.get(int(key)):
            raise error("no")
        return self._image


@pytest.fixture
def looking(data_dir: Path, red_png: bytes) -> Look:
    """Looks at so many images, some of which are refused."""
    recognizer = verbs.open_recognizer(Settings(data_dir=data_dir), "tiny").recognizer

    def begin(images: int, refused: Mapping[int, type[MingmuError]]) -> Iterator[list[Row]]:
        items = [Item(f"{number}.png", str(number)) for number in range(images)]
        portions = [items[start : start + 8] for start in range(0, images, 8)]
        return look(recognizer, Far(red_png, refused), portions, BatchOptions(top=1), 1)

    return begin


def errors(rows: list[list[Row]]) -> list[int]:
    return [number for number, row in enumerate(chain.from_iterable(rows)) if row.error]


def test_images_that_are_refused_are_rows_however_many_there_are_in_a_row(looking: Look) -> None:
    assert errors(list(looking(24, dict.fromkeys(range(2, 20), FetchFailed)))) == [*range(2, 20)]


def test_images_that_cannot_be_reached_are_rows_unless_eight_come_in_a_row(looking: Look) -> None:
    few = [0, 1, 2, 3, 4, 5, 6, *range(8, 15), 22, 23, 24, 25]
    assert errors(list(looking(26, dict.fromkeys(few, Unreachable)))) == few


@pytest.mark.parametrize("first", [8, 11, 15])
def test_eight_in_a_row_stop_the_run_and_none_of_them_is_a_row(looking: Look, first: int) -> None:
    done = looking(40, dict.fromkeys(range(first, first + 8), Unreachable))
    assert len(next(done)) == 8
    with pytest.raises(FetchFailed, match=f"8 images in a row could not be reached, the last is {first + 7}.png"):
        next(done)
