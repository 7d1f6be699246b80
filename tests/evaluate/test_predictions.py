from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mingmu.core.errors import Conflict
from mingmu.data.dataset import Dataset, Example
from mingmu.evaluate.predictions import Predictions, evaluate
from tests.evaluate.made import Memory, coloured, picture, recognizer


def test_every_example_gets_the_scores_that_a_request_would_get(tmp_path: Path) -> None:
    blobs, tiny = Memory(), recognizer(tmp_path)
    dataset = Dataset.of(coloured(blobs, 12))
    found = evaluate(tiny, dataset, blobs, threads=2)
    assert found.examples == dataset.examples
    assert found.right.all()
    for example, scores in zip(found.examples, found.scores, strict=True):
        np.testing.assert_allclose(scores, tiny.scores([tiny.frame(blobs.get(example.image))])[0], atol=1e-6)


def test_what_cannot_be_measured_is_reported_and_disturbs_nothing(tmp_path: Path) -> None:
    blobs = Memory()
    examples = coloured(blobs)
    broken, gone = Example(blobs.put(b"rubbish"), ("red",), "broken.png"), Example("0" * 64, ("red",), "gone.png")
    unknown, unlabelled = Example(blobs.put(picture("red")), ("pink",), "pink.png"), Example(blobs.put(picture("red")), (), "plain.png")
    found = evaluate(recognizer(tmp_path), Dataset.of([*examples, broken, gone, unknown, unlabelled]), blobs)
    assert len(found) == len(examples)
    assert [(failure.name, failure.kind) for failure in found.failures] == [("broken.png", "bad-image"), ("gone.png", "not-found")]
    assert (found.unknown, found.left_out, found.unlabelled) == ((("pink", 1),), 1, 1)


def test_progress_goes_up_to_one(tmp_path: Path) -> None:
    blobs, shares = Memory(), list[float]()
    evaluate(recognizer(tmp_path), Dataset.of(coloured(blobs, 12)), blobs, progress=shares.append)
    assert shares == sorted(shares)
    assert (len(shares), shares[-1]) == (3, 1.0)


def test_a_dataset_of_other_labels_is_refused_with_both_sides_named(tmp_path: Path) -> None:
    blobs = Memory()
    with pytest.raises(Conflict, match=r"the dataset's are pink, the recognizer's red, green, blue"):
        evaluate(recognizer(tmp_path), Dataset.of([Example(blobs.put(picture("red")), ("pink",), "pink.png")]), blobs)


def test_a_dataset_without_a_readable_image_is_refused_with_the_first_reason(tmp_path: Path) -> None:
    blobs = Memory()
    with pytest.raises(Conflict, match=r"none of 1 images could be read; the first: broken\.png"):
        evaluate(recognizer(tmp_path), Dataset.of([Example(blobs.put(b"rubbish"), ("red",), "broken.png")]), blobs)


def test_examples_of_one_group_or_one_image_count_as_related() -> None:
    examples = [
        Example("1", ("a",), "w", group="x"),
        Example("2", ("a",), "x", group="x"),
        Example("3", ("b",), "y"),
        Example("3", ("b",), "z"),
    ]
    groups = Predictions.of(("a", "b"), examples, np.full((4, 2), 0.5, np.float32)).groups
    assert groups[0] == groups[1] != groups[2] == groups[3]


def test_scores_that_do_not_fit_are_refused() -> None:
    example = Example("1", ("a",), "w")
    with pytest.raises(Conflict, match="do not fit 1 examples and 2 labels"):
        Predictions.of(("a", "b"), [example], np.zeros((2, 2), np.float32))
    with pytest.raises(Conflict, match="a label that is known"):
        Predictions.of(("b", "c"), [example], np.zeros((1, 2), np.float32))
