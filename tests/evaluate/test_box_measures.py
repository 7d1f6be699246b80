from __future__ import annotations

import numpy as np
import pytest

from mingmu.core.manifest import DetectSpec
from mingmu.data.dataset import Example
from mingmu.evaluate.box_measures import BoxMeasures, measure_boxes
from mingmu.evaluate.box_words import cautions, headline, operation
from mingmu.evaluate.sightings import Sightings
from mingmu.tasks.boxes import Found
from mingmu.tasks.matching import Truth

CAT, DOG = 0, 1
Place = tuple[int, float, float, float, float]  # class, left, top, right, bottom


def _truth(*places: Place) -> Truth:
    rows = np.array(places, np.float64).reshape(-1, 5)
    return Truth(rows[:, 1:], rows[:, 0].astype(np.int64))


def _found(*places: tuple[float, Place]) -> Found:
    rows = sorted(places, key=lambda each: -each[0])
    boxes = np.array([place[1:] for _, place in rows], np.float32).reshape(-1, 4)
    scores, classes = np.array([score for score, _ in rows], np.float32), np.array([place[0] for _, place in rows], np.int64)
    return Found(boxes, scores, classes, np.arange(len(boxes)))


def _sightings(*photos: tuple[Truth, Found]) -> Sightings:
    examples = tuple(Example(f"{number:064d}", ("cat",), f"{number}.jpg") for number in range(len(photos)))
    there, said = zip(*photos, strict=True)
    return Sightings(("cat", "dog", "cow"), examples, said, there, ((300, 300),) * len(photos), DetectSpec())


SMALL, LARGE = (CAT, 10.0, 10.0, 30.0, 30.0), (DOG, 50.0, 50.0, 250.0, 250.0)


@pytest.fixture(scope="module")
def measures() -> BoxMeasures:
    return measure_boxes(
        _sightings(
            *((_truth(SMALL, LARGE), _found((0.9, SMALL), (0.8, LARGE))) for _ in range(6)),
            (_truth(SMALL, LARGE), _found((0.7, LARGE), (0.6, (CAT, 200.0, 0.0, 220.0, 20.0)))),  # the cat is missed, another made up
            (_truth(LARGE), _found((0.95, (CAT, *LARGE[1:])))),  # a dog that is said to be a cat
            (_truth(), _found((0.2, SMALL))),  # nothing there, and what is said does not count
        )
    )


def test_what_is_found_and_what_is_right(measures: BoxMeasures) -> None:
    cat, dog, cow = measures.classes
    assert (cat.there, cat.said, dog.there, dog.said) == (7, 8, 8, 7)
    assert cat.recall is not None
    assert cat.recall.value == pytest.approx(6 / 7)
    assert cat.precision is not None
    assert cat.precision.value == pytest.approx(6 / 8)
    assert dog.precision is not None
    assert dog.precision.value == 1
    assert (cow.there, cow.said, cow.recall, cow.ap50) == (0, 0, None, None)
    assert measures.recall.value == pytest.approx(13 / 15)


def test_every_average_precision_has_an_interval_that_holds_it(measures: BoxMeasures) -> None:
    for found in (measures.ap50, measures.ap75, measures.mean_average_precision):
        assert found.low <= found.value <= found.high
        assert found.low < found.high
        assert found.method.startswith("bootstrap")


def test_what_is_mixed_up_missed_or_made_up(measures: BoxMeasures) -> None:
    nothing = len(measures.classes)
    assert set(measures.confusion) == {(CAT, CAT, 6), (CAT, nothing, 1), (DOG, DOG, 7), (DOG, CAT, 1), (nothing, CAT, 1)}


def test_the_worst_photos_come_first_with_each_box_and_what_is_wrong_with_it(measures: BoxMeasures) -> None:
    worst, second = measures.misses
    assert (worst.name, [box.kind for box in worst.boxes]) == ("6.jpg", ["right", "invented", "missed"])
    assert (second.name, second.boxes[0].kind, second.boxes[0].label, second.boxes[0].truth) == ("7.jpg", "confused", "cat", "dog")


def test_sizes_are_those_of_the_photo(measures: BoxMeasures) -> None:
    small, medium, large = measures.sizes
    assert (small.there, medium.there, large.there) == (7, 0, 8)
    assert medium.average_precision is None
    assert small.found == pytest.approx(6 / 7)


def test_the_curve_falls_from_the_surest_box(measures: BoxMeasures) -> None:
    recall, precision, score = zip(*measures.classes[CAT].curve, strict=True)
    assert recall == tuple(sorted(recall))
    assert precision[0] == 0  # the surest cat is a dog
    assert score == tuple(sorted(score, reverse=True))


def test_it_is_said_in_words(measures: BoxMeasures) -> None:
    assert headline(measures).startswith("AP50 is ")
    assert "15 boxes of 9 photos" in headline(measures)
    assert operation(measures) == (
        "With a threshold of 0.3 it finds 86.7 % of the things that are there, and 86.7 % of the boxes that it says are right."
    )
    assert "No box of: cow. How well it finds them was not measured." in cautions(measures)


def test_frames_of_one_clip_widen_the_intervals() -> None:
    random = np.random.default_rng(0)
    photos = []
    for _ in range(5):  # clips, on each of which all are found, or none
        found = _found((0.9, SMALL)) if random.random() < 0.5 else _found()
        photos += [(_truth(SMALL), found)] * 8
    alone = _sightings(*photos)
    clips = Sightings(
        alone.labels,
        tuple(Example(each.image, each.labels, each.name, group=str(at // 8)) for at, each in enumerate(alone.examples)),
        alone.said,
        alone.there,
        alone.sizes,
        alone.spec,
    )
    narrow, wide = measure_boxes(alone).recall, measure_boxes(clips).recall
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
