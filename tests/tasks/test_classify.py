from __future__ import annotations

import numpy as np
import pytest

from mingmu.core.errors import BadArtifact
from mingmu.core.manifest import Manifest
from mingmu.tasks import task_named
from tests.tiny import LABELS, ORIGIN, PIXELS

MANIFEST = Manifest(kind="model", name="m", task="classify", pixels=PIXELS, labels=LABELS, label_ids=("n1", "n2", "n3"), origin=ORIGIN)


def test_the_surest_labels_come_first_with_their_ids() -> None:
    answer = task_named("classify").interpret(np.array([0.2, 0.7, 0.1], np.float32), MANIFEST, top=2)
    assert [(label.label, label.id) for label in answer.labels] == [("green", "n2"), ("red", "n1")]
    assert answer.labels[0].score == pytest.approx(0.7)


def test_equal_scores_keep_the_order_of_the_labels() -> None:
    answer = task_named("classify").interpret(np.full(3, 1 / 3, np.float32), MANIFEST, top=10)
    assert [label.label for label in answer.labels] == list(LABELS)


def test_a_task_that_is_not_known_is_a_bad_artifact() -> None:
    with pytest.raises(BadArtifact, match="classify"):
        task_named("divine")
