"""From a recognizer to a smaller one that is as good, or to a refusal with its reasons."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import pytest

from mingmu import verbs
from mingmu.cli import main
from mingmu.compress.gate import Verdict
from mingmu.core.errors import BadRequest, Conflict
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from tests.train import made

pytest.importorskip("torch_pruning", reason="torch-pruning is not installed (extra `train`): nothing is shrunk")
pytestmark = pytest.mark.real

SIDE = 32  # so that a network takes longer than its photo
RECIPE = made.recipe(net={"name": "cnn", "size": SIDE}, schedule={"epochs": 2}, optimiser={"rate": 3e-3})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("shrinking")
    store = Store(folder / "data")
    verbs.train(store, made.folder(folder / "photos", 40), name="colours", recipe=RECIPE)
    return store


def test_a_pruned_network_that_is_as_good_and_faster_is_published_and_names_its_parent(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mingmu.compress.gate.LEAST_SURELY_KEPT", 0.7)  # else so few photos would prove nothing
    parent = store.resolve("colours")
    done = verbs.shrink(store, "colours", keep=0.3, epochs=8)
    assert done.version is not None, done.trials
    assert store.resolve("colours") == done.version
    assert done.version.version == parent.version + 1
    first, pruned, *_ = done.trials
    assert (first.megabytes or 0) > 2 * (pruned.megabytes or 0)
    manifest = store.artifact(done.version.digest).manifest
    assert manifest.made_by["how"] == "mingmu shrink"
    assert [trial["what"] for trial in manifest.made_by["judged"]] == [trial.what for trial in done.trials]  # type: ignore[union-attr, index, call-overload]
    assert manifest.parent == parent.digest
    assert manifest.made_by["recipe"]["distil"]["teacher"] == f"colours@{parent.version}"  # type: ignore[index, call-overload]
    Library(store).open(done.version.digest)  # it proves itself
    assert store.records.lineage(done.version.digest).dataset == store.records.lineage(parent.digest).dataset
    assert "Accuracy, time and size" in done.page()
    assert not verbs.smaller_of(store, "colours").exists()
    with pytest.raises(Conflict, match="cannot be pruned: it was pruned already"):
        verbs.shrink(store, "colours")


def test_where_only_int8_is_not_as_good_it_learns_on_with_its_errors(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = iter([Verdict(True, "as good"), Verdict(False, "worse"), Verdict(True, "as good again")])
    monkeypatch.setattr("mingmu.verbs.heat.judge_answers", lambda _before, _after, tries: next(verdicts))
    done = verbs.shrink(store, "colours@1", keep=0.3, epochs=2)
    assert [trial.what for trial in done.trials[1:]] == ["cnn, 30% kept", "cnn, 30% kept, INT8", "cnn, 30% kept, learned in INT8"]
    assert "worse" in done.trials[2].verdict
    assert "as good again" in done.trials[3].verdict
    assert [epoch.number for epoch in done.curve] == [1, 2, 3]


def test_what_too_few_photos_speak_for_is_refused_with_the_reason_and_nothing_is_published(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = store.versions("colours")
    page = tmp_path / "smaller.html"
    command = ["shrink", "colours@1", "--net", "cnn", "--epochs", "6", "--html", str(page), "--json", "--data-dir", str(store.data_dir)]
    with pytest.raises(SystemExit) as done:
        main(command)
    assert done.value.code == 1
    document = json.loads(capsys.readouterr().out)
    assert document["version"] is None
    assert [trial["passed"] for trial in document["trials"]] == [True, False, False]
    assert all("too few to tell" in trial["verdict"] for trial in document["trials"][1:])
    assert "refused" in page.read_text(encoding="utf-8")
    assert store.versions("colours") == before


def test_what_was_trained_or_searched_for_can_be_made_smaller_whatever_became_of_later_trainings(store: Store, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="optuna is not installed (extra `search`): what a search found is not made smaller")
    photos = made.folder(tmp_path / "photos", 30)
    too_fast = RECIPE.model_copy(update={"optimiser": RECIPE.optimiser.model_copy(update={"kind": "sgd", "rate": 1e38})})
    with pytest.raises(BadRequest, match="no longer"):
        verbs.train(store, photos, name="colours", recipe=too_fast)
    verbs.shrink(store, "colours@1", epochs=1)
    verbs.search(store, photos, name="found", recipe=RECIPE.changed(epochs=1), trials=1)
    assert verbs.shrink(store, "found", epochs=1).trials[1].what == "cnn, 70% kept"


def test_it_looks_at_what_its_parent_looks_at_unless_told_otherwise(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Seen(Exception):
        pass

    def prepared(*arguments: object) -> None:
        raise Seen(arguments[4].size)  # type: ignore[attr-defined]

    monkeypatch.setattr("mingmu.verbs.shrinking.Course.prepared", prepared)
    with pytest.raises(Seen, match=r"\(32, 32\)"):
        verbs.shrink(store, "colours@1", net="cnn", recipe=made.recipe(net={"name": "cnn", "size": 16}))
    with pytest.raises(Seen, match=r"\(48, 48\)"):
        verbs.shrink(store, "colours@1", net="cnn", size=48)


def test_photos_of_other_labels_and_lost_weights_are_refused(store: Store, tmp_path: Path) -> None:
    photos = made.folder(tmp_path / "photos", 8)
    (photos / "red").rename(photos / "green")
    with pytest.raises(BadRequest, match="labels that colours knows, no more and no fewer; not so: green"):
        verbs.shrink(store, "colours@1", photos)
    with store.lock("train-colours"), pytest.raises(Conflict, match="is being trained already"):
        verbs.shrink(store, "colours@1")
    store.trained.rename(tmp_path / "away")
    with pytest.raises(Conflict, match=r"are not here .* train it anew"):
        verbs.shrink(store, "colours@1")
    shutil.rmtree(store.trained, ignore_errors=True)
    (tmp_path / "away").rename(store.trained)


def test_what_wins_in_int8_is_published_on_a_backbone_of_its_own_and_can_be_made_smaller_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = itertools.cycle([Verdict(False, "worse"), Verdict(True, "as good")])
    monkeypatch.setattr("mingmu.verbs.heat.judge_answers", lambda _before, _after, tries: next(verdicts))
    monkeypatch.setattr("mingmu.verbs.heat.WORTH_IT", 0.0)
    done = verbs.shrink(store, "colours@1", keep=1, epochs=1)
    assert done.version is not None, done.trials
    network = Library(store).open(done.version.digest).network.artifact
    assert network.manifest.runs.precision == "int8"
    assert network.manifest.made_by["judged"] == store.artifact(done.version.digest).manifest.made_by["judged"]
    assert store.records.lineage(network.digest).dataset == store.records.lineage(done.version.digest).dataset
    again = verbs.shrink(store, f"colours@{done.version.version}", epochs=1)
    assert again.trials[1].what == "cnn, 70% kept"


def test_any_head_on_a_network_that_was_trained_here_can_be_made_smaller(store: Store, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for number, part in enumerate(("train", "test")):
        made.folder(photos / part, 20, seed=8 + number)
    verbs.teach(store, photos, name="kinds", backbone="colours@1")
    done = verbs.shrink(store, "kinds", keep=0.5, epochs=1)
    assert done.trials[1].what == "cnn, 50% kept"


def test_one_that_begins_from_nothing_learns_longer_and_by_what_its_teacher_thinks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Seen(Exception):
        pass

    def prepared(*arguments: object) -> None:
        raise Seen(arguments[3].distil.share, arguments[3].net.size, arguments[3].distil.teacher)  # type: ignore[attr-defined]

    monkeypatch.setattr("mingmu.verbs.shrinking.Course.prepared", prepared)
    with pytest.raises(Seen, match=r"0\.9, 32, 'colours@1'"):
        verbs.shrink(store, "colours@1", net="mobilenet_v3_small", anew=True)
    with pytest.raises(Seen, match=r"0\.9, 32, 'colours@1'"):
        verbs.shrink(store, "colours@1", net="cnn", anew=True)
