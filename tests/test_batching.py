"""`mingmu batch`, from its command line."""

from __future__ import annotations

import csv
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import fsspec
import pytest

from mingmu import verbs
from mingmu.batch import remote
from mingmu.cli import batching as command_line
from mingmu.cli import main
from mingmu.core.batching import Asked, BatchOptions
from mingmu.core.errors import FetchFailed, MissingExtra, NoCoverage
from mingmu.registry.store import Store
from mingmu.serve import schemas
from mingmu.settings import Settings
from mingmu.teach.teach import Options
from tests.test_teaching import draw

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `mingmu batch` with the recognizer `tiny` in a folder of its own: exit code, output, errors."""
    monkeypatch.setenv("MINGMU_DATA_DIR", str(data_dir))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit:
            main(["batch", *arguments, "--recognizer", "tiny"])
        return int(exit.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture
def photos(tmp_path: Path, red_png: bytes, blue_png: bytes) -> Path:
    """A folder with 20 red and 20 blue pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(20):
        (folder / f"red {number:02}.png").write_bytes(red_png)
        (folder / f"blue {number:02}.png").write_bytes(blue_png)
    return folder


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]


def test_every_image_gets_a_row(run: Run, photos: Path) -> None:
    code, out, _ = run("photos", "--out", "rows.jsonl", "--top", "2")
    found = rows(Path("rows.jsonl"))
    assert (code, out.split(" images")[0]) == (0, "40")
    assert [(row["path"], row["label"], len(row["labels"])) for row in found] == [
        (path.name, path.name.split()[0], 2) for path in sorted(photos.iterdir())
    ]
    assert {row["digest"] for row in found} == {verbs.open_recognizer(Settings(data_dir=Path("data")), "tiny").recognizer.digest}
    assert not Path("rows.jsonl.part").exists()


def test_what_cannot_be_read_is_a_row_and_the_exit_code_is_1(run: Run, photos: Path) -> None:
    (photos / "broken.png").write_bytes(b"no picture")
    (photos / "gone.jpg").symlink_to("nowhere")
    code, out, _ = run("photos", "--out", "rows.csv", "--json")
    summary = json.loads(out)
    assert (code, summary["images"], summary["errors"]) == (1, 42, {"bad-image": 1, "not-found": 1})
    assert (summary["labels"], summary["resumed"], summary["abstained"]) == ({"blue": 20, "red": 20}, 0, 0)
    with Path("rows.csv").open(encoding="utf-8", newline="") as table:
        found = {row["path"]: row for row in csv.DictReader(table)}
    assert (found["broken.png"]["error"], found["broken.png"]["label"]) == ("bad-image", "")
    assert found["gone.jpg"]["detail"] == "no such file"


def test_what_is_there_is_not_overwritten_unless_asked(run: Run, photos: Path) -> None:
    Path("rows.csv").write_text("precious")
    code, _, said = run("photos", "--out", "rows.csv")
    assert (code, "--restart" in said, Path("rows.csv").read_text()) == (1, True, "precious")
    assert run("photos", "--out", "rows.csv", "--restart")[0] == 0
    assert Path("rows.csv").read_text(encoding="utf-8").startswith("path,label")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("photos", "--out", "rows.xls"), ".parquet"),
        (("empty", "--out", "rows.csv"), "no images"),
        (("missing", "--out", "rows.csv"), "missing"),
        (("photos", "--out", "rows.csv", "--coverage", "0.9"), "promise no coverage"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(run: Run, photos: Path, arguments: tuple[str, ...], said: str) -> None:
    Path("empty").mkdir()
    code, _, errors = run(*arguments)
    assert code == 1
    assert said in errors
    assert not list(Path().glob("rows*"))


def test_without_pyarrow_parquet_is_refused_before_the_work(
    data_dir: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mingmu.batch.rows.find_spec", lambda _name: None)
    settings = Settings(data_dir=data_dir)
    opened = verbs.open_recognizer(settings, "tiny")
    with pytest.raises(MissingExtra, match="parquet"):
        verbs.batch(settings, opened, str(photos), tmp_path / "rows.parquet", BatchOptions(), watch=lambda *_: None)
    with pytest.raises(NoCoverage):
        verbs.batch(settings, opened, str(photos), tmp_path / "rows.csv", BatchOptions(coverage=0.9), watch=lambda *_: None)


def test_ctrl_c_leaves_what_the_same_command_goes_on_with(data_dir: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("".join(f"photos/{path.name}\n" for path in sorted(photos.iterdir()) for _ in range(150)))
    command = [
        sys.executable,
        "-m",
        "mingmu",
        "--data-dir",
        str(data_dir),
        "batch",
        "list.txt",
        "--out",
        "rows.jsonl",
        "--recognizer",
        "tiny",
    ]
    environment = os.environ | {"MINGMU_THREADS": "2"}
    part = tmp_path / "rows.jsonl.part" / "rows"
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        while not (part.exists() and part.stat().st_size) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "same command goes on" in said
    done = subprocess.run([*command, "--json"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True)
    summary = json.loads(done.stdout)
    assert summary["images"] == 6_000
    assert 0 < summary["resumed"] < 6_000
    assert [row["path"] for row in rows(tmp_path / "rows.jsonl")] == (tmp_path / "list.txt").read_text().splitlines()


def test_a_network_that_is_down_stops_the_run_and_it_goes_on_later(
    data_dir: Path, tmp_path: Path, red_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = fsspec.filesystem("memory")
    for number in range(40):
        files.pipe_file(f"/outage/{number:02}.png", red_png)
    down = False

    def read(_files: object, path: str, start: int, end: int) -> bytes:
        if path.endswith(("03.png", "04.png")) or (down and path > "/outage/24"):
            raise ConnectionError("gone")
        return red_png

    monkeypatch.setattr(remote, "PAUSE", 0.001)
    monkeypatch.setattr(type(files), "cat_file", read)
    settings = Settings(data_dir=data_dir, threads=2)
    opened = verbs.open_recognizer(settings, "tiny")

    def look() -> verbs.Batched:
        return verbs.batch(settings, opened, "memory://outage", tmp_path / "rows.jsonl", BatchOptions(), watch=lambda *_: None)

    down = True
    with pytest.raises(FetchFailed, match="8 images in a row"):
        look()
    down = False
    done = look()
    assert (done.images, done.resumed, done.errors) == (40, 24, {"unreachable": 2})


OPTIONS = {field.name: (field.default, field.metadata["description"]) for field in fields(BatchOptions)}


def test_what_can_be_asked_of_a_batch_is_the_same_at_every_door() -> None:
    offered = inspect.signature(command_line.batch, eval_str=True).parameters
    assert {name: (offered[name].default, offered[name].annotation.__metadata__[0].help) for name in OPTIONS} == OPTIONS
    described = schemas.document(dict.fromkeys(schemas.ROUTES, ""))
    in_json = described["components"]["schemas"]["BatchJson"]["properties"]
    assert {name: (in_json[name]["default"], in_json[name]["description"]) for name in OPTIONS} == OPTIONS
    in_query = {each["name"]: each["description"] for each in described["paths"]["/v1/jobs"]["post"]["parameters"]}
    assert in_query == {name: in_json[name]["description"] for name in in_query}
    assert {*in_query} == {*OPTIONS, "recognizer", "format"}
    assert get_type_hints(Asked) == {name: kind for name, kind in get_type_hints(BatchOptions).items() if name in OPTIONS}


def test_a_promise_of_coverage_gives_sets_of_labels(data_dir: Path, tmp_path: Path) -> None:
    photos = draw(tmp_path / "drawn", 12)
    verbs.teach(Store(data_dir), photos, name="colours", backbone="tiny", options=Options(effort="quick"))
    settings = Settings(data_dir=data_dir)
    opened = verbs.open_recognizer(settings, "colours")
    for coverage in (0.5, 0.99999):
        out = tmp_path / f"{coverage}.jsonl"
        verbs.batch(settings, opened, str(photos), out, BatchOptions(coverage=coverage), watch=lambda *_: None)
    few, all_of_them = ([len(row["labels"]) for row in rows(tmp_path / f"{coverage}.jsonl")] for coverage in (0.5, 0.99999))
    assert set(all_of_them) == {len(opened.recognizer.manifest.labels)}  # too few photos for such a promise
    assert sum(few) < sum(all_of_them)
