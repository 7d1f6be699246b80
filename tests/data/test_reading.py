from __future__ import annotations

import io
import json
import os
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from mingmu.core.errors import BadRequest, NotFound
from mingmu.data.dataset import Region
from mingmu.data.reading import Reading, clip_of, read
from tests.data.memory import MemoryBlobs, pixels, png

SHARED = Path(__file__).resolve().parents[2] / "../shared/data"


def lay(root: Path, files: dict[str, bytes | str]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return root


def said(reading: Reading) -> dict[str, tuple[str, ...]]:
    """Labels by name."""
    return {example.name: example.labels for example in reading.dataset}


def kinds(reading: Reading) -> list[tuple[str, str]]:
    return sorted((finding.kind, finding.where[0]) for finding in reading.findings)


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    files = {"pears/1.png": png(1), "pears/deep/er/2.png": png(2), "red apples/3.png": png(3)}
    junk = {".git/x.png": png(4), "pears/._1.png": b"", "__MACOSX/pears/1.png": b"", "pears/Thumbs.db": b""}
    reading = read(lay(tmp_path, {**files, **junk}), MemoryBlobs())
    assert said(reading) == {"pears/1.png": ("pears",), "pears/deep/er/2.png": ("pears",), "red apples/3.png": ("red apples",)}
    assert reading.findings == ()
    assert reading.summary == "folder: 3 images, all kept, 2 labels"


def test_train_valid_and_test_folders_are_the_split(tmp_path: Path) -> None:
    lay(tmp_path, {f"top/{split}/{label}/{split}.png": png(ord(split[2])) for split in ("train", "valid", "Test") for label in "ab"})
    reading = read(tmp_path, MemoryBlobs())
    assert {(e.split, e.labels) for e in reading.dataset} == {(split, (label,)) for split in ("train", "val", "test") for label in "ab"}


def test_a_folder_beside_train_and_test_is_no_reason_to_take_these_for_classes(tmp_path: Path) -> None:
    lay(tmp_path, {f"{top}/{label}/{top}.png": png(ord(top[1]) + ord(label)) for top in ("train", "test", "extra") for label in "ab"})
    reading = read(tmp_path, MemoryBlobs())
    assert {(e.split, e.labels) for e in reading.dataset} == {(split, (label,)) for split in ("train", "test") for label in "ab"}
    (finding,) = reading.findings
    assert (finding.kind, finding.where) == ("beside-splits", ("extra/a/extra.png", "extra/b/extra.png"))
    assert "2 images in extra" in finding.detail


def test_a_train_beside_other_vehicles_is_a_class(tmp_path: Path) -> None:
    lay(tmp_path, {f"{label}/{at}.png": png(at + 10 * len(label)) for label in ("train", "tram", "test") for at in range(2)})
    assert read(tmp_path, MemoryBlobs()).dataset.labels == ("test", "train", "tram")


def test_a_letter_typed_in_two_ways_is_one_class(tmp_path: Path) -> None:
    composed = "café"
    lay(tmp_path, {f"train/{composed}/1.png": png(1), f"val/{unicodedata.normalize('NFD', composed)}/2.png": png(2)})
    assert read(tmp_path, MemoryBlobs()).dataset.labels == (composed,)


def test_what_is_wrong_with_a_file_is_reported_and_the_rest_is_kept(tmp_path: Path) -> None:
    (tmp_path.parent / "outside.png").write_bytes(png(8))
    lay(
        tmp_path, {"a/1.png": png(1), "a/cut.png": png(2)[:300], "a/text.jpg": "hello", "b/1.png": png(1), "b/2.png": png(3), "README": "x"}
    )
    (tmp_path / "empty").mkdir()
    (tmp_path / "a/link.png").symlink_to(tmp_path.parent / "outside.png")
    (tmp_path / "b/inside.png").symlink_to(tmp_path / "b/2.png")
    (tmp_path / "b/loop.png").symlink_to("loop.png")
    reading = read(tmp_path, MemoryBlobs())
    assert kinds(reading) == [
        ("duplicate", "b/2.png"),  # the link that stays inside
        ("empty-class", "empty"),
        ("label-clash", "a/1.png"),
        ("path-outside", "a/link.png"),
        ("skipped", "README"),
        ("special-file", "b/loop.png"),
        ("unreadable", "a/cut.png"),
        ("unreadable", "a/text.jpg"),
    ]
    assert len(reading.dataset) == 4
    assert reading.images == 6
    assert "4 of 6 images kept" in reading.summary


def test_images_are_kept_once_and_progress_is_told(tmp_path: Path) -> None:
    blobs, steps = MemoryBlobs(), []
    lay(tmp_path, {"a/1.png": png(1), "a/2.png": png(1), "b/1.png": png(2)})
    read(tmp_path, blobs, lambda step, share: steps.append((step, round(share, 2))))
    assert len(blobs.held) == 2
    assert steps == [("reading", 0.33), ("reading", 0.67), ("reading", 1.0)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.csv", "path,label,split,group\nimg/1.png,cat|dog,train,g\nimg/2.png,cat,test,\n"),
        ("labels.csv", "\ufeffSplit;Filename;Group;Class\r\ntrain;img/1.png;g;dog|cat\r\ntest;.\\img\\2.png;;cat\r\n"),
        ("labels.csv", 'img/1.png,"[""cat"", ""dog""]",train,g\nimg/2.png,cat,test,\n'),
        ("labels.tsv", "image\tlabels\tset\tgroup\nimg/1.png\tcat;dog\ttrain\tg\nimg/2.png\tcat\ttest\t\n"),
        (
            "labels.jsonl",
            '{"file_name": "img/1.png", "label": ["dog", "cat"], "split": "train", "group": "g"}\n\n'
            '{"file_name": "img/2.png", "label": "cat", "split": "test"}\n',
        ),
    ],
)
def test_tables_of_every_kind_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    lay(tmp_path, {"img/1.png": png(1), "img/2.png": png(2), name: text})
    for source in (tmp_path / name, tmp_path):
        reading = read(source, MemoryBlobs())
        assert [(e.name, e.labels, e.split, e.group) for e in reading.dataset] == [
            ("img/1.png", ("cat", "dog"), "train", "g"),
            ("img/2.png", ("cat",), "test", None),
        ]
        assert reading.findings == ()


def test_rows_that_make_no_sense_are_reported(tmp_path: Path) -> None:
    rows = "path,label\n1.png,a\n../secret.png,a\n/etc/passwd,a\nnone.png,a\n1.png,b\n,a\n"
    lay(tmp_path / "in", {"labels.csv": rows, "1.png": png(1)})
    lay(tmp_path, {"secret.png": png(2)})
    reading = read(tmp_path / "in/labels.csv", MemoryBlobs())
    assert kinds(reading) == [
        ("bad-annotation", "labels.csv"),
        ("listed-twice", "1.png"),
        ("missing-file", "none.png"),
        ("path-outside", "../secret.png"),
        ("path-outside", "/etc/passwd"),
    ]
    assert said(reading) == {"1.png": ("a",)}


def test_absolute_paths_are_read_as_long_as_they_lie_below_the_table(tmp_path: Path) -> None:
    inner = tmp_path / "in"
    lay(inner, {"img/1.png": png(1), "img/2.png": png(2)})
    lay(tmp_path, {"secret.png": png(3)})
    (tmp_path / "linked").symlink_to(inner)
    rows = f"path,label\n{inner}/img/1.png,a\n{tmp_path}/linked/img/2.png,b\n{inner}/../secret.png,a\n{tmp_path}/secret.png,a\n"
    lay(inner, {"labels.csv": rows})
    reading = read(inner / "labels.csv", MemoryBlobs())
    assert said(reading) == {"img/1.png": ("a",), "img/2.png": ("b",)}
    assert [finding.kind for finding in reading.findings] == ["path-outside"] * 2


def test_a_table_without_the_columns_is_refused_and_named(tmp_path: Path) -> None:
    lay(tmp_path, {"x.csv": "left,right\n1,2\n"})
    with pytest.raises(BadRequest, match="it needs a path"):
        read(tmp_path / "x.csv", MemoryBlobs())


def test_a_table_of_something_else_does_not_hide_the_folders(tmp_path: Path) -> None:
    lay(tmp_path, {"notes.csv": "left,right\n1,2\n", "a/1.png": png(1)})
    assert read(tmp_path, MemoryBlobs()).layout == "folder"


def coco(*boxes: list[float]) -> str:
    return json.dumps(
        {
            "images": [{"id": 7, "file_name": "1.png", "width": 64, "height": 48}, {"id": 8, "file_name": "gone.png"}],
            "categories": [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}],
            "annotations": [
                *({"id": at, "image_id": 7, "category_id": 3, "bbox": box} for at, box in enumerate(boxes)),
                {"id": 90, "image_id": 7, "category_id": 4},
                {"id": 91, "image_id": 7, "category_id": 99, "bbox": [0, 0, 1, 1]},
                {"id": 92, "category_id": 3},
            ],
        }
    )


def test_coco_boxes_are_kept_and_cut_at_the_edge(tmp_path: Path) -> None:
    lay(tmp_path, {"annotations/instances_train2017.json": coco([1, 2, 10, 20], [60, 40, 20, 20], [5, 5, 0, 9]), "train2017/1.png": png(1)})
    for source in (tmp_path, tmp_path / "annotations/instances_train2017.json"):
        reading = read(source, MemoryBlobs())
        (example,) = reading.dataset
        assert (example.labels, example.split) == (("cat", "dog"), "train")
        assert example.regions == (Region("cat", 1, 2, 10, 20), Region("cat", 60, 40, 4, 8))
        assert sorted(finding.kind for finding in reading.findings) == [
            "bad-annotation",
            "bad-annotation",
            "box-outside",
            "degenerate-box",
            "missing-file",
        ]


def test_boxes_drawn_on_a_picture_as_stored_are_turned_with_it(tmp_path: Path) -> None:
    file, exif = io.BytesIO(), Image.Exif()
    exif[274] = 6
    Image.fromarray(pixels(1)).save(file, "PNG", exif=exif)
    lay(tmp_path, {"instances.json": coco([10, 5, 20, 8]), "1.png": file.getvalue()})
    (example,) = read(tmp_path, MemoryBlobs()).dataset
    assert example.regions == (Region("cat", 48 - 5 - 8, 10, 8, 20),)


VOC = """<annotation><filename>other.png</filename><size><width>64</width><height>48</height></size>
<object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>64</xmax><ymax>48</ymax></bndbox></object>
<object><name>cat</name><bndbox><xmin>9</xmin><ymin>9</ymin><xmax>9</xmax><ymax>20</ymax></bndbox></object></annotation>"""


def test_pascal_voc_counts_from_one_and_lists_its_splits(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]><annotation>&a;</annotation>'
    files: dict[str, bytes | str] = {
        "Annotations/1.xml": VOC,
        "JPEGImages/1.png": png(1),
        "Annotations/2.xml": bomb,
        "JPEGImages/2.png": png(2),
    }
    reading = read(lay(tmp_path, {**files, "Annotations/3.xml": VOC, "ImageSets/Main/test.txt": "1\n"}), MemoryBlobs())
    first, second = reading.dataset
    assert (first.split, first.regions) == ("test", (Region("cat", 0, 0, 64, 48),))
    assert second.labels == ()
    assert {kind for kind, _ in kinds(reading)} == {"degenerate-box", "bad-annotation", "missing-file", "unlabelled"}


def test_yolo_with_a_data_yaml(tmp_path: Path) -> None:
    text = "0 0.5 0.5 0.5 0.25\n1 0 0 1 0 1 1 0 1\n7 0.5 0.5 1 1\n0 0.5 0.5 0 1\n"
    files: dict[str, bytes | str] = {"train/images/1.png": png(1), "train/labels/1.txt": text, "valid/images/2.png": png(2)}
    config = {"data.yaml": "train: ../train/images\nval: ../valid/images\nnames: [cat, dog]\n"}
    reading = read(lay(tmp_path, {**files, **config}), MemoryBlobs())
    first, second = reading.dataset
    assert (first.labels, first.split, second.split) == (("cat", "dog"), "train", "val")
    assert first.regions == (Region("cat", 16, 18, 32, 12), Region("dog", 0, 0, 64, 48))
    assert {kind for kind, _ in kinds(reading)} == {"bad-annotation", "degenerate-box", "unlabelled"}


def test_yolo_with_classes_txt(tmp_path: Path) -> None:
    lay(tmp_path, {"images/1.png": png(1), "labels/1.txt": "1 0.5 0.5 1 1\n", "classes.txt": "cat\ndog\n"})
    assert said(read(tmp_path, MemoryBlobs())) == {"images/1.png": ("dog",)}


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read(tmp_path / "nothing", MemoryBlobs())
    lay(tmp_path, {"a.docx": "x"})
    with pytest.raises(BadRequest, match=r"known are a folder, \.zip"):
        read(tmp_path / "a.docx", MemoryBlobs())


@pytest.mark.timeout(20)
def test_a_pipe_is_reported_and_not_waited_for(tmp_path: Path) -> None:
    lay(tmp_path, {"a/1.png": png(1)})
    os.mkfifo(tmp_path / "a/pipe.png")
    assert kinds(read(tmp_path, MemoryBlobs())) == [("special-file", "a/pipe.png")]


@pytest.mark.parametrize(
    "beside",
    [
        {"a/1.xml": "<metadata><camera>x</camera></metadata>"},
        {"meta/classes.txt": "a\nb\n", "meta/train.txt": "a/1\n"},
        {"notes.yaml": "{: no yaml"},
        {"notes.yaml": "taken: 2024-13-45"},
    ],
)
def test_files_of_another_kind_do_not_hide_the_folders(tmp_path: Path, beside: dict[str, bytes | str]) -> None:
    lay(tmp_path, {"images/a/1.png": png(1), "images/b/2.png": png(2), **beside})
    reading = read(tmp_path, MemoryBlobs())
    assert (reading.layout, reading.dataset.labels) == ("folder", ("a", "b"))


def test_an_empty_class_beside_a_single_full_one_is_told(tmp_path: Path) -> None:
    lay(tmp_path, {"top/a/1.png": png(1)})
    (tmp_path / "top/b").mkdir()
    reading = read(tmp_path, MemoryBlobs())
    assert (reading.dataset.labels, kinds(reading)) == (("a",), [("empty-class", "b")])


def test_lines_that_lack_a_label_or_a_path_do_not_stop_a_table(tmp_path: Path) -> None:
    lines = ('{"path": "1.png"}', '{"label": "a"}', '{"path": "2\u2028.png", "label": "a\u2028b"}', "no json", "[1]")
    lay(tmp_path, {"1.png": png(1), "2\u2028.png": png(2), "labels.jsonl": "\n".join(lines)})
    reading = read(tmp_path, MemoryBlobs())
    assert said(reading) == {"1.png": (), "2\u2028.png": ("a b",)}
    assert kinds(reading) == [*[("bad-annotation", "labels.jsonl")] * 3, ("unlabelled", "1.png")]
    (tmp_path / "labels.jsonl").write_text('{"path": "1.png"}')
    with pytest.raises(BadRequest, match="no line with a label"):
        read(tmp_path / "labels.jsonl", MemoryBlobs())


def test_boxes_without_end_are_left_out(tmp_path: Path) -> None:
    voc = VOC.replace("<xmax>64", "<xmax>inf").replace("<ymax>20", "<ymax>nan")
    lay(tmp_path / "voc", {"Annotations/1.xml": voc, "JPEGImages/1.png": png(1)})
    text = coco([1, 2, 10, 20]).replace("10, 20", '"inf", "nan"')
    lay(tmp_path / "coco", {"instances.json": text, "1.png": png(1)})
    for layout in ("voc", "coco"):
        reading = read(tmp_path / layout, MemoryBlobs())
        assert (reading.layout, [example.regions for example in reading.dataset]) == (layout, [()])
        assert ("bad-annotation") in {finding.kind for finding in reading.findings}


def test_an_annotation_that_cannot_be_read_does_not_stop_the_rest(tmp_path: Path) -> None:
    huge = " " * (4 * 2**20 + 1)
    voc: dict[str, bytes | str] = {
        "Annotations/1.xml": VOC,
        "JPEGImages/1.png": png(1),
        "Annotations/2.xml": huge,
        "JPEGImages/2.png": png(2),
    }
    yolo: dict[str, bytes | str] = {"images/1.png": png(1), "labels/1.txt": "1 0.5 0.5 1 1\n", "images/2.png": png(2), "labels/2.txt": huge}
    for files, label in ((voc, "cat"), ({**yolo, "classes.txt": "cat\ndog\n"}, "dog")):
        reading = read(lay(tmp_path / label, files), MemoryBlobs())
        assert [example.labels for example in reading.dataset] == [(label,), ()]
        assert [finding.where[0][-5:] for finding in reading.findings if "limit is" in finding.detail] in (["2.xml"], ["2.txt"])


def test_class_names_that_unfold_without_end_are_refused(tmp_path: Path) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    for at in range(1, 12):
        bomb += f"{chr(97 + at)}: &{chr(97 + at)} [{','.join([f'*{chr(96 + at)}'] * 10)}]\n"
    lay(tmp_path, {"data.yaml": f"{bomb}names: [*l]\n", "images/1.png": png(1), "labels/1.txt": "0 0.5 0.5 1 1\n"})
    with pytest.raises(BadRequest, match="no words"):
        read(tmp_path, MemoryBlobs())


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real datasets are not here: {SHARED}")
def test_real_blood_smears_have_two_degenerate_boxes() -> None:
    reading = read(SHARED / "bccd", MemoryBlobs())
    boxes = [region.label for example in reading.dataset for region in example.regions]
    assert (len(reading.dataset), boxes.count("RBC"), boxes.count("WBC"), boxes.count("Platelets")) == (364, 4155 - 2, 372, 361)
    assert [finding.kind for finding in reading.findings] == ["degenerate-box"] * 2


@pytest.mark.parametrize(
    ("name", "clip"),
    [("a/ride_mp4_t_593.jpg", "ride"), ("ride.mp4#t=12.500.jpg", "ride"), ("ride_1.jpg", None), ("mp4_t_1.jpg", None)],
)
def test_frames_of_one_video_belong_together_where_their_names_say_so(name: str, clip: str | None) -> None:
    assert clip_of(name) == clip
