# ruff: noqa: F811 - fixtures are imported, and then are the parameters of tests
"""What the command line and the verbs do with a detector: a tiny one, that finds quarters of a picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mingmu import verbs
from mingmu.core.pixels import encode_png
from mingmu.registry.store import Store
from tests import tiny
from tests.test_cli import Run, run  # noqa: F401 - fixtures
from tests.zoo.test_detectors import CORNERS, SHARES, network


@pytest.fixture(autouse=True)
def quarters(data_dir: Path) -> None:
    store = Store(data_dir)
    store.publish("quarters", store.add(tiny.seal_detector).digest)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Red in the left upper quarter, blue in the right lower one."""
    pixels = np.zeros((80, 160, 3), np.uint8)
    pixels[:40, :80], pixels[40:, 80:] = (255, 0, 0), (0, 0, 255)
    file = tmp_path / "photos" / "photo.png"
    file.parent.mkdir()
    file.write_bytes(encode_png(pixels))
    return file


def test_a_line_says_what_and_where(run: Run, photo: Path) -> None:
    lines = [line.split("\t") for line in run("recognize", photo, "--recognizer", "quarters").out.splitlines()]
    assert [(label, places) for _, label, _, *places in lines] == [
        ("red", ["0.0", "0.0", "80.0", "40.0"]),
        ("blue", ["80.0", "40.0", "80.0", "40.0"]),
    ]
    few = run("recognize", photo, "--recognizer", "quarters", "--top", "1", "--threshold", "0.5", "--json")
    assert [box["label"] for box in few.json["answers"][0]["boxes"]] == ["red"]


def test_a_photo_is_drawn_into_a_file_and_several_into_a_folder(run: Run, photo: Path, tmp_path: Path) -> None:
    for target in ("drawn.png", "drawn.jpg"):
        assert run("recognize", photo, "--recognizer", "quarters", "--draw", tmp_path / target).code == 0
        with Image.open(tmp_path / target) as drawn:
            assert drawn.size == (320, 160)  # it is small, so it is drawn twice as large
    assert run("recognize", photo, photo, "--recognizer", "tiny", "--draw", tmp_path / "new" / "folder").code == 0
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["photo-2.jpg", "photo.jpg"]
    refused = run("recognize", photo, photo, "--recognizer", "quarters", "--draw", tmp_path / "one.jpg")
    assert refused.code == 1
    assert "give a folder" in refused.err


def test_what_cannot_be_read_is_not_drawn(run: Run, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"junk")
    done = run("recognize", tmp_path / "bad.png", photo, "--recognizer", "quarters", "--draw", tmp_path / "drawn")
    assert done.code == 1
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["photo.jpg"]


def test_rows_of_a_batch_have_boxes(run: Run, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    assert run("batch", photo.parent, "--out", out, "--recognizer", "quarters", "--overlap", "1").code == 0
    (row,) = map(json.loads, out.read_text().splitlines())
    assert (row["label"], row["labels"], len(row["scores"])) == ("red", ["red", "blue", "red"], 3)
    assert row["boxes"] == [[0, 0, 80, 40], [80, 40, 80, 40], [0, 0, 80, 36]]


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("recognize {photo} --recognizer tiny --threshold 0.5", "tiny gives labels"),
        ("batch {folder} --out {folder}/rows.csv --recognizer tiny --threshold 0.5", "tiny gives labels"),
        ("batch {folder} --out {folder}/rows.csv --recognizer quarters --coverage 0.9", "promise no coverage"),
        ("evaluate quarters {folder}", "none of 1 photos has a box"),
        ("compare quarters tiny {folder}", "one gives labels and the other boxes; compare two of a kind"),
        ("teach {folder} --name new --backbone quarters", "whole model without features"),
    ],
)
def test_what_is_for_classifiers_says_so(run: Run, photo: Path, command: str, complaint: str) -> None:
    words = [word.format(photo=photo, folder=photo.parent) for word in command.split()]
    done = run(*words)
    assert done.code == 1
    assert complaint in done.err
    assert "Traceback" not in done.err


def test_a_detector_is_tuned_by_its_probes(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino", reason="needs the extra `openvino`")
    tuned = verbs.tune(Store(data_dir), "quarters", seconds=0.5)
    assert [trial.verdict for trial in tuned.tuning.trials][:2] == ["as it was sealed", "probes agree"]


def test_a_detector_is_imported(run: Run, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(network({"scores": SHARES, "boxes": CORNERS}).SerializeToString())
    (tmp_path / "labels.txt").write_text("\n".join(tiny.LABELS))
    command = ("import", tmp_path / "model.onnx", "--name", "mine", "--labels", tmp_path / "labels.txt", "--task", "detect")
    assert run(*command, "--decoder", "boxes", "--fit", "squash").code == 0
    boxes = run("recognize", photo, "--recognizer", "mine", "--json").json["answers"][0]["boxes"]
    assert [(box["label"], box["x"], box["y"], box["width"], box["height"]) for box in boxes] == [
        ("green", 0.0, 0.0, 80.0, 40.0),
        ("red", 40.0, 20.0, 120.0, 60.0),
    ]
    assert run(*command).code == 2
    refused = run(*command, "--decoder", "yolox")
    assert (refused.code, "2 outputs" in refused.err) == (1, True)


@pytest.fixture
def boxed(photo: Path) -> Path:
    """Two photos as COCO has them: of one, both things are boxed; of the other one of two, and one that it does not know."""
    pixels = np.zeros((80, 160, 3), np.uint8)
    pixels[:40, :80], pixels[40:, 80:] = (0, 255, 0), (255, 0, 0)
    (photo.parent / "other.png").write_bytes(encode_png(pixels))
    images = [{"id": number, "file_name": name, "width": 160, "height": 80} for number, name in enumerate(("photo.png", "other.png"))]
    boxes = [(0, 0, [0, 0, 80, 40]), (0, 2, [80, 40, 80, 40]), (1, 1, [0, 0, 80, 40]), (1, 3, [80, 0, 40, 40])]
    document = {
        "images": images,
        "categories": [{"id": kind, "name": name} for kind, name in enumerate((*tiny.LABELS, "pink"))],
        "annotations": [{"image_id": image, "category_id": kind, "bbox": box} for image, kind, box in boxes],
    }
    (photo.parent / "boxes.json").write_text(json.dumps(document))
    return photo.parent


def test_a_detector_is_measured_on_boxes(run: Run, boxed: Path, tmp_path: Path) -> None:
    page, card = tmp_path / "report.html", tmp_path / "card.md"
    done = run("evaluate", "quarters", boxed, "--html", page, "--card", card, "--json")
    measures = done.json["measures"]
    assert (measures["examples"], measures["boxes"]) == (2, 3)
    assert measures["left_out"]["unknown"] == [["pink", 1]]
    assert measures["recall"]["value"] == 1
    assert [(row["label"], row["there"], row["said"]) for row in measures["classes"]] == [("red", 1, 2), ("green", 1, 1), ("blue", 1, 1)]
    assert "said, but nothing of the kind is there" in page.read_text()
    assert "| AP50 |" in card.read_text()
    assert "AP50 is " in run("evaluate", "quarters", boxed).out


def test_a_job_measures_a_detector_by_its_ap50(data_dir: Path, boxed: Path) -> None:
    from mingmu.data import reading
    from mingmu.jobs import errands
    from mingmu.settings import Settings

    store = Store(data_dir)
    dataset = reading.read(boxed, store.blobs).dataset
    store.datasets.add("boxed", dataset.digest, dataset.to_lines())
    result = errands.evaluate(Settings(data_dir=data_dir), {"recognizer": "quarters", "dataset": "boxed"}, lambda step, share: None)
    assert 0 < result["ap50"]["value"] <= 1


def test_an_audit_says_what_a_detector_misses_among_the_boxes(run: Run, boxed: Path) -> None:
    done = run("audit", boxed, "--backbone", "tiny", "--detector", "quarters", "--json")
    found = [(each["kind"], each["where"], each["suggestion"]) for each in done.json["findings"] if each["kind"].endswith("box")]
    assert found == [("missing-box", ["other.png"], "red")]
    assert "no detector" in run("audit", boxed, "--backbone", "tiny", "--detector", "tiny").err
