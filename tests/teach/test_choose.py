from __future__ import annotations

from dataclasses import replace

import numpy as np

from mingmu.core.pixels import PixelSpec
from mingmu.teach.choose import Examples, choose_head, choose_view
from mingmu.teach.folds import fold_of


def examples(noise: float, *, extra: float = 0.0, seed: int = 0) -> Examples:
    """Two outputs: `features` tells three classes apart as well as the noise lets it; `more` only if `extra` is not 0."""
    random = np.random.default_rng(seed)
    classes = np.repeat(np.arange(3), 30)
    signal = np.eye(3, 6)[classes]
    values = {
        "features": (signal + noise * random.normal(size=(90, 6))).astype(np.float32),
        "more": (extra * signal + random.normal(size=(90, 6))).astype(np.float32),
    }
    fold = fold_of(classes, [str(i) for i in range(90)], seed)
    assert fold is not None
    return Examples(values, classes, 3, fold, 0.5)


def test_features_that_say_nothing_are_left_out_when_they_clearly_harm() -> None:
    deep = ("features", "more")
    assert choose_head(examples(0.4, extra=5.0), [deep, ("features",)]).outputs == deep
    assert choose_head(examples(0.05), [("more",), ("features",)]).outputs == ("features",)


def test_out_of_fold_logits_cover_every_example() -> None:
    choice = choose_head(examples(0.3), [("features",)])
    assert choice.trial.correct.mean() > 0.9
    assert (np.abs(choice.trial.logits).sum(axis=1) > 0).all()
    assert choice.trial.loss <= min(trial.loss for trial in choice.tried if len(trial.losses) == 90)


def test_more_pixels_are_paid_for_only_with_evidence() -> None:
    own = PixelSpec(size=(224, 224), margin=0.875)
    chosen, _ = choose_view(own, lambda view: examples(0.1 if view.size[0] > 224 else 0.6), lambda _share: None)
    assert (chosen.size, chosen.margin) == ((288, 288), 1.0)


def test_a_photo_is_cut_as_long_as_that_clearly_helps() -> None:
    own = PixelSpec(size=(224, 224), margin=0.875)
    noise = {1.0: 0.9, 0.8: 0.3, 0.65: 0.3}
    chosen, trials = choose_view(own, lambda view: examples(noise[view.margin]), lambda _share: None)
    assert (chosen.size, chosen.margin) == ((224, 224), 0.8)
    assert [trial.what for trial in trials] == [
        "224x224 pixels, margin 1",
        "224x224 pixels, margin 0.8",
        "224x224 pixels, margin 0.65",
        "288x288 pixels, margin 0.8",
    ]


def test_without_evidence_the_backbone_keeps_its_own_view() -> None:
    own = PixelSpec(size=(224, 224), margin=0.875)
    assert choose_view(own, lambda _view: None, lambda _share: None) == (own, ())


def test_with_few_photos_the_nearest_mean_is_among_the_candidates() -> None:
    few = examples(0.3)
    part = np.arange(90) % 30 < 5
    some = replace(few, values={name: rows[part] for name, rows in few.values.items()}, classes=few.classes[part], fold=few.fold[part])
    assert "prototype on features" in [trial.what for trial in choose_head(some, [("features",)]).tried]
    assert "prototype on features" not in [trial.what for trial in choose_head(few, [("features",)]).tried]


def test_of_all_forms_the_one_with_the_least_loss_wins() -> None:
    choice = choose_head(examples(0.5), [("features",)], ("prototype", "discriminant", "logistic", "svm"))
    assert {"prototype", "discriminant", "logistic", "svm"} == {trial.what.split()[0].strip(",") for trial in choice.tried}
    assert choice.trial.loss == min(trial.loss for trial in choice.tried if len(trial.losses) == 90)


def test_photos_that_the_crop_cuts_are_looked_at_whole_too_and_the_better_whole_view_is_taken() -> None:
    own = PixelSpec(size=(224, 224), margin=0.875)
    noise = {"crop": 0.9, "squash": 0.5, "letterbox": 0.2}
    chosen, trials = choose_view(own, lambda view: examples(noise[view.fit]), lambda _share: None, lost=0.5)
    assert (chosen.size, chosen.fit) == ((224, 224), "letterbox")
    assert [trial.what for trial in trials] == [
        "224x224 pixels, margin 1",
        "224x224 pixels, squash",
        "224x224 pixels, letterbox",
        "288x288 pixels, letterbox",
    ]


def test_a_crop_that_loses_nothing_that_matters_stays_a_crop() -> None:
    own = PixelSpec(size=(224, 224))
    noise = {"crop": 0.3, "squash": 0.5, "letterbox": 0.5}
    chosen, trials = choose_view(own, lambda view: examples(noise[view.fit]), lambda _share: None, lost=0.5)
    assert (chosen.size, chosen.fit) == ((224, 224), "crop")
    assert len(trials) == 5


def test_photos_that_are_nearly_square_cost_no_further_look() -> None:
    _, trials = choose_view(PixelSpec(size=(224, 224)), lambda _view: examples(0.3), lambda _share: None, lost=0.1)
    assert {trial.what.split(", ")[1] for trial in trials} == {"margin 1", "margin 0.8"}
