"""How a network runs: chosen by measuring, kept by the gate; on the tiny backbone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest

from mingmu import verbs
from mingmu.cli import main
from mingmu.compress import contest
from mingmu.compress.speed import Speed
from mingmu.core.errors import BadRequest, Conflict
from mingmu.core.manifest import HeadSpec, Runs
from mingmu.core.network import Network
from mingmu.core.pixels import encode_png
from mingmu.core.sealing import seal_head
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.teach.teach import Options
from mingmu.verbs.judging import photos_of
from tests import tiny

INT8 = "onnxruntime int8"


@pytest.fixture
def store(data_dir: Path) -> Store:
    return Store(data_dir)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has ONNX Runtime alone, on which INT8 is three times as fast."""

    def race(networks: Mapping[str, Network], *_args: object, **_kwargs: object) -> dict[str, Speed]:
        return {name: Speed(300.0, 3.0, 2.0) if name == INT8 else Speed(100.0, 1.0, 6.0) for name in networks}

    monkeypatch.setattr(contest, "race", race)
    monkeypatch.setattr("mingmu.verbs.tuning.candidates", lambda sealed, photos: [Runs(precision="int8")] if photos else [])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that are light or dark, each with stripes of its own so that no two are nearly the same."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        (folder / name).mkdir()
        for number in range(125):
            stripes = np.kron(random.integers(-50, 50, (6, 6, 1)), np.ones((4, 4, 3)))
            (folder / name / f"{number}.png").write_bytes(encode_png(np.clip(level + stripes, 0, 255).astype(np.uint8)))
    return folder


def quantised_to(monkeypatch: pytest.MonkeyPatch, graph: bytes) -> None:
    """The tiny backbone has nothing to quantise; this is what its INT8 graph is instead."""
    monkeypatch.setattr("mingmu.compress.variants.quantize", lambda _graph, frames: graph if [*frames] else b"")


def backbone_of(store: Store, name: str = "tiny") -> str:
    head = store.artifact(store.resolve(name).digest).manifest.head
    assert isinstance(head, HeadSpec)
    return head.backbone


def test_the_fastest_way_that_passed_is_chosen_and_runs_from_then_on(store: Store, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantised_to(monkeypatch, tiny.backbone_graph(white=254))
    tuning = verbs.tune(store, "tiny", photos).tuning
    assert [trial.what for trial in tuning.trials] == ["onnxruntime fp32", INT8]
    assert tuning.what == INT8
    assert tuning.trial.passed
    assert tuning.trial.accuracy
    assert tuning.trial.accuracy.photos == 200
    assert "200 photos of " in tuning.data
    network = Library(store).open(store.resolve("tiny").digest).network
    assert network.artifact.digest == tuning.chosen != network.backbone
    assert verbs.untune(store, "tiny")
    assert Library(store).open(store.resolve("tiny").digest).network.artifact.digest == backbone_of(store)


def test_a_variant_that_lost_its_accuracy_stands_in_the_table_and_does_not_run(
    store: Store, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantised_to(monkeypatch, tiny.backbone_graph(white=-255))
    tuning = verbs.tune(store, "tiny", photos).tuning
    assert tuning.what == "onnxruntime fp32"
    assert not tuning.trials[1].passed
    assert "cosine" in tuning.trials[1].verdict
    assert Library(store).open(store.resolve("tiny").digest).network.artifact.digest == backbone_of(store) == tuning.chosen


def test_a_variant_that_cannot_be_made_stands_in_the_table_with_its_reason(
    store: Store, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantised_to(monkeypatch, b"no graph")
    trial = verbs.tune(store, "tiny", photos).tuning.trials[1]
    assert (trial.passed, trial.ratio) == (False, None)
    assert "not an ONNX file" in trial.verdict


def test_a_variant_on_which_the_recognizer_does_not_prove_itself_is_refused(
    store: Store, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantised_to(monkeypatch, tiny.backbone_graph(white=40))  # the same direction of all features, but far too long
    tuning = verbs.tune(store, "tiny", photos).tuning
    assert tuning.what == "onnxruntime fp32"
    assert "the limit is 0.35" in tuning.trials[1].verdict


def test_what_is_taught_afterwards_is_taught_on_the_variant(store: Store, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantised_to(monkeypatch, tiny.backbone_graph(white=254))
    tuning = verbs.tune(store, "tiny", photos).tuning
    taught = verbs.teach(store, photos, name="shades", backbone="tiny", options=Options(effort="quick"))
    head = store.artifact(taught.version.digest).manifest.head
    assert head
    assert (head.backbone, head.taught_on) == (tuning.network, tuning.chosen)
    verbs.untune(store, "tiny")
    assert Library(store).open(taught.version.digest).network.artifact.digest == tuning.network


def test_too_few_photos_choose_nothing(store: Store, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantised_to(monkeypatch, tiny.backbone_graph(white=254))
    trial = verbs.tune(store, "tiny", photos, photos=40).tuning.trials[1]
    assert not trial.passed
    assert "too few to tell" in trial.verdict


def test_int8_is_judged_on_other_photos_than_it_was_calibrated_with_and_that_is_said(store: Store, photos: Path) -> None:
    recognizer = Library(store).open(store.resolve("tiny").digest)
    for most in (1000, 50):
        found = photos_of(store, recognizer, photos, most, verbs.silent)
        assert (len(found.judged), len(found.calibration)) == (min(most, 200), 50)
        assert {each.image for each in found.judged}.isdisjoint(each.image for each in found.calibration)
        assert "calibrated with 50 others" in found.words


def head_of(store: Store, name: str, steps: Mapping[str, tuple[float, float]]) -> str:
    """Publish a head whose scores are as sure as can be; each label has the slope and the height of a line over the brightness."""
    sealed = Network.open(store.artifact(backbone_of(store)))
    lines = np.array([*steps.values()], np.float32) * 1000
    weight = np.stack([lines[:, 0], 0 * lines[:, 0], 0 * lines[:, 0]])
    manifest = tiny.head_manifest(sealed.artifact, name=name, labels=tuple(steps))
    head = store.add(lambda folder: seal_head(folder, manifest, weight, lines[:, 1], sealed))
    return store.publish(name, head.digest).digest


BETWEEN = 190 / 255  # the brightness that half of the light photos have


def test_another_head_that_answers_otherwise_on_the_variant_stays_on_the_sealed_network_and_is_named(
    store: Store, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantised_to(monkeypatch, tiny.backbone_graph(white=250))  # two percent brighter
    digest = head_of(store, "shades", {"dusk": (0, 0), "noon": (1, -BETWEEN)})
    tuning = verbs.tune(store, "tiny", photos).tuning
    assert tuning.what == INT8
    assert tuning.apart == (digest,)
    assert "on the sealed network stay shades@1 (only " in tuning.trial.verdict
    library = Library(store)
    assert library.open(digest).network.artifact.digest == library.chosen(digest)[digest] == tuning.network
    assert library.open(store.resolve("tiny").digest).network.artifact.digest == tuning.chosen != tuning.network


def test_a_recognizer_that_knows_the_labels_must_keep_its_answers_too_right_or_wrong(
    store: Store, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantised_to(monkeypatch, tiny.backbone_graph(white=250))
    monkeypatch.setattr("mingmu.compress.gate.LEAST_SURELY_KEPT", 0.9)  # it is right on half of the photos only
    head_of(store, "shades", {"dark": (0, 0), "dusk": (1, -0.5), "noon": (2, -0.5 - BETWEEN), "light": (0, -9)})
    tuning = verbs.tune(store, "shades", photos).tuning
    assert "the recognizer itself" in tuning.data
    accuracy = tuning.trials[1].accuracy
    assert accuracy
    assert accuracy.kept.value == 1.0
    assert not tuning.trials[1].passed
    assert "sure answers stay the same" in tuning.trials[1].verdict


def test_a_variant_that_gives_no_number_for_one_photo_is_refused(store: Store, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantised_to(monkeypatch, blind_above(BETWEEN + 0.04))
    trial = verbs.tune(store, "tiny", photos).tuning.trials[1]
    assert not trial.passed
    assert "of 200 photos is no number" in trial.verdict


def blind_above(limit: float) -> bytes:
    """The tiny backbone, but features are not a number for pictures that are brighter."""
    graph = onnx.load_from_string(tiny.backbone_graph())
    constants = {"limit": np.array(limit, np.float32), "none": np.array(0, np.float32)}
    graph.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in constants.items())
    graph.graph.node[-1].output[0] = "means"
    for operator, inputs, output in (
        ("Sub", ["limit", "means"], "room"),
        ("Sqrt", ["room"], "root"),
        ("Mul", ["root", "none"], "nothing"),
        ("Add", ["means", "nothing"], "features"),
    ):
        graph.graph.node.append(onnx.helper.make_node(operator, inputs, [output]))
    return bytes(graph.SerializeToString())


def test_photos_that_say_nothing_of_a_whole_model_are_refused(store: Store, photos: Path) -> None:
    store.publish("whole", store.add(tiny.seal_whole).digest)
    with pytest.raises(Conflict, match="other labels"):
        verbs.tune(store, "whole", photos)


def test_a_compressed_version_names_its_parent_and_says_what_was_measured(
    store: Store, photos: Path, red_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantised_to(monkeypatch, tiny.backbone_graph(white=254))
    before = store.resolve("tiny")
    done = verbs.compress(store, "tiny", photos)
    assert done.version
    assert done.version.version == 2
    recognizer = Library(store).open(done.version.digest)
    assert recognizer.manifest.parent == before.digest
    assert recognizer.network.artifact.manifest.parent == backbone_of(store, "tiny@1")
    assert recognizer.network.artifact.manifest.runs == Runs(precision="int8")
    compressed = recognizer.manifest.made_by["compressed"]
    assert isinstance(compressed, dict)
    assert compressed["after"] == done.after.model_dump(mode="json")
    assert recognizer.recognize([red_png])


def test_what_would_make_nothing_smaller_is_not_compressed(store: Store, photos: Path) -> None:
    with pytest.raises(BadRequest, match=r"bf16 makes nothing smaller.*`mingmu tune`"):
        verbs.compress(store, "tiny", photos, precision="bf16")


def test_a_compressed_version_that_is_refused_is_not_published(store: Store, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantised_to(monkeypatch, tiny.backbone_graph(white=-255))
    done = verbs.compress(store, "tiny", photos)
    assert done.version is None
    assert not done.after.passed
    assert [version.version for version in store.versions("tiny")] == [1]


def test_a_whole_model_is_compressed_as_a_whole(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantised_to(monkeypatch, tiny.whole_graph(steep=0.99))
    version = store.publish("whole", store.add(tiny.seal_whole).digest)
    random = np.random.default_rng(0)
    for number, label in enumerate(tiny.LABELS):
        (tmp_path / "colours" / label).mkdir(parents=True)
        for i in range(90):
            picture = np.kron(random.integers(0, 90, (6, 6, 3)), np.ones((4, 4, 1), np.int64)).astype(np.uint8)
            picture[..., number] += 130
            (tmp_path / "colours" / label / f"{i}.png").write_bytes(encode_png(picture))
    done = verbs.compress(store, "whole", tmp_path / "colours")
    assert done.version
    assert store.artifact(done.version.digest).manifest.parent == version.digest
    assert "did not learn from them" in done.data


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stopped:
        main([*map(str, arguments)])
    return int(stopped.value.code or 0), capsys.readouterr().out


def test_the_commands_print_the_table_and_show_says_what_runs(
    data_dir: Path, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quantised_to(monkeypatch, tiny.backbone_graph(white=254))
    code, printed = run(capsys, "--data-dir", data_dir, "tune", "tiny", "--data", photos)
    assert code == 0
    assert "onnxruntime int8\t300\t3.00\t2.0 ms" in printed
    assert "tiny runs on onnxruntime int8 on this machine" in printed
    code, printed = run(capsys, "--data-dir", data_dir, "show", "tiny")
    assert "runs on\tonnxruntime int8, 3.00 times as fast as it was sealed" in printed
    assert "onnxruntime int8\t300\t3.00\t2.0 ms" in printed
    code, printed = run(capsys, "--data-dir", data_dir, "show", "tiny", "--json")
    assert json.loads(printed)["tuning"]["what"] == INT8
    assert json.loads(printed)["runs"] == {"what": INT8, "refused": None}
    shutil.rmtree(Store(data_dir).artifact(json.loads(printed)["tuning"]["chosen"]).folder)
    code, printed = run(capsys, "--data-dir", data_dir, "show", "tiny")
    assert "runs on\tonnxruntime fp32\nnot on\tonnxruntime int8, 3.00 times as fast" in printed
    assert "the data folder has lost an artifact" in printed
    code, printed = run(capsys, "--data-dir", data_dir, "tune", "tiny", "--undo")
    assert printed == "tiny runs as it was sealed\n"
    code, printed = run(capsys, "--data-dir", data_dir, "show", "tiny")
    assert "`mingmu tune` looks for a faster way" in printed


def test_show_says_why_a_recognizer_cannot_run_here_or_does_not_run_as_was_chosen(
    store: Store, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quantised_to(monkeypatch, tiny.backbone_graph(white=250))
    head_of(store, "shades", {"dusk": (0, 0), "noon": (1, -BETWEEN)})
    verbs.tune(store, "tiny", photos)
    _, printed = run(capsys, "--data-dir", store.data_dir, "show", "shades")
    assert "runs on\tonnxruntime fp32\nnot on\tonnxruntime int8" in printed
    assert "it answers otherwise there" in printed
    verbs.untune(store, "tiny")
    (store.artifacts / backbone_of(store) / "graph.onnx").write_bytes(b"spoilt")
    _, printed = run(capsys, "--data-dir", store.data_dir, "show", "shades")
    assert "runs on\tnothing here: " in printed


def test_a_refused_compression_ends_with_1_and_its_figures(
    data_dir: Path, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quantised_to(monkeypatch, tiny.backbone_graph(white=-255))
    code, printed = run(capsys, "--data-dir", data_dir, "compress", "tiny", "--data", photos)
    assert code == 1
    assert "Refused: nothing was published." in printed
    code, printed = run(capsys, "--data-dir", data_dir, "compress", "tiny", "--data", photos, "--json")
    assert json.loads(printed)["version"] is None
    assert json.loads(printed)["after"]["passed"] is False
