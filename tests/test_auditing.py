"""What the audit says of whole datasets, and what cleaning leaves, on the tiny backbone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mingmu import verbs
from mingmu.core.errors import BadRequest, Conflict
from mingmu.core.pixels import encode_png
from mingmu.data.reading import read
from mingmu.registry.store import Store
from tests.data.memory import MemoryBlobs, png
from tests.test_teaching import COLOURS, draw, run


@pytest.fixture
def store(data_dir: Path) -> Store:
    return Store(data_dir)


def test_nothing_to_look_at_is_refused_and_what_is_wrong_is_told(store: Store, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadRequest, match="no picture in empty"):
        verbs.audit(store, tmp_path / "empty", backbone="tiny")
    (tmp_path / "broken/a").mkdir(parents=True)
    (tmp_path / "broken/a/1.png").write_bytes(b"no picture")
    audited = verbs.audit(store, tmp_path / "broken", backbone="tiny")
    assert {finding.kind for finding in audited.findings} == {"unreadable", "empty-class"}
    with pytest.raises(BadRequest, match="leave no photo"):
        verbs.clean(store, audited, tmp_path / "clean", backbone="tiny")


def test_the_command_refuses_an_empty_folder_and_a_full_target(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert run(capsys, "audit", tmp_path / "empty", "--backbone", "tiny", "--data-dir", data_dir)[0] == 1
    photos = draw(tmp_path / "photos", 3)
    code, out = run(capsys, "audit", photos, "--fix", photos, "--backbone", "tiny", "--json", "--data-dir", data_dir)
    assert code == 1
    assert "not empty" in json.loads(out)["error"]["detail"]


def test_cleaning_a_table_of_several_labels_and_groups_keeps_them(store: Store, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = ["path,labels,split,group"]
    for number in range(60):
        strong = random.random(3) < 0.5
        strong[number % 3] |= not strong.any()
        pixels = np.clip(random.normal(60, 20, (12, 12, 3)) + 120 * strong, 0, 255).astype(np.uint8)
        (tmp_path / f"{number}.png").write_bytes(encode_png(pixels))
        labels = "|".join(label for label, there in zip(COLOURS, strong, strict=True) if there)
        rows.append(f"{number}.png,{labels},{'test' if number % 5 == 0 else 'train'},{f'g{number // 2}' if number < 10 else ''}")
    (tmp_path / "60.png").write_bytes((tmp_path / "59.png").read_bytes())
    rows.append(f"60.png,{rows[-1].split(',')[1]},train,")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    audited = verbs.audit(store, tmp_path / "labels.csv", backbone="tiny")
    cleaned = verbs.clean(store, audited, tmp_path / "clean", backbone="tiny")
    assert "60.png" not in {example.name for example in cleaned.dataset}
    assert cleaned.dataset.multi_label
    assert read(tmp_path / "clean", MemoryBlobs()).dataset.digest == cleaned.dataset.digest
    assert cleaned.before is not None
    assert cleaned.after is not None
    assert min(cleaned.before, cleaned.after) > 0.8


def test_unlabelled_photos_do_not_count_as_mistakes(store: Store, tmp_path: Path) -> None:
    photos = draw(tmp_path / "photos", 12)
    (photos / "loose.png").write_bytes(png(1))
    cleaned = verbs.clean(store, verbs.audit(store, photos, backbone="tiny"), tmp_path / "clean", backbone="tiny")
    assert cleaned.before == cleaned.after == 1.0


def test_a_full_target_is_refused_before_anything_is_written(store: Store, tmp_path: Path) -> None:
    photos = draw(tmp_path / "photos", 3)
    (tmp_path / "mine").write_text("x")
    with pytest.raises(Conflict, match="not empty"):
        verbs.clean(store, verbs.audit(store, photos, backbone="tiny"), tmp_path, backbone="tiny")
