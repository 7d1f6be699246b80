from __future__ import annotations

from mingmu.core.probes import alike


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
