from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from mingmu.core.errors import Conflict
from mingmu.data.dataset import Example
from mingmu.evaluate.measure import average_precision, measure
from mingmu.evaluate.predictions import Predictions
from tests.evaluate.made import predictions, random_predictions


def test_the_figures_are_those_of_scikit_learn() -> None:
    found = random_predictions(300)
    measures, truth, said = measure(found), found.truth.argmax(axis=1), found.scores.argmax(axis=1)
    scores = found.scores.astype(np.float64)
    assert measures.accuracy.value == pytest.approx(metrics.accuracy_score(truth, said))
    assert measures.balanced_accuracy.value == pytest.approx(metrics.balanced_accuracy_score(truth, said))
    assert measures.macro_f1.value == pytest.approx(metrics.f1_score(truth, said, average="macro"))
    assert measures.log_loss.value == pytest.approx(metrics.log_loss(truth, scores / scores.sum(axis=1, keepdims=True)), rel=1e-5)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, said)
    assert [c.precision.value for c in measures.classes if c.precision] == pytest.approx(precision)
    assert [c.recall.value for c in measures.classes if c.recall] == pytest.approx(recall)
    assert [c.f1.value for c in measures.classes if c.f1] == pytest.approx(f1)
    assert [c.support for c in measures.classes] == list(support)
    confusion = np.zeros((4, 4), int)
    for true, said_place, count in measures.confusion:
        confusion[true, said_place] = count
    np.testing.assert_array_equal(confusion, metrics.confusion_matrix(truth, said))


def test_every_interval_holds_its_figure_and_names_its_method() -> None:
    measures = measure(random_predictions(120))
    figures = [measures.accuracy, measures.balanced_accuracy, measures.macro_f1, measures.log_loss]
    figures += [part for c in measures.classes for part in (c.precision, c.recall, c.f1) if part]
    assert all(found.low < found.value < found.high for found in figures)
    assert {found.method for found in figures} == {
        "Wilson",
        "Wilson, combined by MOVER",
        "bootstrap (BCa)",
        "Wilson on hits among hits, false alarms and misses",
    }


def test_without_a_mistake_the_intervals_still_leave_room() -> None:
    measures = measure(predictions([0, 1] * 10, np.tile(np.eye(2) * 0.98 + 0.01, (10, 1))))
    assert measures.mistakes == ()
    for found in (measures.accuracy, measures.balanced_accuracy, measures.macro_f1):
        assert found.value == 1
        assert 0.75 < found.low < 0.95


def test_groups_widen_the_intervals() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(rng.integers(2, size=30), 6)
    wrong = np.repeat(rng.random(30) < 0.3, 6)
    scores = np.where((truth ^ wrong)[:, None] == np.arange(2), 0.9, 0.1)
    alone = measure(predictions(list(truth), scores))
    grouped = measure(predictions(list(truth), scores, groups=[str(i // 6) for i in range(180)]))
    assert grouped.groups == 30
    assert grouped.accuracy.value == alone.accuracy.value
    assert grouped.accuracy.high - grouped.accuracy.low > 2 * (alone.accuracy.high - alone.accuracy.low)
    assert grouped.accuracy.method == "Wilson at the effective sample size"
    assert grouped.log_loss.method == "bootstrap over groups (BCa)"


def test_labels_that_do_not_occur_have_no_recall_and_do_not_count() -> None:
    measures = measure(predictions([0, 0, 1, 1], np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]])))
    third = measures.classes[2]
    assert (third.support, third.said, third.recall) == (0, 1, None)
    assert third.precision is not None
    assert measures.balanced_accuracy.value == 0.75
    assert measures.macro_f1.value == pytest.approx((2 / 3 + 1) / 2)


def test_the_surest_mistakes_come_first() -> None:
    scores = np.array([[0.9, 0.1], [0.45, 0.55], [0.05, 0.95]])
    found = measure(predictions([1, 0, 1], scores)).mistakes
    assert [(mistake.name, mistake.truth, mistake.said) for mistake in found] == [("0.png", ("b",), "a"), ("1.png", ("a",), "b")]
    assert found[0].score == pytest.approx(0.9)
    assert found[0].truth_score == pytest.approx(0.1)


def test_scores_of_cross_validation_are_named_as_such() -> None:
    source = "5-fold cross-validation on training data"
    assert measure(predictions([0, 1], np.array([[0.9, 0.1], [0.3, 0.7]]), source=source)).source == source


def test_scores_that_are_no_numbers_and_sets_that_do_not_fit_are_refused() -> None:
    with pytest.raises(Conflict, match="1 of 2 examples have scores that are no numbers"):
        measure(predictions([0, 1], np.array([[np.nan, 0.1], [0.3, 0.7]])))
    with pytest.raises(Conflict, match="do not fit"):
        measure(predictions([0, 1], np.array([[0.9, 0.1], [0.3, 0.7]])), sets={0.9: np.ones((3, 2), bool)})


def multi_label(n: int = 60) -> Predictions:
    rng = np.random.default_rng(0)
    truth = rng.random((n, 3)) < 0.4
    truth[:, 0] |= ~truth.any(axis=1)
    scores = np.clip(np.round(0.25 + 0.5 * truth + 0.3 * rng.normal(size=truth.shape), 2), 0.01, 0.99).astype(np.float32)
    labels = ("cat", "dog", "owl")
    examples = [Example(f"{i}", tuple(np.array(labels)[row]), f"{i}.png") for i, row in enumerate(truth)]
    return Predictions.of(labels, examples, scores, multi_label=True)


def test_with_several_labels_the_figures_are_those_of_scikit_learn() -> None:
    found = multi_label()
    measures, said = measure(found), found.scores >= 0.5
    assert measures.mean_average_precision is not None
    assert measures.mean_average_precision.value == pytest.approx(
        metrics.average_precision_score(found.truth, found.scores, average="macro")
    )
    assert measures.mean_average_precision.low < measures.mean_average_precision.value < measures.mean_average_precision.high
    assert measures.accuracy.value == pytest.approx(metrics.accuracy_score(found.truth, said))
    assert [c.f1.value for c in measures.classes if c.f1] == pytest.approx(metrics.f1_score(found.truth, said, average=None))
    assert measures.confusion == ()
    assert any(mistake.said.startswith("not ") for mistake in measures.mistakes)


def test_average_precision_of_equal_scores_does_not_depend_on_their_order() -> None:
    truth, scores = np.array([[True], [False], [True], [False]]), np.array([[0.5], [0.5], [0.5], [0.1]], np.float32)
    assert average_precision(scores, truth) == average_precision(scores[::-1], truth[::-1]) == pytest.approx([2 / 3])
