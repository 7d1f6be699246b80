"""The search for a recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="optuna is not installed (extra `search`): the search for recipes is not tested")

from optuna.trial import FixedTrial, Trial

from mingmu import verbs
from mingmu.cli import main
from mingmu.core.errors import BadRequest, Conflict, MissingExtra
from mingmu.registry.store import Store
from mingmu.train import checkpoint, search
from mingmu.train.recipe import Recipe, read
from mingmu.verbs.recognizing import silent
from tests.train import made

RECIPE = made.recipe(schedule={"epochs": 4}, optimiser={"rate": 3e-3}, augment={"crop": 0.8, "colour": 0.2})


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.folder(tmp_path_factory.mktemp("photos"), 30)


def searched(store: Store, photos: Path, trials: int, resume: bool = False, progress: verbs.Progress = silent) -> verbs.Searched:
    return verbs.search(store, photos, name="colours", recipe=RECIPE, trials=trials, resume=resume, progress=progress)


def test_the_winner_is_what_is_published_and_its_recipe_is_written_down(tmp_path: Path, photos: Path) -> None:
    store = Store(tmp_path)
    found = searched(store, photos, 3)
    assert found.tried == 3
    assert found.first is not None
    assert found.best >= found.first
    assert store.resolve("colours") == found.trained.version
    made_by = store.artifact(found.trained.version.digest).manifest.made_by
    assert made_by["how"] == "mingmu search"
    assert Recipe.model_validate(made_by["recipe"]) == found.recipe == read(str(found.file))
    text = found.file.read_text()
    assert text.startswith("# The best of 3 recipes")
    assert "# mingmu train PHOTOS --name colours --recipe recipe.toml" in text


def test_one_that_was_cut_short_goes_on_and_keeps_only_the_best_network(tmp_path: Path, photos: Path) -> None:
    store = Store(tmp_path)

    def stop(step: str, share: float) -> None:
        if step.startswith("recipe 2 of 3") and share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searched(store, photos, 3, progress=stop)
    with pytest.raises(Conflict, match="cut short after 2 tries; go on with --resume, or begin anew with --anew"):
        searched(store, photos, 3)
    said: list[str] = []
    found = searched(store, photos, 3, resume=True, progress=lambda step, share: said.append(step))
    assert found.tried == 3
    assert not any(step.startswith("recipe 1 of 3") for step in said)
    folders = [folder for folder in (tmp_path / "runs" / "colours" / "search").iterdir() if folder.is_dir()]
    assert len(folders) == 1
    assert [epoch["loss"] for epoch in checkpoint.load(folders[0])[1]["curve"]] == [epoch.loss for epoch in found.trained.curve]
    with pytest.raises(Conflict, match=r"has schedule\.epochs = 4, and not 9"):
        verbs.search(store, photos, name="colours", recipe=RECIPE.changed(epochs=9), trials=4, resume=True)
    with pytest.raises(Conflict, match="no search that could go on"):
        verbs.search(store, photos, name="others", recipe=RECIPE, trials=4, resume=True)


def test_what_is_hopeless_is_given_up_early(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hopeless(recipe: Recipe, trial: Trial) -> Recipe:
        rate = 3e-3 if trial.number < 3 else 1e30 if trial.number == 3 else 1e-12
        return recipe.model_copy(update={"optimiser": recipe.optimiser.model_copy(update={"rate": rate})})

    monkeypatch.setattr(search, "varied", hopeless)
    found = searched(Store(tmp_path), photos, 5)
    assert (found.tried, found.given_up) == (5, 2)
    assert found.recipe.optimiser.rate == 3e-3


def test_the_first_try_is_the_recipe_itself_and_others_lie_around_it(tmp_path: Path) -> None:
    study = search.opened(tmp_path, RECIPE, "these", resume=False)
    assert search.varied(RECIPE, study.ask()) == RECIPE
    other = search.varied(RECIPE, study.ask())
    assert other != RECIPE
    assert 3e-3 / 8 <= other.optimiser.rate <= 3e-3 * 8
    settings = {"rate": 1e-3, "weight_decay": 0.1, "layer_decay": 0.7, "strength": 2.0, "mixup": 0.1, "label_smoothing": 0.1}
    fixed = search.varied(RECIPE, FixedTrial(settings)).augment  # type: ignore[arg-type]  # it answers as a trial does
    assert (fixed.crop, fixed.colour, fixed.mixup, fixed.flip) == pytest.approx((0.6, 0.4, 0.1, 0.0))


def test_a_recipe_is_written_as_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(search.toml(read("accurate"), "Mine.\nIn two lines."), encoding="utf-8")
    assert read(str(file)) == read("accurate")
    assert file.read_text().startswith("# Mine.\n# In two lines.\n")


def test_what_cannot_be_searched_is_refused(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    with pytest.raises(BadRequest, match="1 seconds are too few"):
        verbs.search(store, photos, name="colours", recipe=RECIPE, seconds=1)
    with pytest.raises(BadRequest, match="alexnet cannot look at 20 pixels"):  # and is not tried again and again
        verbs.search(store, photos, name="colours", recipe=RECIPE.changed(net="alexnet", size=20))
    with store.lock("train-colours"), pytest.raises(Conflict, match="is being trained already"):
        verbs.search(store, photos, name="colours", recipe=RECIPE)
    with pytest.raises(BadRequest, match="finds its settings itself"):
        verbs.search(store, photos, name="colours", recipe=RECIPE.changed(net="svm_linear"))
    monkeypatch.setattr("mingmu.verbs.searching.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'mingmu\[search\]'"):
        verbs.search(store, photos, name="colours", recipe=RECIPE)


def test_the_command_line_searches_within_a_time(tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(search.toml(RECIPE, "Mine."))
    command = ["search", str(photos), "--name", "colours", "--recipe", str(recipe), "--epochs", "2", "--time", "22s", "--trials", "2"]
    with pytest.raises(SystemExit) as done:
        main([*command, "--json", "--data-dir", str(tmp_path / "data")])
    assert done.value.code == 0
    document = json.loads(capsys.readouterr().out)
    assert document["tried"] in (1, 2)
    assert Path(document["file"]).is_file()
