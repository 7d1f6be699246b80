from __future__ import annotations

from pathlib import Path

import pytest

from mingmu.core.errors import Conflict
from mingmu.data.dataset import Dataset, Example, Region
from mingmu.data.exports import to_coco, to_csv, to_folder
from mingmu.data.reading import read
from tests.data.memory import MemoryBlobs, png


def boxed(blobs: MemoryBlobs) -> Dataset:
    return Dataset.of(
        [
            Example(blobs.put(png(1)), ("cat", "dog"), "x/1.png", "train", "g", (Region("cat", 1, 2, 3, 4),)),
            Example(blobs.put(png(2)), ("cat",), "y/1.png", "test"),
            Example(blobs.put(png(3)), ("a|b", "c;d"), "3", "train"),
        ]
    )


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


def test_a_folder_export_reads_back_with_the_same_digest(tmp_path: Path, blobs: MemoryBlobs) -> None:
    names = ("苹果/1.png", "苹果/1b.png", "../../evil.png")
    examples = [Example(blobs.put(png(at)), ("苹果" if at < 2 else "x y",), name, "train") for at, name in enumerate(names)]
    dataset = Dataset.of(examples)
    to_folder(dataset, blobs, tmp_path / "out")
    assert read(tmp_path / "out", MemoryBlobs()).dataset.digest == dataset.digest
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_csv_export_keeps_all_but_the_boxes(tmp_path: Path, blobs: MemoryBlobs) -> None:
    dataset = boxed(blobs)
    to_csv(dataset, blobs, tmp_path)
    back = read(tmp_path, MemoryBlobs()).dataset
    assert {(e.image, e.labels, e.split, e.group) for e in back} == {(e.image, e.labels, e.split, e.group) for e in dataset}


def test_a_coco_export_keeps_the_boxes(tmp_path: Path, blobs: MemoryBlobs) -> None:
    dataset = boxed(blobs)
    to_coco(dataset, blobs, tmp_path)
    back = read(tmp_path, MemoryBlobs()).dataset
    assert {(e.image, e.labels, e.split, e.regions) for e in back} == {(e.image, e.labels, e.split, e.regions) for e in dataset}


def test_what_would_be_lost_or_overwritten_is_refused(tmp_path: Path, blobs: MemoryBlobs) -> None:
    with pytest.raises(Conflict, match="2 labels"):
        to_folder(boxed(blobs), blobs, tmp_path / "new")
    (tmp_path / "mine").write_text("x")
    with pytest.raises(Conflict, match="not empty"):
        to_csv(boxed(blobs), blobs, tmp_path)
