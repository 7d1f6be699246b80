# ruff: noqa: F811 - fixtures are imported, and then are the parameters of tests
"""How a detector runs: chosen on photos with boxes, kept by the gate; a tiny one, that finds quarters of a picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mingmu import verbs
from mingmu.core.pixels import encode_png
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.registry.tuning import BoxAccuracy
from tests import tiny
from tests.test_tuning import INT8, machine, quantised_to, run, store  # noqa: F401 - fixtures

COUNT, SIDE = 250, 40


@pytest.fixture(autouse=True)
def quarters(store: Store) -> None:
    store.publish("quarters", store.add(tiny.seal_detector).digest)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey stripes of its own in each, and in the left upper quarter a thing that is red or blue."""
    folder, random = tmp_path_factory.mktemp("things"), np.random.default_rng(0)
    for number in range(COUNT):
        pixels = np.kron(random.integers(0, 100, (10, 10, 1)), np.ones((8, 8, 3))).astype(np.uint8)
        pixels[:SIDE, :SIDE, 2 * (number % 2)] += 150
        (folder / f"{number}.png").write_bytes(encode_png(pixels))
    return folder


@pytest.fixture(scope="module")
def boxed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with boxes, as COCO has them."""
    folder = tmp_path_factory.mktemp("boxed")
    for number in range(COUNT):
        (folder / f"{number}.png").write_bytes((photos / f"{number}.png").read_bytes())
    document = {
        "images": [{"id": number, "file_name": f"{number}.png", "width": 2 * SIDE, "height": 2 * SIDE} for number in range(COUNT)],
        "categories": [{"id": kind, "name": name} for kind, name in enumerate(tiny.LABELS)],
        "annotations": [{"image_id": number, "category_id": 2 * (number % 2), "bbox": [0, 0, SIDE, SIDE]} for number in range(COUNT)],
    }
    (folder / "boxes.json").write_text(json.dumps(document))
    return folder


def test_a_variant_that_finds_the_same_runs_from_then_on(store: Store, boxed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantised_to(monkeypatch, tiny.detector_graph(0.05, sure=0.98, turned=True))
    tuning = verbs.tune(store, "quarters", boxed).tuning
    assert tuning.what == INT8
    found = tuning.trial.accuracy
    assert isinstance(found, BoxAccuracy)
    assert (found.photos, found.boxes, found.kept.value) == (200, 200, 1.0)
    assert tuning.data == f"200 photos of {boxed.name}, their boxes; INT8 is calibrated with 50 others"
    assert Library(store).open(store.resolve("quarters").digest).network.artifact.digest == tuning.chosen


def test_a_variant_whose_boxes_moved_stands_in_the_table_and_does_not_run(
    store: Store, boxed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantised_to(monkeypatch, tiny.detector_graph(0.1))  # the probes allow it
    monkeypatch.setattr("mingmu.compress.finds.SAME", 0.95)
    tuning = verbs.tune(store, "quarters", boxed).tuning
    assert tuning.what == "onnxruntime fp32"
    assert "only 0 of 200 sure boxes stay" in tuning.trials[1].verdict


def test_too_few_photos_choose_nothing(store: Store, boxed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantised_to(monkeypatch, tiny.detector_graph(sure=0.98))
    trial = verbs.tune(store, "quarters", boxed, photos=60).tuning.trials[1]
    assert not trial.passed
    assert "60 photos are too few to tell" in trial.verdict


def test_photos_too_few_to_calibrate_with_are_the_reason_that_is_said(store: Store, photos: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for number in range(3):
        (few / f"{number}.png").write_bytes((photos / f"{number}.png").read_bytes())
    done = verbs.compress(store, "quarters", few)
    assert done.version is None
    assert done.after.verdict.startswith("too few photos to calibrate INT8 with; at least 5 are needed")
    assert done.data.endswith("too few to calibrate INT8 with others")


def test_photos_without_a_box_show_whether_it_finds_what_it_found(store: Store, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantised_to(monkeypatch, tiny.detector_graph(sure=0.98))
    tuning = verbs.tune(store, "quarters", photos).tuning
    assert tuning.what == INT8
    assert "none has a box of its labels, so what it is sure of as it was sealed counts as there" in tuning.data


def test_a_smaller_version_is_published_with_its_evidence_and_shown(
    store: Store, boxed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quantised_to(monkeypatch, tiny.detector_graph(sure=0.98))
    done = verbs.compress(store, "quarters", boxed)
    assert done.version
    manifest = store.artifact(done.version.digest).manifest
    assert (manifest.parent, manifest.task) == (store.resolve("quarters@1").digest, "detect")
    evidence = manifest.made_by["after"]
    assert isinstance(evidence, dict)
    assert isinstance(evidence["accuracy"], dict)
    assert evidence["accuracy"]["boxes"] == 200
    verbs.tune(store, "quarters@1", boxed)
    _, printed = run(capsys, "--data-dir", store.data_dir, "show", "quarters@1")
    assert "AP50 100.0%, 200 photos" in printed


def test_two_detectors_are_compared(store: Store, boxed: Path) -> None:
    store.publish("beside", store.add(lambda folder: tiny.seal_detector(folder, 2.0)).digest)
    found = verbs.compare(store, "beside", "quarters", boxed)
    assert (found.better, found.boxes, found.untold) == ("B", COUNT, ("A", "B"))
    assert "points of AP50" in found.verdict
