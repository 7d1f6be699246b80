from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mingmu.core import doubt
from mingmu.core.errors import BadRequest
from mingmu.core.pixels import PixelSpec, encode_png
from mingmu.data.dataset import Dataset, Example
from mingmu.teach import calibrate
from mingmu.teach.choose import Form
from mingmu.teach.teach import Options, Taught, teach
from tests import tiny
from tests.teach.photos import Memory, colours, extractor


def learn(tmp_path: Path, dataset: Dataset, blobs: Memory, options: Options | None = None) -> Taught:
    extract = extractor(tmp_path, blobs)
    return teach(dataset, extract, options=options or Options())


def test_a_taught_head_knows_new_photos(tmp_path: Path) -> None:
    blobs = Memory()
    taught = learn(tmp_path, colours(blobs, 20), blobs)
    fresh = colours(blobs, 20, seed=1)
    features = extractor(tmp_path / "again", blobs)(taught.pixels, [example.image for example in fresh]).values["features"]
    answers = [taught.labels[i] for i in taught.head(features).argmax(axis=1)]
    assert np.mean([answer == example.labels[0] for answer, example in zip(answers, fresh, strict=True)]) > 0.9


def test_what_was_tried_is_written_down_and_fits_in_json(tmp_path: Path) -> None:
    blobs = Memory()
    view = PixelSpec(size=(16, 16), fit="crop")
    taught = learn(tmp_path, colours(blobs, 10), blobs, Options(view=view))
    assert taught.pixels == view
    assert json.loads(json.dumps(taught.record)) == taught.record
    assert taught.record["heads_tried"]


def test_views_are_compared_on_enough_photos_of_every_label(tmp_path: Path) -> None:
    blobs, labels = Memory(), 30
    many = Dataset.of(replace(example, labels=(f"{i % labels}",)) for i, example in enumerate(colours(blobs, 100)))
    extract = extractor(tmp_path, blobs, PixelSpec(size=(32, 32), fit="crop"))
    trials = teach(many, extract, options=Options(forms=("discriminant",))).record["views_tried"]
    assert isinstance(trials, list)
    assert isinstance(trials[0], dict)
    assert trials[0]["photos"] == 5 * labels


def test_photos_of_the_test_part_are_never_learned_from(tmp_path: Path) -> None:
    blobs = Memory()
    dataset = Dataset.of(replace(example, split="test" if i % 2 else "train") for i, example in enumerate(colours(blobs, 10)))
    taught = learn(tmp_path, dataset, blobs)
    assert set(taught.images) == {example.image for example in dataset if example.split == "train"}


def test_teaching_twice_gives_the_same_head(tmp_path: Path) -> None:
    blobs = Memory()
    once, twice = (learn(tmp_path / str(i), colours(blobs, 8), blobs) for i in range(2))
    np.testing.assert_array_equal(once.head.weight, twice.head.weight)
    assert once.record == twice.record


def test_an_unreadable_photo_is_reported_and_the_rest_is_learned(tmp_path: Path) -> None:
    blobs = Memory()
    dataset = colours(blobs, 5)
    broken = replace(dataset.examples[0], image=blobs.put(b"not a picture"), name="broken.png")
    taught = learn(tmp_path, Dataset.of([*dataset, broken]), blobs)
    assert set(taught.refused) == {broken.image}
    assert len(taught.images) == len(dataset)


def test_one_photo_per_class_teaches_and_promises_nothing(tmp_path: Path) -> None:
    blobs = Memory()
    taught = learn(tmp_path, colours(blobs, 1), blobs)
    assert taught.held_out is None
    assert doubt.largest_score(taught.arrays["conformal"], 0.9) == 1.0


def test_one_label_is_not_enough(tmp_path: Path) -> None:
    blobs = Memory()
    only = Dataset.of(example for example in colours(blobs, 3) if example.labels == (tiny.LABELS[0],))
    with pytest.raises(BadRequest, match="at least 2"):
        learn(tmp_path, only, blobs)


def test_one_photo_per_class_is_answered_without_boasting(tmp_path: Path) -> None:
    blobs = Memory()
    taught = learn(tmp_path, colours(blobs, 1), blobs)
    features = extractor(tmp_path / "again", blobs)(taught.pixels, taught.images).values["features"]
    scores = calibrate.probabilities_of(taught.head(features), taught.temperature)
    assert str(taught.kind) == "prototype"
    assert (scores.argmax(axis=1) == taught.classes).all()
    assert 0.6 < scores.max(axis=1).mean() < 0.97


def test_two_photos_per_class_do_not_make_it_certain(tmp_path: Path) -> None:
    blobs = Memory()
    taught = learn(tmp_path, colours(blobs, 2), blobs)
    fresh = colours(blobs, 30, seed=1)
    features = extractor(tmp_path / "again", blobs)(taught.pixels, [example.image for example in fresh]).values["features"]
    assert calibrate.probabilities_of(taught.head(features), taught.temperature).max(axis=1).mean() < 0.97


@pytest.mark.parametrize("form", ["prototype", "discriminant", "logistic", "svm"])
def test_the_form_that_is_asked_for_is_the_one_taught(tmp_path: Path, form: Form) -> None:
    blobs = Memory()
    for per_class in (1, 6):
        taught = learn(tmp_path / str(per_class), colours(blobs, per_class), blobs, Options(effort="quick", forms=(form,)))
        assert str(taught.kind).startswith(form)
        assert taught.temperature > 0


def both(blobs: Memory, count: int, *, seed: int = 0) -> Dataset:
    """Pictures in which each colour is strong or not, on its own; without any, the first is."""
    random = np.random.default_rng(seed)
    examples = []
    for i in range(count):
        strong = random.random(3) < 0.5
        strong[0] |= not strong.any()
        picture = random.integers(0, 120, (16, 16, 3), dtype=np.uint8) + np.uint8(100) * strong.astype(np.uint8)
        labels = tuple(label for label, there in zip(tiny.LABELS, strong, strict=True) if there)
        examples.append(Example(blobs.put(encode_png(picture)), labels, f"{i:03}.png"))
    return Dataset.of(examples)


@pytest.mark.parametrize("form", ["logistic", "svm"])
def test_several_labels_are_each_a_question_of_their_own(tmp_path: Path, form: Form) -> None:
    blobs = Memory()
    taught = learn(tmp_path, both(blobs, 60), blobs, Options(forms=(form,)))
    fresh = both(blobs, 40, seed=1)
    features = extractor(tmp_path / "again", blobs)(taught.pixels, [example.image for example in fresh]).values["features"]
    scores = calibrate.probabilities_of(taught.head(features), taught.temperature, several=True)
    truth = np.array([[label in example.labels for label in taught.labels] for example in fresh])
    assert taught.multi_label
    assert ((scores >= 0.5) == truth).mean() > 0.95
    assert (taught.strangest, dict(taught.arrays)) == (None, {})


def test_a_discriminant_cannot_learn_several_labels_and_says_what_can(tmp_path: Path) -> None:
    blobs = Memory()
    with pytest.raises(BadRequest, match="only logistic regression and support vector machines"):
        learn(tmp_path, both(blobs, 20), blobs, Options(forms=("discriminant",)))


def test_several_labels_of_which_each_has_one_photo_can_be_taught(tmp_path: Path) -> None:
    blobs = Memory()
    first, second, *_ = colours(blobs, 1)
    taught = learn(tmp_path, Dataset.of([replace(first, labels=("red", "warm")), replace(second, labels=("green", "cold"))]), blobs)
    assert taught.held_out is None
    assert taught.labels == ("cold", "green", "red", "warm")


def test_a_lesson_can_follow_an_earlier_one(tmp_path: Path) -> None:
    blobs = Memory()
    first = learn(tmp_path, colours(blobs, 8), blobs)
    more = Dataset.of([*colours(blobs, 8), *colours(blobs, 2, seed=1)])
    second = learn(tmp_path / "again", more, blobs, Options(view=first.pixels, head=(first.outputs, first.kind)))
    assert (second.kind, second.outputs, second.pixels) == (first.kind, first.outputs, first.pixels)
    assert len(second.images) == 30
