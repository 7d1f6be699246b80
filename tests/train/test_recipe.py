from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from mingmu.core.errors import BadRequest
from mingmu.train import recipe as recipes
from mingmu.train.recipe import NAMES, Recipe


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_that_ships_opens_with_what_to_expect_and_how_to_run_it(name: str) -> None:
    text = (files("mingmu.train") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    header = [line for line in text.splitlines() if line.startswith("#")]
    assert any(line.startswith("# Expected: ") for line in header)
    assert f"# mingmu train PHOTOS --name NAME --recipe {name}" in header
    assert isinstance(recipes.read(name), Recipe)


def test_a_key_that_is_not_known_is_an_error_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[net]\nnmae = 'cnn'\n")
    with pytest.raises(BadRequest, match=r"net\.nmae"):
        recipes.read(str(file))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("precision = 'bf8'", "precision is 'bf8'; it should be 'auto', 'fp32', 'bf16' or 'fp16'"),
        ("batch = 1", "batch is 1; it should be greater than or equal to 2"),
        ("net = 'cnn'", "net is 'cnn'; it should be a table"),
        ("[optimiser]\nlr = 0.1", "there is no key optimiser.lr; did you mean rate?"),
        ("epochs = 3", "there is no key epochs; did you mean schedule.epochs?"),
        ("batch_size = 3", "there is no key batch_size; did you mean batch?"),
        ("[schedule]\nstart = 1", "there is no key schedule.start; there are epochs, warmup, ema, patience"),
    ],
)
def test_what_cannot_be_followed_is_said_with_the_value_that_was_given_and_what_was_meant(text: str, said: str) -> None:
    with pytest.raises(BadRequest) as error:
        recipes.sent(text)
    assert str(error.value) == f"recipe: {said}"


def test_what_is_no_toml_and_what_is_not_there_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[net")
    with pytest.raises(BadRequest, match="not TOML"):
        recipes.read(str(file))
    with pytest.raises(BadRequest, match="it is fast, accurate, student, detect, detect-frozen, plates, read or read-plates"):
        recipes.read("quick")


def test_what_is_sent_to_a_service_is_a_name_or_a_recipe_and_no_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("batch = 8")
    assert recipes.sent("accurate") == recipes.read("accurate")
    assert recipes.sent("batch = 8\n[net]\nname = 'cnn'").batch == 8
    with pytest.raises(BadRequest, match=r"the recipe, where it is not fast, accurate, .* or read-plates, is not TOML"):
        recipes.sent(str(file))
    for weights in (str(file), "timm:resnet18.a1_in1k", "hf:somebody/something"):
        with pytest.raises(BadRequest, match=r"net\.weights is published or none"):
            recipes.sent(f"[net]\nweights = {weights!r}")


def test_the_command_line_has_the_last_word() -> None:
    changed = recipes.read("fast").changed(net="resnet18", epochs=3, size=64)
    assert (changed.net.name, changed.schedule.epochs, changed.pixels(224).size) == ("resnet18", 3, (64, 64))
    assert changed.optimiser == recipes.read("fast").optimiser


def test_the_size_is_the_networks_own_where_the_recipe_says_none() -> None:
    assert Recipe().pixels(299).size == (299, 299)
