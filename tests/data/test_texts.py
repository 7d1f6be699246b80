"""Photos of texts: named after what stands in them, or listed in a table."""

from __future__ import annotations

from pathlib import Path

from mingmu.data import reading
from mingmu.registry.store import Store
from tests import tiny_text


def write(folder: Path, *names: str) -> None:
    for number, name in enumerate(names, start=1):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(tiny_text.picture("RGB"[number % 3] * number))


def texts(source: Path, tmp_path: Path) -> dict[str, tuple[tuple[str, ...], str | None]]:
    found = reading.read(source, Store(tmp_path / "store").blobs, texts=True)
    return {example.name: (example.labels, example.split) for example in found.dataset}


def test_a_file_is_named_after_its_text_up_to_an_underscore(tmp_path: Path) -> None:
    write(tmp_path / "plates", "皖A12345.png", "AB12_2.png", "test/X9.png")
    assert texts(tmp_path / "plates", tmp_path) == {
        "皖A12345.png": (("皖A12345",), None),
        "AB12_2.png": (("AB12",), None),
        "test/X9.png": (("X9",), "test"),
    }


def test_a_cell_of_a_table_is_one_text_whatever_it_holds(tmp_path: Path) -> None:
    write(tmp_path / "meters", "a.png", "b.png")
    (tmp_path / "meters" / "labels.csv").write_text("path,text,split\na.png,1|2;3,train\nb.png,[7],test\n")
    assert texts(tmp_path / "meters", tmp_path) == {"a.png": (("1|2;3",), "train"), "b.png": (("[7]",), "test")}
