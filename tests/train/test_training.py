"""From a folder of pictures to a network that is published, and answers without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mingmu import verbs
from mingmu.cli import main
from mingmu.core.errors import BadRequest, Conflict, MissingExtra, NotFound
from mingmu.core.pixels import encode_png
from mingmu.data.dataset import Dataset
from mingmu.evaluate.measure import Measures
from mingmu.evaluate.predictions import TEST
from mingmu.jobs import errands
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.settings import Settings
from mingmu.train.fit import fit
from mingmu.train.operators import define_missing
from mingmu.train.run import Epoch
from tests.train import made

RECIPE = made.recipe(schedule={"epochs": 6}, optimiser={"rate": 3e-3})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, verbs.Trained]:
    folder = tmp_path_factory.mktemp("training")
    store = Store(folder / "data")
    photos = made.folder(folder / "photos", 30)
    return store, verbs.train(store, photos, name="colours", recipe=RECIPE)


def test_what_was_trained_is_published_measured_on_photos_it_never_saw_and_traceable(trained: tuple[Store, verbs.Trained]) -> None:
    store, result = trained
    assert store.resolve("colours") == result.version
    assert result.report.measures.source == TEST
    assert isinstance(result.report.measures, Measures)
    assert result.report.measures.accuracy.value > 0.9
    dataset = Dataset.from_lines(store.datasets.examples(result.dataset))
    assert {example.split for example in dataset} == {"train", "val", "test"}
    assert result.report.measures.examples == sum(example.split == "test" for example in dataset)
    lineage = store.records.lineage(result.version.digest)
    assert lineage.dataset == dataset.digest
    assert len(lineage.settings["curve"]) == 6


def test_the_manifest_says_how_it_was_made_and_how_near_the_graph_is_to_the_network(trained: tuple[Store, verbs.Trained]) -> None:
    store, result = trained
    manifest = store.artifact(result.version.digest).manifest
    assert manifest.kind == "head"
    assert manifest.labels == ("blue", "red")
    assert manifest.made_by["recipe"]["net"]["name"] == "cnn"  # type: ignore[index, call-overload]
    assert 0 <= manifest.made_by["torch_to_artifact"] < 1e-4  # type: ignore[operator]
    assert manifest.origin.source == "trained from nothing"


def test_it_answers_in_a_process_that_cannot_import_torch(trained: tuple[Store, verbs.Trained], tmp_path: Path) -> None:
    store, _ = trained
    picture = tmp_path / "picture.png"
    picture.write_bytes(encode_png(made.photos(1, 20).pixels[0]))
    code = "import sys; sys.modules.update(torch=None, timm=None); from mingmu.cli import main; main(sys.argv[1:])"
    command = ["recognize", str(picture), "--recognizer", "colours", "--json", "--data-dir", str(store.data_dir)]
    done = subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["answers"][0]["labels"][0]["label"] == "red"


def test_the_service_answers_with_it(trained: tuple[Store, verbs.Trained]) -> None:
    from starlette.testclient import TestClient

    from mingmu.serve.http import create_app
    from mingmu.settings import Settings

    store, result = trained
    with TestClient(create_app(Settings(data_dir=store.data_dir, job_workers=0))) as client:
        picture = encode_png(made.photos(2, 20).pixels[1])
        answer = client.post("/v1/recognizers/colours/recognize", content=picture, headers={"Content-Type": "image/png"})
    assert answer.status_code == 200, answer.text
    assert result.version.digest in answer.text + str(answer.headers)
    assert "blue" in answer.text


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after each step."""
    monkeypatch.setattr(fit, "__kwdefaults__", {**(fit.__kwdefaults__ or {}), "save_every": 0.0})


def stop_after(epoch: int) -> verbs.Progress:
    """Ctrl-C once so many epochs are over."""

    def progress(step: str, _share: float) -> None:
        if step.startswith(f"epoch {epoch} "):
            raise KeyboardInterrupt

    return progress


@pytest.mark.usefixtures("often")
def test_one_that_was_cut_short_goes_on_as_it_began_or_is_given_up_when_that_is_said(tmp_path: Path) -> None:
    store, photos = Store(tmp_path / "data"), made.folder(tmp_path / "photos", 30)

    def train(**how: Any) -> verbs.Trained:
        return verbs.train(store, photos, name="colours", recipe=RECIPE, **how)

    with pytest.raises(Conflict, match="no training was cut short"):
        train(resume=True)
    with pytest.raises(KeyboardInterrupt):
        train(progress=stop_after(3))
    with pytest.raises(Conflict, match="cut short after 2 epochs; go on with --resume, or begin anew with --anew"):
        train()
    with pytest.raises(Conflict, match=r"has schedule\.epochs = 6, and not 9"):
        train(resume=True, epochs=9)
    made.folder(tmp_path / "photos", 31)
    with pytest.raises(Conflict, match="has another dataset"):
        train(resume=True)
    assert len(train(anew=True, epochs=1).curve) == 1
    assert [path.name for path in verbs.run_of(store, "colours").iterdir()] == ["events"]  # no decoded photos, no checkpoint


@pytest.mark.usefixtures("often")
def test_what_went_on_is_what_would_have_come_without_a_break(tmp_path: Path) -> None:
    store, photos = Store(tmp_path / "data"), made.folder(tmp_path / "photos", 15)
    whole = verbs.train(store, photos, name="colours", recipe=RECIPE, epochs=3)
    with pytest.raises(KeyboardInterrupt):
        verbs.train(store, photos, name="colours", recipe=RECIPE, epochs=3, progress=stop_after(2))
    again = verbs.train(store, photos, name="colours", recipe=RECIPE, resume=True)  # for the epochs that it began with
    assert again.version.digest == whole.version.digest


def test_of_one_name_one_training_at_a_time(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    with store.lock("train-colours"), pytest.raises(Conflict, match="colours is being trained already"):
        verbs.train(store, tmp_path, name="colours", recipe=RECIPE)


def test_a_time_alone_ends_a_training_and_the_recipe_says_afterwards_how_many_epochs_that_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mingmu.verbs.training.time_to_learn", lambda *_: 3.0)
    store, photos = Store(tmp_path / "data"), made.folder(tmp_path / "photos", 10)
    steps: list[str] = []
    recipe = RECIPE.changed(epochs=1)
    result = verbs.train(store, photos, name="colours", recipe=recipe, seconds=60, progress=lambda step, _share: steps.append(step))
    assert len(result.curve) > 1
    assert any(step.startswith("epoch 2: loss") for step in steps)
    made_by = store.artifact(result.version.digest).manifest.made_by
    assert made_by["recipe"]["schedule"]["epochs"] == len(result.curve)  # type: ignore[index, call-overload]
    assert len(verbs.train(store, photos, name="colours", recipe=recipe, epochs=1, seconds=60).curve) == 1


def test_a_log_is_told_of_epochs_and_a_terminal_all_the_while(tmp_path: Path) -> None:
    steps: list[str] = []
    photos = made.folder(tmp_path / "photos", 10)
    verbs.train(Store(tmp_path), photos, name="colours", recipe=RECIPE, epochs=2, progress=lambda step, _share: steps.append(step))
    told = [step for step in steps if isinstance(step, verbs.Step)]
    assert [step.split(":")[0] for step in dict.fromkeys(steps) if step.startswith("epoch")] == ["epoch 1 of 2", "epoch 2 of 2"]
    assert all("loss" in step.now and "images/s" in step.now and " left" in step.now for step in told)


def test_too_little_time_is_refused_before_photos_are_parted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("mingmu.verbs.training.lesson_of")
    with pytest.raises(BadRequest, match="1 seconds are too few"):
        verbs.train(Store(tmp_path / "data"), made.folder(tmp_path / "photos", 30), name="colours", recipe=RECIPE, seconds=1)


def test_too_little_time_is_refused_before_weights_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("mingmu.train.nets.hub.fetched")
    recipe = made.recipe(net={"name": "timm:resnet10t", "weights": "hf:nobody/nothing", "size": 32})
    with pytest.raises(BadRequest, match="1 seconds are too few"):
        verbs.train(Store(tmp_path / "data"), made.folder(tmp_path / "photos", 30), name="colours", recipe=recipe, seconds=1)


def test_too_few_labels_and_what_takes_no_steps_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    photos = made.folder(tmp_path / "photos", 30)
    with pytest.raises(BadRequest, match="nothing to resume"):
        verbs.train(store, photos, name="colours", recipe=RECIPE.changed(net="svm_linear"), resume=True)
    with pytest.raises(BadRequest, match="training needs at least 2"):
        verbs.train(store, photos / "red", name="colours", recipe=RECIPE)


def test_without_what_it_needs_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mingmu.verbs.course.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'mingmu\[train\]'"):
        verbs.train(Store(tmp_path / "data"), tmp_path, name="colours", recipe=RECIPE)


def test_the_command_line_trains_and_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = made.folder(tmp_path / "photos", 30)
    recipe = tmp_path / "mine.toml"
    recipe.write_text('batch = 8\nprecision = "fp32"\n[net]\nname = "cnn"\n[schedule]\nepochs = 9\n')
    page = tmp_path / "report.html"
    command = ["train", str(photos), "--name", "colours", "--recipe", str(recipe), "--epochs", "1", "--size", "16"]
    with pytest.raises(SystemExit) as done:
        main([*command, "--html", str(page), "--json", "--data-dir", str(tmp_path / "data")])
    assert done.value.code == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert document["name"] == "colours"
    assert len(document["curve"]) == 1
    assert said.err.startswith("cnn starts from nothing\n")
    assert "In one epoch: a loss of" in page.read_text(encoding="utf-8")


def test_a_page_draws_how_a_network_learned(trained: tuple[Store, verbs.Trained]) -> None:
    store, result = trained
    page = verbs.page_of(store, result.report)
    assert "How it learned" in page
    assert "Accuracy while it learned" in page


def test_the_command_line_says_how_many_epochs_there_were_and_how_fast(
    trained: tuple[Store, verbs.Trained], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store, result = trained
    slow, fast = (replace(result.curve[0], images_per_second=rate, waited=0.25) for rate in (2.34, 78.9))

    def said(*curve: Epoch) -> str:
        monkeypatch.setattr("mingmu.verbs.train", lambda *_, **__: replace(result, curve=curve))
        with pytest.raises(SystemExit) as done:
            main(["train", "photos", "--name", "colours", "--net", "cnn", "--data-dir", str(store.data_dir)])
        assert done.value.code == 0
        return capsys.readouterr().out

    assert "1 epoch of cnn at 2.3 images/s, 25% of the time waiting for photos." in said(slow)
    assert "3 epochs of cnn at 79 images/s, 25% of the time waiting for photos." in said(slow, fast, fast)
    assert "waiting for photos" not in said()


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ('[net]\nnme = "cnn"', "there is no key net.nme; did you mean name?"),
        ("[optimser]\nrate = 1.0", "there is no key optimser; did you mean optimiser?"),
        ('[net]\nname = "resnet8"', "there is no network 'resnet8'; did you mean resnet18?"),
        ('[net]\nname = "alexnet"\nsize = 20', "alexnet cannot look at 20 pixels a side"),
        ('[net]\nname = "timm:resnet18.a1_in1k"', 'say name = "timm:resnet18" and weights = "timm:resnet18.a1_in1k"'),
        ("batch =", "is not TOML"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused_in_a_line(
    recipe: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = made.folder(tmp_path / "photos", 10)
    (tmp_path / "mine.toml").write_text(recipe)
    command = ["train", str(photos), "--name", "colours", "--recipe", str(tmp_path / "mine.toml")]
    with pytest.raises(SystemExit) as done:
        main([*command, "--data-dir", str(tmp_path / "data")])
    assert done.value.code == 1
    assert said in capsys.readouterr().err


def test_photos_that_cannot_be_read_are_named_as_the_reason(tmp_path: Path) -> None:
    photos = made.folder(tmp_path / "photos", 10)
    for number, file in enumerate((photos / "blue").iterdir()):
        file.write_bytes(file.read_bytes()[: 60 + number])
    with pytest.raises(BadRequest, match=r"photos of 1 labels .* \(10 files cannot be read: mingmu audit\)"):
        verbs.train(Store(tmp_path / "data"), photos, name="colours", recipe=RECIPE)


@pytest.mark.parametrize(
    ("command", "left"),
    [
        (["train", "photos", "--name", "colours"], "checkpoint.safetensors"),
        (["search", "photos", "--name", "colours"], "search/tries.journal"),
        (["shrink", "colours@2"], "smaller/checkpoint.safetensors"),
    ],
)
def test_ctrl_c_says_whether_it_can_go_on(
    command: list[str], left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def said() -> str:
        with pytest.raises(SystemExit) as done:
            main([*command, "--data-dir", str(tmp_path)])
        assert done.value.code == 130
        return capsys.readouterr().err

    monkeypatch.setattr(f"mingmu.verbs.{command[0]}", interrupted)
    assert "before there was anything to go on from" in said()
    file = tmp_path / "runs" / "colours" / left
    file.parent.mkdir(parents=True)
    file.touch()
    assert "the same command with --resume goes on" in said()


@pytest.mark.parametrize("time", ["soon", "0s", "10"])
def test_a_time_that_is_none_is_refused(time: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["train", str(tmp_path), "--name", "colours", "--time", time])
    assert done.value.code == 2
    assert "--time" in capsys.readouterr().err


def test_a_job_trains_on_a_dataset_by_a_recipe_that_was_sent(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    verbs.read_dataset(store, made.folder(tmp_path / "photos", 20), name="paints")
    steps: list[str] = []
    arguments = {"name": "colours", "dataset": "paints", "recipe": "batch = 8", "net": "cnn", "size": 16, "epochs": 2, "seconds": None}
    result = errands.train(Settings(data_dir=store.data_dir), arguments, lambda step, _share: steps.append(step))
    recipe = store.artifact(result["digest"]).manifest.made_by["recipe"]
    assert (recipe["batch"], recipe["net"]["name"], recipe["schedule"]["epochs"]) == (8, "cnn", 2)  # type: ignore[index, call-overload]
    assert (result["recognizer"], result["version"], result["dataset"]) == ("colours", 1, "colours@1")
    assert result["labels"] == ["blue", "red"]
    assert {"decoding", "training", "sealing"} <= {*steps}


def test_a_trained_network_is_a_backbone_for_others_which_share_it(trained: tuple[Store, verbs.Trained], tmp_path: Path) -> None:
    store, result = trained
    kinds = made.folder(tmp_path / "kinds", 12, seed=5)
    (kinds / "red").rename(kinds / "warm")
    (kinds / "blue").rename(kinds / "cold")
    taught = verbs.teach(store, kinds, name="kinds", backbone="colours")
    assert isinstance(taught.report.measures, Measures)
    assert taught.report.measures.accuracy.value > 0.8
    library = Library(store)
    ours, theirs = library.open(result.version.digest), library.open(taught.version.digest)
    assert ours.network is theirs.network
    assert ours.explainable
    assert store.records.lineage(ours.network.backbone).dataset == result.dataset.digest


def test_photos_that_taught_the_network_do_not_say_how_good_another_head_is(trained: tuple[Store, verbs.Trained], tmp_path: Path) -> None:
    store, result = trained
    old = made.folder(tmp_path / "old", 30)
    with pytest.raises(Conflict, match=r"the network of colours learned from some of these photos, and believes their labels"):
        verbs.audit(store, old, backbone="colours")
    taught = verbs.teach(store, old, name="again", backbone="colours")
    seen = [finding for finding in taught.findings if finding.kind == "seen-by-network"]
    lesson = Dataset.from_lines(store.datasets.examples(result.dataset))
    assert [len(finding.where) for finding in seen] == [sum(example.split != "test" for example in lesson)]
    only = made.folder(tmp_path / "only", 30)
    for example in lesson:
        if example.split == "test":
            (only / example.name).unlink()
    with pytest.raises(Conflict, match=r"the network of colours learned from all photos of blue, red itself"):
        verbs.teach(store, only, name="again", backbone="colours")


def test_trainings_that_leave_the_network_as_it_was_share_it(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    define_missing()  # torchvision's own operators, where they do not fit this torch
    from torchvision.models import mobilenet_v3_small

    store, file = Store(tmp_path / "data"), tmp_path / "known.safetensors"
    save_file(mobilenet_v3_small(weights=None).state_dict(), file)
    net = {"name": "mobilenet_v3_small", "weights": str(file), "size": 32, "freeze": True}
    frozen = made.recipe(net=net, schedule={"epochs": 1})
    digests = []
    for name, count in (("one", 10), ("other", 12)):
        photos = made.folder(tmp_path / name, count)
        digests.append(verbs.train(store, photos, name=name, recipe=frozen).version.digest)
    backbones = {Library(store).open(digest).network.backbone for digest in digests}
    assert len({*digests}) == 2
    assert len(backbones) == 1
    with pytest.raises(NotFound):  # it learned nothing from them
        store.records.lineage(backbones.pop())


def test_a_trained_network_is_compressed_with_its_head_and_remembers_what_it_has_seen(
    trained: tuple[Store, verbs.Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mingmu.compress.gate.LEAST_SURELY_KEPT", 0.5)  # else so few photos would prove nothing
    store, result = trained
    new = made.folder(tmp_path / "new", 60, seed=7)
    done = verbs.compress(store, f"colours@{result.version.version}", new, seconds=0.2)
    assert done.version is not None, done.after
    smaller = Library(store).open(done.version.digest)
    assert smaller.network.artifact.manifest.runs.precision == "int8"
    assert store.records.lineage(smaller.network.backbone).dataset == result.dataset.digest
    assert "the recognizer itself" in done.data
