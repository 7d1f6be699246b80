from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mingmu.core.artifact import Artifact
from mingmu.core.errors import BadRequest
from mingmu.core.recognizer import Recognizer
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.train import checkpoint
from mingmu.train.distil import Distilled, Shown, Teacher, softened
from mingmu.train.fit import fit
from mingmu.train.nets import build
from mingmu.train.nets.classifier import Classifier
from mingmu.train.prediction import predict
from mingmu.train.recipe import DistilTable
from tests.train import made

RECIPE = made.recipe(schedule={"epochs": 8}, optimiser={"rate": 3e-3})


def contrary(pixels: Tensor) -> Shown:
    """A teacher that is sure of the opposite: blue where it is red; and whose features are the mean colours."""
    colours = pixels.mean(dim=(2, 3))
    red = (colours[:, 0] > colours[:, 2]).float()
    scores = torch.stack([1 - red, red], dim=1).clamp(0.02, 0.98)
    return Shown(scores, colours - 128)


def learned(table: DistilTable, folder: Path, shown: int = 0) -> tuple[Classifier, Distilled]:
    torch.manual_seed(0)
    net = build(RECIPE.net, 16, 2)[0]
    objective = Distilled(contrary, table, net.head.in_features, shown)
    fit(net, made.feed(), made.photos(0), RECIPE, folder, size=16, objective=objective)
    return net, objective


def test_a_student_believes_its_teacher_and_not_the_labels_when_the_recipe_says_so(tmp_path: Path) -> None:
    photos = made.photos(12, seed=1)
    for share, agrees in ((1.0, 0.0), (0.0, 1.0)):
        net, _ = learned(DistilTable(teacher="contrary", share=share), tmp_path / str(share))
        said = predict(net, photos).argmax(dim=1).numpy()
        assert np.mean(said == photos.truth) == pytest.approx(agrees, abs=0.2)


def test_a_student_comes_to_see_what_its_teacher_sees_and_the_projection_is_in_the_checkpoint(tmp_path: Path) -> None:
    net, objective = learned(DistilTable(teacher="contrary", features=2.0), tmp_path, shown=3)
    pixels = torch.from_numpy(made.photos(8, seed=1).pixels.copy()).permute(0, 3, 1, 2).float()
    assert objective.projection is not None
    with torch.inference_mode():
        near = functional.cosine_similarity(objective.projection(net.eval().features(pixels)), pixels.mean(dim=(2, 3)) - 128)
    assert near.min() > 0.9
    assert "objective/projection.weight" in checkpoint.load(tmp_path)[0]


def test_what_softened_scores_cost_is_nothing_for_equal_ones_and_keeps_the_size_of_its_slopes() -> None:
    logits = torch.tensor([[2.0, 0.5, -1.0], [0.1, 0.0, 0.3]], dtype=torch.double)
    assert float(softened(logits, logits.softmax(dim=1), 3.0)) == pytest.approx(0, abs=1e-12)
    scores = torch.tensor([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3]], dtype=torch.double)
    slopes: list[Tensor] = []
    for temperature in (100.0, 200.0):  # Hinton and others, equation 4: hot enough, slopes depend on the temperature no more
        asked = logits.clone().requires_grad_()
        slopes += torch.autograd.grad(softened(asked, scores, temperature), asked)
    assert torch.allclose(slopes[0], slopes[1], rtol=0.02)


def recognizer_in(folder: Path) -> Recognizer:
    from mingmu.core.manifest import Manifest, Origin
    from mingmu.core.pixels import PixelSpec
    from mingmu.core.sealing import seal_network
    from mingmu.train.export import whole_model

    torch.manual_seed(0)
    net = build(RECIPE.net, 16, 3)[0]
    graph = whole_model(net, np.zeros((1, 16, 16, 3), np.uint8)).graph
    pixels, origin = PixelSpec(size=(16, 16)), Origin(source="drawn by lot", licence="none")
    manifest = Manifest(kind="model", name="wise", task="classify", pixels=pixels, labels=("green", "blue", "red"), origin=origin)

    def build_in(place: Path) -> Artifact:
        return seal_network(place, manifest, graph)

    store = Store(folder)
    return Library(store).open(store.add(build_in).digest)


def test_a_sealed_recognizer_teaches_by_the_labels_that_its_student_has_at_any_size(tmp_path: Path) -> None:
    recognizer = recognizer_in(tmp_path)
    teacher = Teacher.of(recognizer, ("red", "blue"), DistilTable(teacher="wise"))
    pixels = torch.from_numpy(made.photos(4).pixels.copy()).permute(0, 3, 1, 2).float()
    whole = recognizer.network.runtime(made.photos(4).pixels, ("scores",))["scores"]
    expected = whole[:, [2, 1]] / whole[:, [2, 1]].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(teacher(pixels).scores.numpy(), expected, rtol=1e-5)
    larger = functional.interpolate(pixels, scale_factor=2.0)
    np.testing.assert_allclose(teacher(larger).scores.numpy(), expected, atol=0.2)


def test_a_teacher_that_cannot_teach_this_is_refused(tmp_path: Path) -> None:
    recognizer = recognizer_in(tmp_path)
    with pytest.raises(BadRequest, match="does not know: yellow"):
        Teacher.of(recognizer, ("red", "yellow"), DistilTable(teacher="wise"))
    with pytest.raises(BadRequest, match="shows no features"):
        Teacher.of(recognizer, ("red", "blue"), DistilTable(teacher="wise", features=1.0))
