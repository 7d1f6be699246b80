from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mingmu.core.artifact import Probe
from mingmu.core.errors import Unproven
from mingmu.core.probes import alike, check_boxes


def box(label: str, x: float) -> dict[str, object]:
    return {"label": label, "x": x}


def test_things_are_the_same_in_any_order_where_words_are_and_places_nearly() -> None:
    one, other = {"boxes": [box("cup", 1.0), box("cat", 90.0)]}, {"boxes": [box("cat", 91.0), box("cup", 0.0)]}
    assert alike(one, other, 2.0)
    assert not alike(one, other, 0.5)
    assert not alike(one, {"boxes": [box("dog", 91.0), box("cup", 0.0)]}, 2.0)
    assert not alike(one, {"boxes": [box("cup", 1.0)]}, 2.0)
    assert not alike({"boxes": [box("cup", 1.0), box("cup", 1.0)]}, {"boxes": [box("cup", 1.0), box("cup", 9.0)]}, 2.0)  # each once


def test_points_keep_their_order() -> None:
    assert not alike({"corners": [[0, 0], [9, 0]]}, {"corners": [[9, 0], [0, 0]]}, 1.0)


def probe(*boxes: tuple[float, float], width: float = 40.0) -> Probe:
    """Boxes by where they begin and their score, and of nothing, to fill up."""
    rows = [*boxes, *((200.0 + 10 * number, 0.01 * number) for number in range(20))]
    outputs = {
        "boxes": np.array([(left, 0.0, left + width, 40.0) for left, _ in rows], np.float32),
        "scores": np.array([(score, 0.0) for _, score in rows], np.float32),
    }
    return Probe("cat.jpg", b"", None, outputs)


SEALED = probe((10.0, 0.9), (90.0, 0.6), (300.0, 0.31))


def changed(name: str, row: int, value: tuple[float, ...]) -> dict[str, NDArray[np.float32]]:
    outputs = {key: values.copy() for key, values in SEALED.outputs.items()}
    outputs[name][row] = value
    return outputs


def test_boxes_prove_themselves_in_any_order_and_a_little_moved() -> None:
    order = np.random.default_rng(0).permutation(23)
    moved = {name: (values + 5e-4)[order] for name, values in SEALED.outputs.items()}
    check_boxes(SEALED, moved, 2e-3, threshold=0.3)


@pytest.mark.parametrize(
    ("name", "value"),
    [("boxes", (14.0, 0.0, 54.0, 40.0)), ("scores", (0.8, 0.0)), ("scores", (0.0, 0.9)), ("boxes", (np.nan, 0.0, 50.0, 40.0))],
)
def test_a_box_that_moved_or_is_of_something_else_is_no_proof(name: str, value: tuple[float, ...]) -> None:
    with pytest.raises(Unproven, match=r"a box with a score of 0\.900 was sealed and is gone"):
        check_boxes(SEALED, changed(name, 0, value), 2e-3, threshold=0.3)


def test_a_box_of_nothing_may_be_another_one_but_not_of_something_nor_many() -> None:
    check_boxes(SEALED, changed("boxes", 5, (0.0, 0.0, 9.0, 9.0)), 2e-3, threshold=0.3)
    with pytest.raises(Unproven, match=r"a box with a score of 0\.400 was not sealed"):
        check_boxes(SEALED, changed("scores", 5, (0.4, 0.0)), 2e-3, threshold=0.3)
    few = {name: values.copy() for name, values in SEALED.outputs.items()}
    few["boxes"][-3:] += 90
    with pytest.raises(Unproven, match="3 of 23 boxes differ"):
        check_boxes(SEALED, few, 2e-3, threshold=0.3)


def test_a_network_that_gives_nothing_any_more_proves_nothing() -> None:
    nothing = {name: np.zeros_like(values) for name, values in SEALED.outputs.items()}
    with pytest.raises(Unproven):
        check_boxes(SEALED, nothing, 2e-3, threshold=0.99)
