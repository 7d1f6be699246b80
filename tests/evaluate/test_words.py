from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mingmu.evaluate.measure import Measures, measure
from mingmu.evaluate.predictions import CROSS_VALIDATION, TAUGHT
from mingmu.evaluate.words import cautions, listed, trust
from tests.evaluate.made import predictions, random_predictions


def with_ece(measures: Measures, ece: float, by_chance: float = 0.02) -> Measures:
    return replace(measures, calibration=replace(measures.calibration, ece=ece, by_chance=by_chance))


def test_confidence_is_vouched_for_only_from_enough_photos_on() -> None:
    many, few = (with_ece(measure(random_predictions(count)), 0.01) for count in (400, 399))
    assert trust(many).startswith("Its confidence can be believed")
    assert trust(few).startswith("Nothing speaks against its confidence")
    assert "399 photos are too few to vouch for it; 400 would do" in trust(few)


def test_photos_that_belong_together_vouch_for_little() -> None:
    truth, scores = [0, 1] * 300, np.tile([[0.9, 0.1], [0.1, 0.9]], (300, 1))
    grouped = measure(predictions(truth, scores, groups=[str(i // 10) for i in range(600)]))
    assert "60 photos are too few" in trust(with_ece(grouped, 0.01))


def test_confidence_that_is_wrong_beyond_chance_is_named_however_few_the_photos() -> None:
    assert "not to be taken at its word" in trust(with_ece(measure(random_predictions(100)), 0.2, by_chance=0.1))


def test_photos_that_it_was_taught_say_nothing_of_its_confidence() -> None:
    taught = replace(with_ece(measure(random_predictions(500)), 0.01), source=TAUGHT)
    assert "cannot be told" in trust(taught)


@pytest.mark.parametrize(
    ("support", "caution"),
    [
        (0, "No photo of: b. How well it finds them was not measured."),
        (4, "Fewer than 5 photos of: b. Their own figures say next to nothing."),
        (5, "Fewer than 30 photos of: b. Their own figures are rough"),
    ],
)
def test_a_label_with_few_photos_or_none_is_named(support: int, caution: str) -> None:
    truth = [0] * 40 + [1] * support
    found = cautions(measure(predictions(truth, np.eye(2)[truth] * 0.8 + 0.1)))
    assert len(found) == 1
    assert found[0].startswith(caution)


def test_cross_validation_that_also_chose_the_head_says_so() -> None:
    chosen = measure(replace(random_predictions(200), source=CROSS_VALIDATION))
    assert any("chosen by the same cross-validation" in text for text in cautions(chosen))
    assert not any("cross-validation" in text for text in cautions(measure(random_predictions(200))))


def test_a_long_list_of_labels_is_cut_short() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(i) for i in range(11)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 3 more"
