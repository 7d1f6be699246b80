from __future__ import annotations

import numpy as np
import pytest

from mingmu.core.answers import Label, Wish
from mingmu.core.errors import BadArtifact
from mingmu.core.manifest import Manifest
from mingmu.core.pixels import View
from mingmu.tasks import task_named
from tests.tiny import LABELS, ORIGIN, PIXELS, labels_of

MANIFEST = Manifest(kind="model", name="m", task="classify", pixels=PIXELS, labels=LABELS, label_ids=("n1", "n2", "n3"), origin=ORIGIN)


def read(*scores: float, top: int) -> tuple[Label, ...]:
    rows = {"scores": np.array(scores, np.float32)}
    return labels_of(task_named("classify").interpret(rows, View((8, 8), (8, 8), (0, 0, 8, 8)), MANIFEST, Wish(top=top)))


def test_the_surest_labels_come_first_with_their_ids() -> None:
    labels = read(0.2, 0.7, 0.1, top=2)
    assert [(label.label, label.id) for label in labels] == [("green", "n2"), ("red", "n1")]
    assert labels[0].score == pytest.approx(0.7)


def test_equal_scores_keep_the_order_of_the_labels() -> None:
    assert [label.label for label in read(1 / 3, 1 / 3, 1 / 3, top=10)] == list(LABELS)


def test_a_task_that_is_not_known_is_a_bad_artifact() -> None:
    with pytest.raises(BadArtifact, match="classify"):
        task_named("divine")
