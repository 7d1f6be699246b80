from __future__ import annotations

from pathlib import Path

import pytest

from mingmu.core.errors import BadRequest, NotFound
from mingmu.data.pairs import Pair, read_pairs


def test_a_table_has_a_row_for_each_pair(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("file_x,file_y,Decision\na.jpg,b.jpg,Yes\nc.jpg, d.jpg ,no\n\n")
    pairs = [Pair(tmp_path / "a.jpg", tmp_path / "b.jpg", True), Pair(tmp_path / "c.jpg", tmp_path / "d.jpg", False)]
    assert read_pairs(tmp_path / "pairs.csv") == pairs


@pytest.mark.parametrize("first", ["10\t300", "500"])
def test_a_list_is_read_as_labeled_faces_in_the_wild_has_it(tmp_path: Path, first: str) -> None:
    (tmp_path / "pairs.txt").write_text(f"{first}\nAda_L\t1\t12\nAda_L\t1\tBob\t3\n")
    photos = Path("lfw")
    same = Pair(photos / "Ada_L/Ada_L_0001.jpg", photos / "Ada_L/Ada_L_0012.jpg", True)
    assert read_pairs(tmp_path / "pairs.txt", photos) == [same, Pair(same.a, photos / "Bob/Bob_0003.jpg", False)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("a,b,same\nx,y,maybe\n", "line 2: a pair is two photos and yes"),
        ("a,b,same\nx,y\n", "line 2"),
        ("500\nAda 1\n", "line 2: 2 words"),
        ("500\nAda 1 x\n", "'x' is no number"),
    ],
)
def test_what_is_no_pair_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "pairs").write_text(text)
    with pytest.raises(BadRequest, match=complaint):
        read_pairs(tmp_path / "pairs")
    with pytest.raises(NotFound, match="no such file"):
        read_pairs(tmp_path / "others")
