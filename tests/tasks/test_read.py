from __future__ import annotations

import numpy as np

from mingmu.core.answers import ANY
from mingmu.core.manifest import Manifest
from mingmu.core.pixels import View
from mingmu.tasks.read import OTHERS, Read, spelled
from tests.tiny import LABELS, ORIGIN, PIXELS

MANIFEST = Manifest(kind="model", name="r", task="read", pixels=PIXELS, labels=LABELS, origin=ORIGIN)
VIEW = View((8, 8), (80, 40), (0, 0, 80, 40))


def columns(*classes: int, sure: float = 0.9) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rows = np.full((len(classes), 1 + len(LABELS)), (1 - sure) / len(LABELS), np.float32)
    rows[np.arange(len(classes)), classes] = sure
    return rows


def test_repetitions_are_one_character_unless_a_blank_parts_them() -> None:
    assert spelled(columns(0, 1, 1, 0, 1, 2, 2, 0)).text(LABELS) == "redredgreen"


def test_blanks_alone_spell_nothing() -> None:
    assert spelled(columns(0, 0, 0)).text(LABELS) == ""
    task = Read()
    assert task.interpret(task.kept({"text": columns(0, 0)}), VIEW, MANIFEST, ANY).texts == ()


def test_a_character_is_as_sure_as_the_surest_of_its_columns() -> None:
    both = np.concatenate([columns(1, sure=0.5), columns(1, sure=0.8)])
    assert np.isclose(spelled(both).confidences[0, 0], 0.8)


def test_what_else_a_character_might_be_is_kept_the_surest_first_and_never_a_blank() -> None:
    rows = np.array([[0.2, 0.1, 0.4, 0.3]], np.float32)
    line = spelled(rows)
    assert line.classes.tolist() == [[2, 3, 1]]
    assert line.classes.shape[1] <= OTHERS
    assert (line.classes > 0).all()


def test_the_answer_is_one_line_all_over_the_picture_with_a_confidence_for_each_character() -> None:
    task = Read()
    answer = task.interpret(task.kept({"text": columns(1, 0, 3)}), VIEW, MANIFEST, ANY)
    (line,) = answer.texts
    assert line.text == "redblue"
    assert line.corners == ((0, 0), (80, 0), (80, 40), (0, 40))
    assert np.allclose(line.confidences, 0.9)
    assert answer.boxes[0].width == 80
