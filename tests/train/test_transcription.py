"""Readers learn to spell: from photos of colours to a recognizer that is sealed, proven, measured and published."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from mingmu import verbs
from mingmu.core.answers import Texts
from mingmu.core.errors import BadModel, BadRequest, NotFound
from mingmu.core.runtime import TEXT, OnnxRuntime
from mingmu.data.dataset import Dataset, Example
from mingmu.evaluate.report import TextReport
from mingmu.evaluate.text_measures import TextMeasures
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.train import checkpoint
from mingmu.train.export import whole_model
from mingmu.train.feed import PAD
from mingmu.train.nets import check_does, readers
from mingmu.train.recipe import LINE, LINES, NetTable, Recipe, read
from mingmu.train.transcription import loss_of, spelled
from mingmu.verbs.curriculum import LONGEST, Lesson, check_trainable, lesson_of
from tests import tiny_text

PP_OCR = pytest.mark.skipif(find_spec("rapidocr") is None, reason="PP-OCR's networks are not installed: pip install 'mingmu[text]'")


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


def parted(folder: Path, dataset: Dataset) -> Lesson:
    return lesson_of(Store(folder), dataset, (), 0, lambda step, share: None, "read")


def test_columns_spell_without_repetitions_and_blanks() -> None:
    assert spelled(logits(0, 1, 1, 0, 1, 3, 0)) == [[1, 1, 3]]
    assert spelled(logits(0, 0)) == [[]]


def test_the_loss_is_small_for_what_is_spelled_and_large_for_anything_else() -> None:
    seen = logits(0, 1, 0, 2, 0)
    assert float(loss_of(seen, torch.tensor([[1, 2, PAD]]))) < 0.01 < float(loss_of(seen, torch.tensor([[2, 1, PAD]])))
    assert float(loss_of(logits(1), torch.tensor([[1, 2, 3]]))) == 0  # one column cannot spell three characters


@pytest.mark.parametrize("name", ["lprnet", "crnn", pytest.param("ppocr", marks=PP_OCR)])
def test_a_reader_becomes_a_graph_that_gives_what_it_gave(name: str) -> None:
    width, height = LINES.get(name, LINE)
    net = readers.build(name, 5).eval()
    frames = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    exported = whole_model(net, frames, output=TEXT)
    assert exported.difference < 1e-4
    columns = OnnxRuntime(exported.graph)(frames, [TEXT])[TEXT]
    assert columns.shape == (3, {"lprnet": 32, "crnn": 32, "ppocr": 20}[name], 6)
    assert np.allclose(columns.sum(axis=2), 1, atol=1e-5)  # a column is one of the characters


@PP_OCR
def test_a_reader_that_goes_on_from_pp_ocr_reads_at_once() -> None:
    net, origin = readers.build_reader(NetTable(name="ppocr"), "AB1")
    picture = Image.new("RGB", (160, 48), "white")
    ImageDraw.Draw(picture).text((80, 24), "BA 11 A", "black", ImageFont.load_default(34), "mm")
    with torch.no_grad():
        found = spelled(net.eval()(torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]))
    assert found == [[2, 1, 3, 3, 1]]
    assert "PP-OCRv6" in origin.source
    with pytest.raises(BadRequest, match="begins with its published weights"):
        readers.build_reader(NetTable(name="ppocr", weights="none"), "AB1")


def test_a_reader_that_there_is_not_is_refused() -> None:
    with pytest.raises(NotFound, match="lprnet, crnn and ppocr"):
        readers.build("resnet18", 5)


def test_it_is_trained_sealed_proven_measured_and_read_with(tmp_path: Path) -> None:
    store, source = Store(tmp_path / "data"), tmp_path / "photos"
    source.mkdir()
    recipe = Recipe.model_validate({"net": {"name": "lprnet", "fit": "squash"}, "batch": 8, "precision": "fp32", "schedule": {"epochs": 2}})
    trained = verbs.train(store, photos(source, 40), name="colours", recipe=recipe)
    assert isinstance(trained.report, TextReport)
    assert [each.label for each in trained.report.measures.classes] == ["B", "G", "R"]
    assert trained.report.measures.examples >= 4
    assert len(trained.curve) == len(trained.report.training) == 2
    recognizer = Library(store).open(trained.version.digest)
    assert recognizer.manifest.labels == ("B", "G", "R")
    assert isinstance(recognizer.recognize([tiny_text.picture("RG")])[0], Texts)
    assert len(store.records.reports(trained.version.digest)) == 2
    measured = verbs.evaluate(store, "colours", source).measures
    assert isinstance(measured, TextMeasures)
    assert (measured.exact, measured.left_out.learned) == (trained.report.measures.exact, 40 - measured.examples)
    further = recipe.model_copy(
        update={"net": recipe.net.model_copy(update={"weights": str(store.trained / trained.version.digest / checkpoint.FILE)})}
    )
    assert verbs.train_dataset(store, "colours", name="colours", recipe=further).version.version == 2  # as a service does
    other = further.model_copy(update={"net": further.net.model_copy(update={"name": "crnn"})})
    with pytest.raises(BadModel, match="has not the weights of this network"):
        verbs.train(store, source, name="colours", recipe=other)


def test_all_photos_of_a_text_are_on_one_side(tmp_path: Path) -> None:
    dataset = Dataset.of(Example(f"{number:064}", (f"T{number % 25}",), f"{number}.png") for number in range(100))
    lesson = parted(tmp_path, dataset)
    sides: dict[str, set[str | None]] = {}
    for example in lesson.dataset:
        sides.setdefault(example.labels[0], set()).add(example.split)
    assert {len(side) for side in sides.values()} == {1}
    assert [len(lesson.part(part)) for part in ("test", "val")] == [20, 12]


def test_a_photo_that_is_named_twice_is_on_one_side(tmp_path: Path) -> None:
    texts = [("A", "B")[at] for at in (0, 1)] + [f"T{at}" for at in range(20)]
    dataset = Dataset.of(Example(f"{max(1, at):064}", (text,), f"{at}.png") for at, text in enumerate(texts))
    first, second, *_ = parted(tmp_path, dataset).dataset
    assert first.split == second.split


def test_too_long_and_too_few_texts_are_refused() -> None:
    with pytest.raises(BadRequest, match="more than 16 characters"):
        check_trainable(Dataset.of([Example("0" * 64, ("A" * (LONGEST + 1),), "long.png")]), (), "read")
    with pytest.raises(BadRequest, match="photos of 1 texts"):
        check_trainable(Dataset.of([Example("0" * 64, ("A",), "a.png")]), (), "read")


@pytest.mark.parametrize("name", ["read", "read-plates"])
def test_recipes_for_readers_name_one(name: str) -> None:
    assert read(name).net.name in readers.READERS


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        ({"net": {"size": 64}}, "net.size is not for readers: crnn looks at 128x32 pixels"),
        ({"augment": {"mixup": 0.2}}, "augment.mixup is for classifiers, and crnn is a reader"),
        ({"augment": {"cutmix": 0.2}}, "augment.cutmix is for classifiers"),
        ({"augment": {"mosaic": 0.2}}, "augment.mosaic is for detectors"),
        ({"label_smoothing": 0.1}, "label_smoothing is for classifiers"),
        ({"balance": 0.5}, "balance is for classifiers"),
        ({"distil": {"teacher": "general"}}, "distil.teacher is for classifiers"),
        ({"net": {"norm": "group"}}, "net.norm is for classifiers"),
    ],
)
def test_keys_that_mean_nothing_to_a_reader_are_refused_before_a_photo_is_read(
    tmp_path: Path, tables: dict[str, Any], complaint: str
) -> None:
    recipe = Recipe.model_validate({**tables, "net": {"name": "crnn", **tables.get("net", {})}})
    with pytest.raises(BadRequest, match=complaint):
        verbs.train(Store(tmp_path), tmp_path / "nowhere", name="colours", recipe=recipe)


def test_a_network_that_does_something_else_is_refused() -> None:
    with pytest.raises(BadRequest, match="resnet18 says a label of each photo; what reads text is one of lprnet, crnn"):
        check_does(NetTable(name="resnet18"), "read")
