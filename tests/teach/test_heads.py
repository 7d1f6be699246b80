from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mingmu.teach.heads import Fitted, Kind, Lesson, judged
from mingmu.teach.truth import Floats, Ints

KINDS = [Kind(1.0), Kind(0.3), Kind(0.3, 1e-3), Kind(0.3, 1e-3, "svm")]


def clouds(per_class: int, *, width: int = 12, seed: int = 0, spread: float = 1.0) -> tuple[Floats, Ints]:
    """Three classes of points that differ in two quiet directions, and all share one loud one."""
    random = np.random.default_rng(seed)
    means = np.zeros((3, width))
    means[1, 0] = means[2, 1] = 4
    classes = np.repeat(np.arange(3), per_class)
    points = means[classes] + spread * random.normal(size=(3 * per_class, width))
    points[:, 2] += 30 * random.normal(size=len(points))
    return points.astype(np.float32), classes


@pytest.mark.parametrize("kind", KINDS[1:], ids=str)
def test_heads_look_past_a_loud_direction_that_says_nothing(kind: Kind) -> None:
    head = Lesson(*clouds(60), 3).fit(replace(kind, shrinkage=0.01))
    features, classes = clouds(60, seed=1)
    assert (head(features).argmax(axis=1) == classes).mean() > 0.95


def test_full_shrinkage_is_the_nearest_mean() -> None:
    features, classes = clouds(5)
    lesson = Lesson(features, classes, 3)
    distances = ((features[:, None] - lesson.means[None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(lesson.fit(Kind(1.0))(features).argmax(axis=1), distances.argmin(axis=1))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_turning_the_features_turns_the_head_with_them(kind: Kind) -> None:
    features, classes = clouds(6, width=15)  # 18 photos
    few = Lesson(features, classes, 3)
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(15, 15)))[0].astype(np.float32)
    turned = Lesson(features @ rotation, classes, 3)
    np.testing.assert_allclose(few.fit(kind)(features), turned.fit(kind)(features @ rotation), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_one_photo_per_class_is_enough_to_know_it_again(kind: Kind) -> None:
    features, classes = clouds(1, width=40)
    assert (Lesson(features, classes, 3).fit(kind)(features).argmax(axis=1) == classes).all()


def test_identical_photos_do_no_harm() -> None:
    features = np.repeat(np.eye(3, 5, dtype=np.float32), 4, axis=0)
    head = Lesson(features, np.repeat(np.arange(3), 4), 3).fit(Kind(0.1, 1e-3))
    assert np.isfinite(head(features)).all()


@pytest.mark.parametrize("penalty", [None, 1e-3])
def test_balance_favours_small_classes(penalty: float | None) -> None:
    random = np.random.default_rng(0)
    classes = np.repeat([0, 1], [400, 20])
    features = (random.normal(size=(420, 2)) + 1.5 * classes[:, None]).astype(np.float32)
    recalls = []
    for balance in (0.0, 0.5, 1.0):
        answers = Lesson(features, classes, 2, balance).fit(Kind(0.1, penalty))(features).argmax(axis=1)
        recalls.append((answers[classes == 1] == 1).mean())
    assert recalls == sorted(recalls)
    assert recalls[0] < recalls[2]


def test_the_discriminant_agrees_with_scikit_learn() -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    features, classes = clouds(40)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(features, classes).predict(features)
    ours = Lesson(features, classes, 3, balance=0.0).fit(Kind(0.3))(features).argmax(axis=1)
    assert (ours == theirs).mean() > 0.97


def test_the_support_vector_machine_agrees_with_scikit_learn() -> None:
    from sklearn.svm import LinearSVC

    features, classes = clouds(40, spread=2.0)
    quiet = np.delete(features, 2, axis=1)
    theirs = LinearSVC(C=1.0).fit(quiet, classes).predict(quiet)
    ours = Lesson(features, classes, 3, balance=0.0).fit(Kind(0.01, 1e-3, "svm"))(features).argmax(axis=1)
    assert (ours == theirs).mean() > 0.95


@pytest.mark.parametrize("fitted", ["logistic", "svm"])
def test_with_several_labels_each_logit_says_whether_its_label_is_there(fitted: Fitted) -> None:
    random = np.random.default_rng(0)
    truth = random.random((200, 3)) < 0.3
    features = (truth @ random.normal(size=(3, 8)) * 3 + random.normal(size=(200, 8))).astype(np.float32)
    head = Lesson(features, truth, 3).fit(Kind(0.1, 1e-3, fitted))
    assert ((head(features) > 0) == truth).mean() > 0.9


def test_a_class_without_an_example_gets_the_lowest_logit() -> None:
    features, classes = clouds(5)
    known = classes != 1
    logits = judged(Lesson(features[known], classes[known], 3), [Kind(0.3)], features)[0]
    np.testing.assert_array_equal(logits[:, 1], logits.min(axis=1))
