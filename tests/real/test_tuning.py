"""`general` tuned on this machine, and served."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
import pytest

from mingmu import verbs
from mingmu.core.answers import Labels
from mingmu.core.openvino import precisions
from mingmu.core.sealing import probe_images
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from tests.real.conftest import launch

pytestmark = pytest.mark.real

SIGNS = Path(__file__).resolve().parents[2] / "../shared/data/sign-digits"


def test_every_way_to_run_general_is_judged_and_it_is_served_as_was_chosen(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install 'mingmu[openvino]'")
    if not SIGNS.is_dir():
        pytest.skip(f"the photos that answers are judged on are missing: {SIGNS}")
    for photo in (path for label in SIGNS.iterdir() if label.is_dir() for path in sorted(label.iterdir())[:30]):
        (tmp_path / "photos" / photo.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, tmp_path / "photos" / photo.parent.name)
    store = Store(tmp_path / "data")
    tuning = verbs.tune(store, "general", tmp_path / "photos", seconds=0.3).tuning
    tried = {trial.what: trial for trial in tuning.trials}
    assert {*tried} == {"onnxruntime fp32", "onnxruntime int8", *(f"openvino {precision}" for precision in precisions())}
    assert all(trial.accuracy and trial.ratio for trial in tuning.trials), tuning.trials
    assert tried["openvino fp32"].passed
    assert tuning.trial.passed
    recognizer = Library(store).open(store.resolve("general").digest)
    assert str(recognizer.network.artifact.manifest.runs) == tuning.what
    cat = probe_images()["chelsea.jpg"]
    answer = recognizer.recognize([cat])[0]
    assert isinstance(answer, Labels)
    process = launch(store.data_dir)
    try:
        process.wait_until_ready()
        served = httpx.post(f"{process.url}/v1/recognizers/general/recognize", content=cat).json()["answers"][0]["labels"]
    finally:
        process.end()
    assert [label["label"] for label in served] == [label.label for label in answer.labels]
    assert served[0]["score"] == pytest.approx(answer.labels[0].score, abs=0.01)
