from __future__ import annotations

import os
from pathlib import Path

import pytest

from mingmu.batch import sources
from mingmu.batch.sources import Item, in_order, opened
from mingmu.core.errors import BadRequest, BodyTooLarge, MingmuError, NotFound
from tests.data.readers.test_archive import tarred, zipped

LIMIT = 1000


def names(given: Path | str, aside: Path) -> list[str]:
    with opened(str(given)) as source:
        return [item.path for item in source.items(aside)]


def folder_of(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(file.encode())
    return root


def test_a_folder_gives_its_images_by_name_whatever_the_disk_says(tmp_path: Path) -> None:
    files = ["b.jpg", "a/z.PNG", "a/é\nü.webp", "c.heic", ".hidden.jpg", ".git/x.jpg", "notes.txt", "__MACOSX/a.jpg"]
    root = folder_of(tmp_path / "photos", *files)
    (root / "round").symlink_to(root)
    (root / "gone.jpg").symlink_to("nowhere")
    assert names(root, tmp_path) == ["a/z.PNG", "a/é\nü.webp", "b.jpg", "c.heic", "gone.jpg"]
    with opened(str(root)) as source:
        assert source.read("a/é\nü.webp", LIMIT) == "a/é\nü.webp".encode()
        assert source.read("b.jpg", 2) == b"b.j"  # enough to know that it is too large
        with pytest.raises(NotFound):
            source.read("gone.jpg", LIMIT)


def test_a_name_that_is_no_text_is_read_all_the_same(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.jpg")
    (tmp_path / name).write_bytes(b"odd")
    with opened(str(tmp_path)) as source:
        (item,) = source.items(tmp_path)
        assert source.read(item.key, LIMIT) == b"odd"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_listed_becomes_a_row(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "photos", "a.jpg", "closed/b.jpg")
    (root / "closed").chmod(0)
    with opened(str(root)) as source:
        found = list(source.items(tmp_path))
    (root / "closed").chmod(0o700)
    assert [(item.path, bool(item.error)) for item in found] == [("a.jpg", False), ("closed/", True)]


def test_more_names_than_are_held_in_memory_are_in_order_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "RUN", 7)
    items = [Item(f"{number * 37 % 100:02}\n\udcff", "key") for number in range(100)]
    assert list(in_order(iter(items), tmp_path)) == sorted(items)
    assert list(in_order(iter(items[:14]), tmp_path)) == sorted(items[:14])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "b.jpg\r\n\r\na b.jpg\r\nb.jpg"),
        ("list.csv", '\ufefflabel,Path\nx,b.jpg\ny,"a b.jpg"\nz,b.jpg\nz,\n'),
        ("list.csv", "image;label\nb.jpg;x\na b.jpg;y\nb.jpg;z\n"),
        ("list.tsv", "file\tlabel\nb.jpg\tx\na b.jpg\ty\nb.jpg\tz\n"),
        ("list.jsonl", '{"path": "b.jpg"}\n\n{"path": "a b.jpg", "label": 1}\n{"path": "b.jpg"}\n'),
    ],
)
def test_a_list_keeps_its_order_and_names_what_lies_beside_it(tmp_path: Path, name: str, text: str) -> None:
    folder_of(tmp_path, "a b.jpg", "b.jpg")
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert names(tmp_path / name, tmp_path) == ["b.jpg", "a b.jpg", "b.jpg"]
    with opened(str(tmp_path / name)) as source:
        assert source.read("a b.jpg", LIMIT) == b"a b.jpg"


def test_a_quoted_path_may_go_over_lines(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text('path\n"a\nb.jpg"\n', encoding="utf-8")
    assert names(tmp_path / "list.csv", tmp_path) == ["a\nb.jpg"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("list.csv", "label,weight\nx,3\n", "no column of paths"),
        ("list.csv", "", "no column of paths"),
        ("list.jsonl", '{"label": 3}\n', "no column of paths"),
        ("list.jsonl", "{", "no JSON"),
        ("list.txt", "x" * 1_100_000, "no list of paths"),
        ("list.csv", "path\n" + '"' + "x" * 200_000, "limit"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(BadRequest, match=said):
        names(tmp_path / name, tmp_path)


@pytest.mark.parametrize("path", ["missing.jpg", "folder", "a\0b.jpg", "pipe"])
def test_what_a_list_names_and_is_no_file_is_refused_alone(tmp_path: Path, path: str) -> None:
    (tmp_path / "list.txt").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with opened(str(tmp_path / "list.txt")) as source, pytest.raises(MingmuError):
        source.read(path, LIMIT)


def test_a_link_to_itself_is_a_row_and_hides_nothing_beside_it(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "photos", "a.jpg", "b/c.jpg", "b/d.jpg")
    for folder in (root, root / "b"):
        (folder / "b.jpg").symlink_to("b.jpg")
    with opened(str(root)) as source:
        found = [(item.path, item.error) for item in source.items(tmp_path)]
    assert found == [("a.jpg", ""), ("b.jpg", "bad-request"), ("b/b.jpg", "bad-request"), ("b/c.jpg", ""), ("b/d.jpg", "")]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_what_an_archive_must_not_hold_becomes_rows_with_errors(tmp_path: Path, suffix: str) -> None:
    make = zipped if suffix == ".zip" else tarred
    archive = make(tmp_path / f"photos{suffix}", {"b.jpg": b"b", "../evil.jpg": b"evil", "a/ü.png": b"a", "notes.txt": b"-"})
    with opened(str(archive)) as source:
        found = list(source.items(tmp_path))
        assert [(item.path, item.error) for item in found] == [("../evil.jpg", "path-outside"), ("a/ü.png", ""), ("b.jpg", "")]
        assert source.read("a/ü.png", LIMIT) == b"a"


def test_an_archive_that_unpacks_to_far_more_than_it_is_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BodyTooLarge):
        names(zipped(tmp_path / "bomb.zip", {"a.jpg": bytes(150 * 2**20)}), tmp_path)


def test_a_pattern_gives_the_files_it_means(tmp_path: Path) -> None:
    folder_of(tmp_path, "a/2.jpg", "a/1.jpg", "b/3.jpg", "b/c/4.jpg", "5.txt")
    assert names(f"{tmp_path}/**/*.jpg", tmp_path) == [f"{tmp_path}/{name}" for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg", "b/c/4.jpg")]
    assert names(f"{tmp_path}/[5].*", tmp_path) == [f"{tmp_path}/5.txt"]
    (tmp_path / "a/gone.jpg").symlink_to("nowhere")
    assert names(f"{tmp_path}/[5a]*", tmp_path) == [f"{tmp_path}/5.txt"]
    assert names(f"{tmp_path}/a/g*", tmp_path) == [f"{tmp_path}/a/gone.jpg"]  # its row will say that there is no such file


def test_what_stands_for_no_images_is_refused_with_what_would(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(BadRequest, match=r"\.zip"):
        names(tmp_path / "a.jpg", tmp_path)
    with pytest.raises(NotFound):
        names(tmp_path / "missing.zip", tmp_path)


def test_a_source_that_was_changed_is_another_one(tmp_path: Path) -> None:
    def about(given: Path) -> object:
        with opened(str(given)) as source:
            return source.about

    archive = zipped(tmp_path / "a.zip", {"a.jpg": b"a"})
    before = about(archive)
    assert about(archive) == before
    zipped(tmp_path / "a.zip", {"a.jpg": b"abc"})
    assert about(archive) != before
