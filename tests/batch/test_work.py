from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mingmu.batch.rows import row_of
from mingmu.batch.sources import Item
from mingmu.batch.work import PORTION, Work
from mingmu.core.errors import BadImage, BadRequest, Conflict

ITEMS = [Item(f"{number:03}\n.jpg", "") for number in range(3 * PORTION + 3)]
ABOUT = {"recognizer": "d" * 64, "top": 5}


class Fixed:
    """A source of so many items."""

    remote = False
    about: Mapping[str, Any] = {}

    def __init__(self, *items: Item) -> None:
        self._items = items

    def items(self, aside: Path) -> Iterator[Item]:
        return iter(self._items)

    def read(self, key: str, limit: int) -> bytes:
        raise NotImplementedError


def lines(*items: Item) -> bytes:
    return b"".join(row_of(item, BadImage("it is"), "d").line() for item in items)


def begin(folder: Path, rows: bytes) -> None:
    """A batch that was cut short after these bytes."""
    with Work.open(folder, Fixed(*ITEMS), ABOUT, restart=False) as work, work.appending() as append:
        append(rows)


def left(folder: Path) -> tuple[int, list[Item], bytes]:
    """How many are done, what is still to do, and the rows that are kept."""
    with Work.open(folder, Fixed(), ABOUT, restart=False) as work:
        return work.done, [item for portion in work.portions() for item in portion], work.rows.read_bytes()


@pytest.mark.parametrize(
    ("whole", "tail"),
    [(0, b""), (1, b""), (PORTION, b""), (PORTION, b'{"path":"'), (PORTION + 3, b"\0\0\0\n\0"), (2 * PORTION, lines(ITEMS[0])), (0, b"\n")],
)
def test_what_was_cut_short_goes_on_after_the_last_whole_portion(tmp_path: Path, whole: int, tail: bytes) -> None:
    begin(tmp_path / "work", lines(*ITEMS[:whole]) + tail)
    done = whole - whole % PORTION
    assert left(tmp_path / "work") == (done, ITEMS[done:], lines(*ITEMS[:done]))


def test_the_last_portion_may_be_smaller(tmp_path: Path) -> None:
    begin(tmp_path / "work", lines(*ITEMS))
    assert left(tmp_path / "work") == (len(ITEMS), [], lines(*ITEMS))


def test_a_row_without_its_end_is_not_whole(tmp_path: Path) -> None:
    begin(tmp_path / "work", lines(*ITEMS)[:-1])
    assert left(tmp_path / "work")[0] == 3 * PORTION


def test_another_batch_is_refused_and_a_new_beginning_is_not(tmp_path: Path) -> None:
    begin(tmp_path / "work", lines(*ITEMS[:PORTION]))
    other = ABOUT | {"top": 3}
    with (
        pytest.raises(Conflict, match=r"top was 5, now 3.*--restart"),
        Work.open(tmp_path / "work", Fixed(*ITEMS), other, restart=False),
    ):
        pass
    assert left(tmp_path / "work")[0] == PORTION
    with Work.open(tmp_path / "work", Fixed(*ITEMS[:2]), other, restart=True) as work:
        assert (work.done, work.images, work.rows.read_bytes()) == (0, 2, b"")


def test_two_cannot_work_in_the_same_place(tmp_path: Path) -> None:
    with (
        Work.open(tmp_path / "work", Fixed(*ITEMS), ABOUT, restart=False),
        pytest.raises(Conflict, match="another process"),
        Work.open(tmp_path / "work", Fixed(*ITEMS), ABOUT, restart=True),
    ):
        pass
    assert left(tmp_path / "work")[0] == 0


def test_nothing_is_left_of_what_could_not_begin_or_is_over(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="no images"), Work.open(tmp_path / "work", Fixed(), ABOUT, restart=False):
        pass
    assert not (tmp_path / "work").exists()
    with Work.open(tmp_path / "work", Fixed(*ITEMS), ABOUT, restart=False) as work:
        work.remove()
    assert not (tmp_path / "work").exists()
