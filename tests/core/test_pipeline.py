from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mingmu.core.errors import BadImage
from mingmu.core.network import Network
from mingmu.core.pipeline import AT_ONCE, Done, Look, Road, advance, side_by_side, walk
from mingmu.core.pixels import Frame
from mingmu.core.recognizer import Reading, Recognizer
from mingmu.tasks import task_of
from tests import tiny

BLACK = Frame(np.zeros((8, 8, 3), np.uint8), (8, 8), (0, 0, 8, 8))


@pytest.fixture
def whole(tmp_path: Path) -> Recognizer:
    artifact = tiny.seal_whole(tmp_path / "whole")
    return Recognizer(artifact, Network.open(artifact), task_of(artifact.manifest))


@pytest.fixture
def quarters(tmp_path: Path) -> Recognizer:
    artifact = tiny.seal_detector(tmp_path / "quarters")
    return Recognizer(artifact, Network.open(artifact), task_of(artifact.manifest))


def looks(road: Road[list[int]]) -> tuple[list[tuple[str, int]], list[int]]:
    """Who looked at how many frames, one after another, and the end."""
    seen: list[tuple[str, int]] = []
    at = advance(road)
    while isinstance(at, Look):
        seen.append((at.recognizer.manifest.name, len(at.frames)))
        at = advance(road, at.recognizer.readings(at.frames))
    assert isinstance(at, Done)
    return seen, at.value


def goes(number: int, *stages: tuple[Recognizer, int]) -> Road[int]:
    """A road that looks at so many frames at each stage, and ends with its number."""
    for recognizer, count in stages:
        readings = yield Look(recognizer, [BLACK] * count)
        assert len(readings) == count
    return number


def test_roads_side_by_side_share_looks_at_every_stage_and_end_in_order(whole: Recognizer, quarters: Recognizer) -> None:
    roads = [goes(n, (quarters, 1), (whole, n), (quarters, 2)) for n in range(4)]
    assert looks(side_by_side(roads)) == ([("quarters", 4), ("whole", 6), ("quarters", 8)], [0, 1, 2, 3])
    assert looks(side_by_side([])) == ([], [])


def test_roads_of_different_lengths_and_kinds_all_end(whole: Recognizer, quarters: Recognizer) -> None:
    roads = [goes(0), goes(1, (whole, 1)), goes(2, (quarters, 1), (whole, 1)), goes(3, (whole, 1), (whole, 1))]
    assert looks(side_by_side(roads)) == ([("whole", 2), ("quarters", 1), ("whole", 2)], [0, 1, 2, 3])


def test_each_road_gets_its_own_readings(whole: Recognizer) -> None:
    def one(level: int) -> Road[Reading]:
        (reading,) = yield Look(whole, [Frame(np.full((8, 8, 3), (level, 0, 0), np.uint8), (8, 8), (0, 0, 8, 8))])
        return reading

    together = walk(side_by_side([one(level) for level in range(6)]))
    alone = [walk(one(level)) for level in range(6)]
    assert [each.scores.tolist() for each in together] == [pytest.approx(each.scores.tolist()) for each in alone]


def test_few_roads_go_at_a_time(whole: Recognizer) -> None:
    begun: list[int] = []

    def one(number: int) -> Road[int]:
        begun.append(number)
        yield Look(whole, [BLACK])
        return number

    road = side_by_side([one(number) for number in range(AT_ONCE + 3)])
    at = advance(road)
    assert isinstance(at, Look)
    assert (len(at.frames), len(begun)) == (AT_ONCE, AT_ONCE)
    at = advance(road, whole.readings(at.frames))
    assert isinstance(at, Look)
    assert (len(at.frames), len(begun)) == (3, AT_ONCE + 3)


def test_what_one_road_raises_ends_all(whole: Recognizer) -> None:
    def fails() -> Road[int]:
        yield Look(whole, [BLACK])
        raise BadImage("it is none")

    with pytest.raises(BadImage):
        walk(side_by_side([goes(0, (whole, 1), (whole, 1)), fails()]))


def test_a_recognizer_that_is_no_chain_is_a_road_of_one_look(whole: Recognizer) -> None:
    at = advance(whole.road(BLACK))
    assert isinstance(at, Look)
    assert (at.recognizer, [*at.frames]) == (whole, [BLACK])
    assert walk(whole.road(BLACK)).scores == pytest.approx(whole.read(BLACK).scores)
