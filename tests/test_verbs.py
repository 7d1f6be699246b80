from __future__ import annotations

import io
import itertools
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from mingmu import verbs
from mingmu.core.answers import Answer
from mingmu.core.artifact import Artifact
from mingmu.core.errors import BadArtifact, BadModel, BadRequest, MingmuError, NotFound
from mingmu.core.manifest import Origin
from mingmu.core.recognizer import Recognizer
from mingmu.registry.store import Store
from mingmu.settings import Settings
from mingmu.zoo import catalog
from mingmu.zoo.adopt import Normalisation
from tests import tiny
from tests.tiny import PIXELS

ORIGIN = Origin(source="drawn by the tests", licence="Apache-2.0")


@pytest.fixture
def store(data_dir: Path) -> Store:
    return Store(data_dir)


@pytest.fixture
def recognizer(data_dir: Path) -> Recognizer:
    return verbs.open_recognizer(Settings(data_dir=data_dir), "tiny").recognizer


def first_label(answer: Answer | MingmuError) -> str:
    return answer.kind if isinstance(answer, MingmuError) else tiny.labels_of(answer)[0].label


# recognize


def test_answers_come_in_the_order_of_the_sources(recognizer: Recognizer, tmp_path: Path, red_png: bytes, blue_png: bytes) -> None:
    sources = []
    for number in range(40):
        path = tmp_path / f"{number}.png"
        path.write_bytes(blue_png if number % 3 else red_png)
        sources.append(str(path))
    answers = list(verbs.recognize(recognizer, sources, threads=2))
    assert [source for source, _ in answers] == sources
    assert [first_label(answer) for _, answer in answers] == ["blue" if number % 3 else "red" for number in range(40)]


def test_a_bad_image_fails_alone(recognizer: Recognizer, tmp_path: Path, red_png: bytes) -> None:
    (tmp_path / "red.png").write_bytes(red_png)
    (tmp_path / "notes.png").write_text("not an image")
    (tmp_path / "empty").mkdir()
    sources = [str(tmp_path / name) for name in ("notes.png", "missing.png", "red.png", "empty")]
    answers = [answer for _, answer in verbs.recognize(recognizer, sources)]
    assert [first_label(answer) for answer in answers] == ["bad-image", "not-found", "red", "not-found"]


def test_sources_are_read_only_a_little_ahead(recognizer: Recognizer, tmp_path: Path, red_png: bytes) -> None:
    (tmp_path / "red.png").write_bytes(red_png)
    numbers = itertools.count()
    answers = verbs.recognize(recognizer, (str(tmp_path / "red.png") for _ in numbers), threads=2)
    for _ in range(10):
        next(answers)
    assert next(numbers) < 20


def test_standard_input_is_an_image_too(recognizer: Recognizer, blue_png: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(blue_png)))
    ((source, answer),) = verbs.recognize(recognizer, ["-"])
    assert (source, first_label(answer)) == ("-", "blue")


def test_a_file_over_the_limit_is_refused_without_being_read_whole(data_dir: Path, tmp_path: Path) -> None:
    small = verbs.open_recognizer(Settings(data_dir=data_dir, max_image_bytes=1000), "tiny").recognizer
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(2**40)  # a terabyte of nothing
    ((_, answer),) = verbs.recognize(small, [str(tmp_path / "huge.png")])
    assert first_label(answer) == "image-too-large"


# image_sources


def test_a_folder_stands_for_the_images_in_it_and_below_sorted(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("c.JPG", "a.png", "notes.txt", "b/d.webp", "e.heic"):
        (tmp_path / name).touch()
    assert list(verbs.image_sources([str(tmp_path)])) == [str(tmp_path / name) for name in ("a.png", "b/d.webp", "c.JPG", "e.heic")]


def test_a_pattern_stands_for_the_files_that_match(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "a.jpg"):
        (tmp_path / name).touch()
    assert list(verbs.image_sources([str(tmp_path / "*.png")])) == [str(tmp_path / name) for name in ("a.png", "b.png")]


def test_a_file_whose_name_looks_like_a_pattern_is_itself(tmp_path: Path) -> None:
    (tmp_path / "photo[1].png").touch()
    assert list(verbs.image_sources([str(tmp_path / "photo[1].png")])) == [str(tmp_path / "photo[1].png")]


def test_what_stands_for_nothing_stays_so_that_it_is_reported(tmp_path: Path) -> None:
    arguments = ["-", "missing.png", str(tmp_path), str(tmp_path / "*.png")]
    assert list(verbs.image_sources(arguments)) == arguments


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + "*.png"])
def test_a_path_that_the_system_refuses_fails_alone(recognizer: Recognizer, tmp_path: Path, red_png: bytes, name: str) -> None:
    (tmp_path / "red.png").write_bytes(red_png)
    sources = verbs.image_sources([str(tmp_path / name), str(tmp_path / "red.png")])
    (_, refused), (_, answer) = verbs.recognize(recognizer, sources)
    assert isinstance(refused, MingmuError)
    assert first_label(answer) == "red"


# ensure, show, listing, verify


def test_a_name_that_is_not_there_names_the_nearest(store: Store) -> None:
    with pytest.raises(NotFound, match="did you mean tiny"):
        verbs.ensure(store, "tinny")
    with pytest.raises(NotFound, match=r"there are: general, general-large, mobilefacenet, objects, plate-detector, .*, tiny, yunet"):
        verbs.ensure(store, "zzz")


def test_a_path_is_no_name(store: Store) -> None:
    with pytest.raises(BadRequest, match="cannot be a name"):
        verbs.ensure(store, "../tiny")


def test_processes_that_need_an_embedded_recognizer_build_it_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    built = store.artifact(store.resolve("tiny").digest)
    builds = []

    def build(*_: object) -> Artifact:
        builds.append(1)
        return built

    monkeypatch.setattr("mingmu.zoo.ready.seal_ready", build)
    threads = [threading.Thread(target=verbs.ensure, args=(Store(store.data_dir), "general")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1
    assert [version.version for version in store.versions("general")] == [1]


def test_show_gives_the_head_and_its_backbone(store: Store) -> None:
    stored = verbs.show(store, "tiny")
    assert stored.artifact.manifest.kind == "head"
    assert stored.backbone is not None
    assert stored.size == stored.artifact.size + stored.backbone.size


def test_a_damaged_recognizer_does_not_hide_the_others(store: Store) -> None:
    network = verbs.open_recognizer(Settings(data_dir=store.data_dir), "tiny").recognizer.network
    other = store.add(lambda folder: tiny.seal_tiny(folder, network, labels=("a", "b", "c")))
    store.publish("broken", other.digest)
    shutil.rmtree(other.folder)
    (_, broken), (_, whole) = verbs.listing(store)
    assert isinstance(broken, MingmuError)
    assert isinstance(whole, verbs.Stored)


def test_what_is_here_is_not_offered_again(store: Store) -> None:
    assert "yunet" in [entry.name for entry in verbs.available(store)]
    store.publish("yunet", store.resolve("tiny").digest)
    assert "yunet" not in [entry.name for entry in verbs.available(store)]


def test_verify_checks_every_file_and_probe(store: Store) -> None:
    verified = verbs.verify(store, "tiny")
    assert verified.stored.backbone is not None
    assert verified.files == len(verified.stored.artifact.manifest.files) + len(verified.stored.backbone.manifest.files)
    assert verified.probes == 8
    assert verified.runtime.startswith("onnxruntime")


@pytest.mark.parametrize("name", ["probes/shapes.jpg", "graph.onnx", "probes.npz"])
def test_verify_notices_a_changed_file_of_the_backbone(store: Store, name: str) -> None:
    backbone = verbs.show(store, "tiny").backbone
    assert backbone is not None
    path = backbone.folder / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(BadArtifact, match="not the file that was sealed"):
        verbs.verify(store, "tiny")


# export, install, pull, import


def test_what_is_exported_can_be_installed_elsewhere(store: Store, tmp_path: Path) -> None:
    verbs.export(store, "tiny", tmp_path / "tiny.mingmu")
    elsewhere = Store(tmp_path / "elsewhere")
    version = verbs.install(elsewhere, tmp_path / "tiny.mingmu", "colours")
    assert version.name == "colours"
    assert verbs.verify(elsewhere, "colours").stored.version.digest == store.resolve("tiny").digest


def test_pull_fetches_from_a_mirror(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    monkeypatch.setattr(catalog, "CATALOG", (replace(catalog.entry("yunet"), ready=False),))
    monkeypatch.setattr("mingmu.zoo.pull.pull", lambda entry, folder, mirror, report: report(1, 2) or folder / f"{mirror}-{entry.file}")
    pulled = verbs.pull(Settings(data_dir=data_dir, mirror="m"), "yunet", lambda step, share: steps.append((step, share)))
    assert pulled.path == data_dir / "weights" / "m-yunet_n_320_320.onnx"
    assert steps == [("fetching yunet_n_320_320.onnx", 0.5)]


def test_labels_with_ids_for_some_only_are_refused(store: Store) -> None:
    with pytest.raises(BadModel, match="1 of 2 labels have no id"):
        verbs.import_model(store, b"", "n1\tred\ngreen\n", name="x", normalisation=Normalisation(), pixels=PIXELS, origin=ORIGIN)
