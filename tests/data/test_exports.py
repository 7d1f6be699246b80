from __future__ import annotations

from pathlib import Path

import pytest

from mingmu.core.errors import Conflict, NotFound
from mingmu.data.dataset import Dataset, Example, Region
from mingmu.data.exports import export, to_coco, to_csv, to_folder
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


def test_an_export_keeps_everything_whatever_it_takes(tmp_path: Path, blobs: MemoryBlobs) -> None:
    plain = [Example(blobs.put(png(at)), ("ab"[at],), f"{at}.png") for at in range(2)]
    odd: dict[str, list[Example]] = {
        "a folder": [],
        "several labels": [Example(blobs.put(png(3)), ("a", "b"), "3.png")],
        "no label": [Example(blobs.put(png(3)), (), "3.png")],
        "a group": [Example(blobs.put(png(3)), ("a",), "3.png", group="g")],
        "half a split": [Example(blobs.put(png(3)), ("a",), "3.png", "train")],
        "a name that is a split": [Example(blobs.put(png(3)), ("train",), "3.png")],
        "names that would be one folder": [Example(blobs.put(png(at)), (label,), f"{at}") for at, label in ((3, "a/b"), (4, "a_b"))],
        "a name that is hidden": [Example(blobs.put(png(3)), (".a",), "3.png")],
        "a name that looks like a list": [Example(blobs.put(png(3)), ('["a"]',), "3.png")],
        "boxes": [Example(blobs.put(png(3)), ("a",), "3.png", "val", "g", (Region("a", 1.0, 2.0, 3.0, 4.0),))],
        "another suffix": [Example(blobs.put(png(3)), ("a",), "3.php")],
    }
    for what, examples in odd.items():
        dataset = Dataset.of([*plain, *examples])
        export(dataset, blobs, tmp_path / what)
        assert read(tmp_path / what, MemoryBlobs()).dataset.digest == dataset.digest, what
    assert (tmp_path / "a folder/a").is_dir()


def test_an_export_that_fails_leaves_nothing_and_one_that_works_nothing_else(tmp_path: Path, blobs: MemoryBlobs) -> None:
    lost = Dataset.of([Example(blobs.put(png(1)), ("a",), "1.png"), Example("f" * 64, ("b",), "2.png")])
    for write in (to_folder, to_csv, to_coco):
        with pytest.raises(NotFound):
            write(lost, blobs, tmp_path / "deep/out")
        assert [*(tmp_path / "deep").iterdir()] == []
    (tmp_path / "deep/out").mkdir()
    to_folder(Dataset.of(lost.examples[:1]), blobs, tmp_path / "deep/out")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_folders_that_would_lose_labels_are_refused(tmp_path: Path, blobs: MemoryBlobs) -> None:
    for labels, said in (((), "0 labels"), (("a/b",), "cannot be the name"), (("Test",), "cannot be the name")):
        with pytest.raises(Conflict, match=said):
            to_folder(Dataset.of([Example(blobs.put(png(1)), labels, "1.png")]), blobs, tmp_path / "out")
    (tmp_path / "file").write_text("x")
    with pytest.raises(Conflict, match="not empty"):
        to_csv(boxed(blobs), blobs, tmp_path / "file")
