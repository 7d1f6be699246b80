"""Readers learn to spell: from photos of colours to a recognizer that is sealed, proven, measured and published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mingmu import verbs
from mingmu.core.answers import Texts
from mingmu.core.errors import BadModel, BadRequest, NotFound
from mingmu.core.runtime import TEXT
from mingmu.data.dataset import Dataset, Example
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.train import checkpoint
from mingmu.train.export import whole_model
from mingmu.train.feed import PAD
from mingmu.train.nets import readers
from mingmu.train.recipe import Recipe, read
from mingmu.train.transcription import loss_of, spelled
from mingmu.verbs.reading import LONGEST, lesson_of
from tests import tiny_text


def logits(*classes: int, count: int = 4) -> torch.Tensor:
    rows = torch.full((1, len(classes), count), -9.0)
    rows[0, torch.arange(len(classes)), torch.tensor(classes)] = 9.0
    return rows


def photos(folder: Path, count: int) -> Path:
    random = np.random.default_rng(0)
    for number in range(count):
        text = "".join(random.choice(list("RGB"), random.integers(1, 5)))
        (folder / f"{text}_{number}.png").write_bytes(tiny_text.picture(text))
    return folder


def test_columns_spell_without_repetitions_and_blanks() -> None:
    assert spelled(logits(0, 1, 1, 0, 1, 3, 0)) == [[1, 1, 3]]
    assert spelled(logits(0, 0)) == [[]]


def test_the_loss_is_small_for_what_is_spelled_and_large_for_anything_else() -> None:
    seen = logits(0, 1, 0, 2, 0)
    assert float(loss_of(seen, torch.tensor([[1, 2, PAD]]))) < 0.01 < float(loss_of(seen, torch.tensor([[2, 1, PAD]])))
    assert float(loss_of(logits(1), torch.tensor([[1, 2, 3]]))) == 0  # one column cannot spell three characters


@pytest.mark.parametrize("name", readers.READERS)
def test_a_reader_becomes_a_graph_that_gives_what_it_gave(name: str) -> None:
    net = readers.build(name, 5).eval()
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 128, 3), dtype=np.uint8)
    exported = whole_model(net, frames, output=TEXT)
    assert exported.difference < 1e-4
    assert readers.build(name, 5)(torch.zeros(2, 3, 32, 128)).shape == (2, 32, 6)


def test_a_reader_that_there_is_not_is_refused() -> None:
    with pytest.raises(NotFound, match="lprnet and crnn"):
        readers.build("resnet18", 5)


def test_it_is_trained_sealed_proven_measured_and_read_with(tmp_path: Path) -> None:
    store, source = Store(tmp_path / "data"), tmp_path / "photos"
    source.mkdir()
    recipe = Recipe.model_validate({"net": {"name": "lprnet", "fit": "squash"}, "batch": 8, "precision": "fp32", "schedule": {"epochs": 2}})
    trained = verbs.train_reader(store, photos(source, 40), name="colours", recipe=recipe)
    assert trained.alphabet == ("B", "G", "R")
    assert trained.measures.texts >= 4
    assert len(trained.curve) == 2
    assert "<html" in trained.page(store)
    recognizer = Library(store).open(trained.version.digest)
    assert isinstance(recognizer.recognize([tiny_text.picture("RG")])[0], Texts)
    assert len(store.records.reports(trained.version.digest)) == 2
    again = recipe.model_copy(
        update={"net": recipe.net.model_copy(update={"weights": str(store.trained / trained.version.digest / checkpoint.FILE)})}
    )
    assert verbs.train_reader(store, source, name="colours", recipe=again).version.version == 2
    other = again.model_copy(update={"net": again.net.model_copy(update={"name": "crnn"})})
    with pytest.raises(BadModel, match="has not the weights of this reader"):
        verbs.train_reader(store, source, name="colours", recipe=other)


def test_all_photos_of_a_text_are_on_one_side() -> None:
    dataset = Dataset.of(Example(f"{number:064}", (f"T{number % 25}",), f"{number}.png") for number in range(100))
    lesson = lesson_of(dataset, (), seed=0)
    sides: dict[str, set[str | None]] = {}
    for example in lesson.dataset:
        sides.setdefault(example.labels[0], set()).add(example.split)
    assert {len(side) for side in sides.values()} == {1}
    assert [len(lesson.part(part)) for part in ("test", "val")] == [20, 12]


def test_too_long_and_too_few_texts_are_refused() -> None:
    with pytest.raises(BadRequest, match="more than 16 characters"):
        lesson_of(Dataset.of([Example("0" * 64, ("A" * (LONGEST // 2 + 1),), "long.png")]), (), 0)
    with pytest.raises(BadRequest, match="photos of 1 texts"):
        lesson_of(Dataset.of([Example("0" * 64, ("A",), "a.png")]), (), 0)


@pytest.mark.parametrize("name", ["read", "read-plates"])
def test_recipes_for_readers_name_one(name: str) -> None:
    assert read(name).net.name in readers.READERS
