from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from mingmu.cli import main
from mingmu.core.network import Network
from mingmu.data.dataset import Dataset
from mingmu.registry.store import Store
from mingmu.verbs import read_dataset
from mingmu.verbs.parting import cache_of
from tests import tiny
from tests.registry.variants import another


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def run(data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line on the data folder that has `tiny`."""
    monkeypatch.setenv("MINGMU_DATA_DIR", str(data_dir))

    def run(*arguments: str | Path) -> Done:
        with pytest.raises(SystemExit) as exit:
            main([str(argument) for argument in arguments])
        code = exit.value.code
        return Done(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


@pytest.fixture
def photos(tmp_path: Path, red_png: bytes, blue_png: bytes) -> Path:
    """A folder with blue.png and red.png, and red.png's twin below."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    (folder / "blue.png").write_bytes(blue_png)
    (folder / "red.png").write_bytes(red_png)
    (folder / "more" / "red.png").write_bytes(red_png)
    return folder


def test_recognize_prints_a_line_for_each_label_in_a_pipe(run: Run, photos: Path) -> None:
    done = run("recognize", photos / "red.png", "--recognizer", "tiny", "--top", "2")
    assert done.code == 0
    lines = [line.split("\t") for line in done.out.splitlines()]
    assert [line[:2] for line in lines] == [[str(photos / "red.png"), "red"], [str(photos / "red.png"), "green"]]
    assert float(lines[0][2]) > 0.5


def test_recognize_as_json_is_one_document_of_the_documented_shape(run: Run, photos: Path, data_dir: Path) -> None:
    done = run("recognize", photos / "red.png", photos / "missing.png", "--recognizer", "tiny", "--top", "1", "--json")
    assert done.code == 1
    score = done.json["answers"][0]["labels"][0]["score"]
    assert done.json == {
        "recognizer": "tiny",
        "version": 1,
        "digest": Store(data_dir).resolve("tiny").digest,
        "answers": [
            {"source": str(photos / "red.png"), "type": "labels", "labels": [{"label": "red", "score": score}]},
            {"source": str(photos / "missing.png"), "type": "error", "error": {"kind": "not-found", "detail": "no such file"}},
        ],
    }


def test_recognize_takes_folders_patterns_and_files_in_the_order_given(run: Run, photos: Path) -> None:
    done = run("recognize", photos / "red.png", photos, photos / "b*.png", "--recognizer", "tiny", "--json")
    names = [Path(answer["source"]).relative_to(photos).as_posix() for answer in done.json["answers"]]
    assert names == ["red.png", "blue.png", "more/red.png", "red.png", "blue.png"]


def test_recognize_reports_a_bad_file_on_stderr_and_goes_on(run: Run, photos: Path) -> None:
    (photos / "a.png").write_text("not an image")
    done = run("recognize", photos, "--recognizer", "tiny", "--top", "1")
    assert done.code == 1
    assert done.err.startswith(f"error: {photos / 'a.png'}: ")
    assert [line.split("\t")[1] for line in done.out.splitlines()] == ["blue", "red", "red"]


def test_recognize_reads_standard_input(run: Run, red_png: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(red_png)))
    done = run("recognize", "-", "--recognizer", "tiny", "--json")
    assert (done.json["answers"][0]["source"], done.json["answers"][0]["labels"][0]["label"]) == ("-", "red")


def test_an_unknown_recognizer_is_one_line_on_stderr(run: Run, photos: Path) -> None:
    done = run("recognize", photos, "--recognizer", "tinny", "--json")
    assert done.code == 1
    assert done.err == "error: no recognizer named 'tinny'; did you mean tiny?\n"
    assert done.json == {"error": {"kind": "not-found", "detail": "no recognizer named 'tinny'; did you mean tiny?"}}


def test_json_stays_json_whatever_a_file_is_called(run: Run, photos: Path) -> None:
    (photos / "red.png").rename(photos / os.fsdecode(b"caf\xe9.png"))
    done = run("recognize", photos / os.fsdecode(b"caf\xe9.png"), "--recognizer", "tiny", "--json")
    assert done.json["answers"][0]["source"] == str(photos / "caf\ufffd.png")


def test_a_file_that_is_not_there_is_an_error_in_json_too(run: Run, tmp_path: Path) -> None:
    done = run("install", tmp_path / "missing.mingmu", "--json")
    assert (done.code, done.json["error"]["kind"]) == (1, "not-found")


def test_recognize_refuses_a_format_of_telephones_clearly(run: Run, photos: Path) -> None:
    (photos / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    done = run("recognize", photos, "--recognizer", "tiny", "--top", "1")
    assert (done.code, len(done.out.splitlines())) == (1, 3)
    assert done.err.startswith(f"error: {photos / 'phone.HEIC'}: ")
    assert "HEIC" in done.err.partition(": ")[2].partition(": ")[2]


@pytest.mark.parametrize("arguments", [["recognize"], ["recognize", "x.png", "--top", "0"], ["nonsense"], ["list", "--nonsense"]])
def test_wrong_usage_exits_with_2(run: Run, arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Usage: mingmu" in done.err


def test_a_wrong_setting_is_one_line_on_stderr(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINGMU_PORT", "many")
    done = run("list")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: MINGMU_PORT is 'many'")


@pytest.mark.parametrize("before", [True, False], ids=["before the command", "after it"])
def test_data_dir_overrides_the_setting_wherever_it_stands(run: Run, tmp_path: Path, before: bool) -> None:
    option = ["--data-dir", tmp_path / "empty"]
    done = run(*option, "list", "--json") if before else run("list", "--json", *option)
    assert done.json["recognizers"] == []


def test_list_names_what_is_here_and_what_can_be_had(run: Run, data_dir: Path) -> None:
    done = run("list", "--json")
    (row,) = done.json["recognizers"]
    assert (row["name"], row["version"], row["labels"]) == ("tiny", 1, 3)
    assert {"general", "general-large"} <= {entry["name"] for entry in done.json["available"]}
    assert run("list").out == f"tiny\t1\t3\t{row['bytes'] / 1e6:.1f} MB\t{row['digest'][:12]}\t{row['created']}\n"


def test_list_of_an_empty_folder_names_what_can_be_had(run: Run, tmp_path: Path) -> None:
    done = run("list", "--data-dir", tmp_path / "empty")
    assert "general\tclassify\t" in done.out
    assert done.err.startswith("no recognizer is here yet")


def test_list_reports_a_damaged_recognizer_and_shows_the_others(run: Run, data_dir: Path) -> None:
    store = Store(data_dir)
    digest = store.publish("broken", another(store, 2).digest).digest
    (store.artifacts / digest / "manifest.json").write_bytes(b"{}")
    done = run("list")
    assert done.out.startswith("tiny\t")
    assert done.err.startswith("error: broken: ")
    assert run("list", "--json").json["recognizers"][0]["error"]["kind"] == "bad-artifact"


def test_show_tells_digest_size_licence_and_manifest(run: Run, data_dir: Path) -> None:
    digest = Store(data_dir).resolve("tiny").digest
    facts = dict(line.split("\t") for line in run("show", "tiny").out.splitlines())
    assert (facts["digest"], facts["licence"], facts["labels"]) == (digest, "Apache-2.0", "3: red, green, blue")
    shown = run("show", "tiny@1", "--json").json
    assert shown["manifest"]["labels"] == ["red", "green", "blue"]
    assert shown["backbone"] == shown["manifest"]["head"]["backbone"]


def test_verify_says_proven_or_what_moved(run: Run, data_dir: Path) -> None:
    assert "is proven" in run("verify", "tiny").out
    assert run("verify", "tiny", "--json").json["probes"] == 8
    head = Store(data_dir).artifacts / Store(data_dir).resolve("tiny").digest / "head.npz"
    head.write_bytes(head.read_bytes() + b" ")
    done = run("verify", "tiny")
    assert done.code == 1
    assert "head.npz is not the file that was sealed" in done.err


def test_what_export_writes_install_reads(run: Run, tmp_path: Path) -> None:
    exported = run("export", "tiny", tmp_path / "tiny.mingmu", "--json").json
    assert exported["bytes"] == (tmp_path / "tiny.mingmu").stat().st_size
    installed = run("install", tmp_path / "tiny.mingmu", "--name", "colours", "--json").json
    assert installed == {"name": "colours", "version": 1, "digest": exported["digest"]}


def test_a_missing_file_is_one_line_on_stderr(run: Run, tmp_path: Path) -> None:
    done = run("install", tmp_path / "missing.mingmu")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert "missing.mingmu" in done.err


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An ONNX classifier [N, 3, 8, 8] -> [N, 3] that says which colour there is most of, and its labels."""
    nodes = [helper.make_node("ReduceMean", ["x"], ["means"], axes=[2, 3], keepdims=0), helper.make_node("Mul", ["means", "ten"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.array(10, np.float32), "ten")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "colours.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "colours.txt").write_text("\n".join(tiny.LABELS))
    return tmp_path / "colours.onnx"


def test_an_imported_model_recognizes(run: Run, model: Path, photos: Path) -> None:
    done = run("import", model, "--name", "colours", "--labels", model.with_suffix(".txt"), "--size", "8", "--licence", "MIT", "--json")
    assert (done.json["name"], done.json["version"]) == ("colours", 1)
    shown = run("show", "colours", "--json").json
    assert (shown["licence"], shown["manifest"]["origin"]["source"]) == ("MIT", "colours.onnx")
    answers = run("recognize", photos / "blue.png", "--recognizer", "colours", "--json").json["answers"]
    assert answers[0]["labels"][0]["label"] == "blue"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--size", "9"], 1, "the graph takes 8x8 pixels, not 9x9"),
        (["--size", "8", "--mean", "128"], 1, "say scale 255"),
        (["--size", "big"], 2, "--size"),
        (["--size", "8", "--margin", "2"], 2, "--margin"),
        (["--size", "8", "--mean", "1,2"], 2, "2 numbers"),
        (["--size", "8", "--std", "one"], 2, "'one' is not a number"),
        (["--size", "8", "--mean", "nan"], 2, "'nan' is not finite"),
        (["--size", "8", "--name", "Colours!"], 1, "cannot be a name"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_with_the_reason(run: Run, model: Path, options: list[str], code: int, said: str) -> None:
    done = run("import", model, "--name", "colours", "--labels", model.with_suffix(".txt"), *options)
    assert (done.code, done.out) == (code, "")
    assert said in " ".join(done.err.replace("│", " ").split())
    assert [row["name"] for row in run("list", "--json").json["recognizers"]] == ["tiny"]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (b"red\ngr\xfcn\nblue", "not text in UTF-8: byte 6 is 0xfc"),
        (b"red\nred\nblue", "labels repeat"),
        (b"red", "3 scores but there are 1 labels"),
    ],
)
def test_labels_that_do_not_fit_are_one_line_on_stderr(run: Run, model: Path, labels: bytes, said: str) -> None:
    model.with_suffix(".txt").write_bytes(labels)
    done = run("import", model, "--name", "colours", "--labels", model.with_suffix(".txt"), "--size", "8")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert said in done.err


def test_labels_are_cleaned_where_they_come_in_and_written_out_where_they_are_shown(
    run: Run, data_dir: Path, model: Path, photos: Path
) -> None:
    model.with_suffix(".txt").write_text("r\x1b[31med\n\tgreen\x85\nblue\u202e\n")
    run("import", model, "--name", "colours", "--labels", model.with_suffix(".txt"), "--size", "8")
    assert run("show", "colours", "--json").json["manifest"]["labels"] == ["r[31med", "green", "blue"]
    store = Store(data_dir)
    backbone = store.artifact(store.resolve("tiny").digest).manifest.head
    assert backbone is not None
    network = Network.open(store.artifact(backbone.backbone))
    store.publish("odd", store.add(lambda folder: tiny.seal_tiny(folder, network, labels=("r\ne\x1b[2Jd", "green", "blue"))).digest)
    (photos / "a\nb\tred.png").write_bytes((photos / "red.png").read_bytes())
    done = run("recognize", photos / "a\nb\tred.png", "--recognizer", "odd", "--top", "1")
    source, label, _ = done.out.splitlines()[0].split("\t")
    assert (source, label) == (f"{photos}/a\\nb\\tred.png", r"r\ne\x1b[2Jd")
    assert r"3: r\ne\x1b[2Jd, green, blue" in run("show", "odd").out
    assert r"a\nb" in run("recognize", photos / "a\nb", "--recognizer", "odd").err


def test_labels_may_begin_with_a_byte_order_mark(run: Run, model: Path) -> None:
    model.with_suffix(".txt").write_bytes("\n".join(tiny.LABELS).encode("utf-8-sig"))
    run("import", model, "--name", "colours", "--labels", model.with_suffix(".txt"), "--size", "8")
    assert run("show", "colours", "--json").json["manifest"]["labels"] == list(tiny.LABELS)


def test_names_complete_in_the_shell(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_MINGMU_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "mingmu show ti")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert run().out.split() == ["tiny"]


def test_version_is_that_of_the_distribution(run: Run) -> None:
    from mingmu import __version__

    assert run("--version").out == f"mingmu {__version__}\n"


# real processes: signals and pipes


def process(data_dir: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mingmu", *map(str, arguments)]
    environment = os.environ | {"MINGMU_DATA_DIR": str(data_dir), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_ctrl_c_exits_with_130_and_without_a_traceback(data_dir: Path, photos: Path) -> None:
    with process(data_dir, "recognize", *[photos / "red.png"] * 100, "-", "--recognizer", "tiny", "--top", "1") as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()  # at work; in the end it waits for standard input
        assert interrupted(running) == 130
        assert "Traceback" not in running.stderr.read()


def interrupted(running: subprocess.Popen[str], tries: int = 3) -> int:
    """The exit code after Ctrl-C; again where it was lost, as Python loses one that comes while it clears something away."""
    running.send_signal(signal.SIGINT)
    try:
        return running.wait(timeout=10)
    except subprocess.TimeoutExpired:
        if tries == 1:
            raise
        return interrupted(running, tries - 1)


def test_a_reader_that_leaves_is_no_error_worth_a_word(data_dir: Path, photos: Path) -> None:
    with process(data_dir, "recognize", *[photos] * 200, "--recognizer", "tiny") as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read() == ""


def test_help_loads_neither_networks_nor_the_web() -> None:
    program = (
        "import sys; sys.argv = ['mingmu', '--help']\nfrom mingmu.cli import main\ntry: main()\nexcept SystemExit: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not {"numpy", "onnxruntime", "pydantic", "fastapi", "httpx"} & set(done.stdout.split())


def test_a_dataset_is_listed_exported_and_removed_and_gc_forgets_its_photos(
    run: Run, data_dir: Path, tmp_path: Path, red_png: bytes, blue_png: bytes
) -> None:
    (tmp_path / "paints/red").mkdir(parents=True)
    (tmp_path / "paints/blue").mkdir()
    (tmp_path / "paints/red/1.png").write_bytes(red_png)
    (tmp_path / "paints/blue/2.png").write_bytes(blue_png)
    assert run("datasets").out == "no datasets yet\n"
    store = Store(data_dir)
    read_dataset(store, tmp_path / "paints", name="paints")
    assert [(row["name"], row["version"], row["images"]) for row in run("datasets", "--json").json["datasets"]] == [("paints", 1, 2)]
    assert run("datasets", "paints").out.startswith("paints@1\t2 images\t")
    assert run("export-dataset", "paints", tmp_path / "out", "--as", "csv").code == 0
    assert (tmp_path / "out/labels.csv").exists()
    assert run("export-dataset", "paints", tmp_path / "out").code == 1  # there is something
    images = [example.image for example in Dataset.from_lines(store.datasets.examples(store.datasets.resolve("paints")))]
    cache_of(store).put("view", {image: {"features": np.ones(3, np.float32)} for image in images})
    run("gc", "--min-age", "0")
    assert len(cache_of(store).get("view", "features", images)) == 2
    assert run("remove", "paints", "--dataset").out == "paints is removed\n"
    assert "the features of 2 images" in run("gc", "--min-age", "0").out
    assert cache_of(store).get("view", "features", images) == {}
    assert [*store.blobs] == []
