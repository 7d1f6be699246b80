"""Support vector machines and a deep belief network: they learn, and what is sealed answers as scikit-learn would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC

from mingmu import verbs
from mingmu.core.errors import BadRequest
from mingmu.core.pixels import encode_png
from mingmu.core.runtime import SCORES, OnnxRuntime
from mingmu.evaluate.measure import Measures
from mingmu.registry.store import Store
from mingmu.train import dbn, svm
from mingmu.train.export import whole_model
from mingmu.train.features import seen, standardised
from mingmu.train.feed import Feed, Photos
from mingmu.train.fit import fit
from mingmu.train.nets import build
from mingmu.train.nets.classifier import Classifier
from mingmu.train.recipe import Recipe
from tests.train import made

SIZE = 32
NONE = Photos(np.zeros((0, SIZE, SIZE, 3), np.uint8), np.zeros(0, np.int64))


GRAPHS = [("svm_linear", "pixels"), ("svm_rbf", "pixels"), pytest.param("svm_rbf", "general", marks=pytest.mark.real)]


def recipe(name: str, features: str = "pixels", **tables: object) -> Recipe:
    return made.recipe(net={"name": name, "features": features, "size": SIZE}, **tables)


def new(name: str, features: str = "pixels", classes: int = 3) -> Classifier:
    return build(recipe(name, features).net, SIZE, classes)[0]


def three(count: int, seed: int = 0) -> Photos:
    """Pictures of three kinds that are hard to tell apart: a little redder, bluer and greener, in much noise."""
    random = np.random.default_rng(seed)
    classes = np.arange(count, dtype=np.int64) % 3
    colours = np.array([(140, 100, 100), (100, 100, 140), (100, 140, 100)])
    cast = random.normal(0, 25, (count, 1, 1, 3))
    noise = random.normal(0, 60, (count, SIZE, SIZE, 3))
    return Photos(np.clip(colours[classes][:, None, None] + cast + noise, 0, 255).astype(np.uint8), classes)


@pytest.mark.parametrize(("name", "features"), GRAPHS)
def test_what_is_sealed_answers_as_scikit_learn_does(name: str, features: str) -> None:
    net, photos, held_out = new(name, features), three(45), three(30, seed=1)
    found = svm.learn(net, photos, held_out, recipe(name, features), SIZE)
    exported = whole_model(net, held_out.pixels[:2], held_out)

    raw = new(name, features)
    known, asked = standardised(raw, photos, SIZE).double().numpy(), seen(raw, held_out, SIZE).double().numpy()
    scale = known.shape[1] ** (0.5 if found.gamma is None else 0)  # the linear kernel is a mean of products
    kernel = {"kernel": "linear"} if found.gamma is None else {"kernel": "rbf", "gamma": found.gamma}
    theirs = OneVsRestClassifier(SVC(C=found.cost, **kernel)).fit(known / scale, photos.truth)
    decisions = theirs.decision_function(asked / scale)
    expected = torch.softmax(torch.from_numpy(decisions) / exported.temperature, dim=1).numpy()

    runtime = OnnxRuntime(exported.graph)
    scores = runtime(held_out.pixels, [SCORES])[SCORES]
    assert np.abs(scores - expected).max() < 1e-2  # both stop solving at a tolerance of 1e-3
    assert (scores.argmax(axis=1) == theirs.predict(asked / scale)).mean() > 0.96
    assert exported.difference < 1e-4


def test_the_setting_is_the_one_that_gets_most_held_out_photos_right_and_the_usual_one_of_equals() -> None:
    photos, held_out = made.photos(24, SIZE), made.photos(8, SIZE, seed=1)
    net = new("svm_rbf", classes=2)
    found = svm.learn(net, photos, held_out, recipe("svm_rbf"), SIZE)
    assert (found.right, found.cost, found.gamma) == (1.0, 1.0, 1 / (3 * SIZE**2))
    assert svm.learn(new("svm_rbf", classes=2), photos, NONE, recipe("svm_rbf"), SIZE).cost == 1.0


def test_when_the_time_is_up_no_more_settings_are_tried() -> None:
    photos, held_out = three(45), three(60, seed=1)
    whole, cut = (svm.learn(new("svm_rbf"), photos, held_out, recipe("svm_rbf"), SIZE, budget) for budget in (None, 0.0))
    assert (cut.cost, cut.gamma) == (1.0, 1 / (3 * SIZE**2))
    assert whole.right > cut.right


def test_rare_labels_count_more_where_a_recipe_balances() -> None:
    photos = three(60)
    rows = np.flatnonzero((photos.truth != 2) | (np.arange(60) < 12))
    rare, asked = Photos(photos.pixels[rows], photos.truth[rows]), three(60, seed=1)
    found = {}
    for balance in (0.0, 1.0):
        net = new("svm_linear")
        svm.learn(net, rare, NONE, recipe("svm_linear", balance=balance), SIZE)
        found[balance] = (whole_scores(net, asked).argmax(axis=1) == 2).sum()
    assert found[1.0] > found[0.0]


def whole_scores(net: Classifier, photos: Photos) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with torch.inference_mode():
        return np.asarray(net.eval()(torch.from_numpy(photos.pixels).permute(0, 3, 1, 2)).numpy(), np.float32)


def test_too_many_photos_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svm, "MOST", 20)
    with pytest.raises(BadRequest, match="svm_rbf compares each photo with each, and 24 are too many; the limit is 20"):
        svm.learn(new("svm_rbf", classes=2), made.photos(24, SIZE), NONE, recipe("svm_rbf"), SIZE)


def test_what_a_classical_head_reads_does_not_change_while_it_learns(tmp_path: Path) -> None:
    net, photos = new("dbn", "general", classes=2), made.photos(16, SIZE)
    dbn.pretrain(net, photos, SIZE, seed=0)
    trunk = {name: tensor.clone() for name, tensor in net.trunk.state_dict().items()}
    neck = {name: tensor.clone() for name, tensor in net.neck.state_dict().items()}
    settings = recipe("dbn", "general", schedule={"epochs": 6}, optimiser={"rate": 1e-2})
    curve = fit(net, Feed(photos, 8), photos, settings, tmp_path, size=SIZE)
    assert min(epoch.loss for epoch in curve) < curve[0].loss
    assert all(torch.equal(tensor, trunk[name]) for name, tensor in net.trunk.state_dict().items())
    assert not all(torch.equal(tensor, neck[name]) for name, tensor in net.neck.state_dict().items())


def test_another_normalisation_has_no_place_in_it() -> None:
    with pytest.raises(BadRequest, match="no place for group normalisation"):
        build(made.recipe(net={"name": "svm_linear", "norm": "group"}).net, SIZE, 2)


@pytest.mark.parametrize(("name", "features"), [("svm_linear", "pixels"), ("svm_rbf", "general"), ("dbn", "pixels")])
def test_it_is_trained_by_name_sealed_proven_and_served(name: str, features: str, tmp_path: Path) -> None:
    from starlette.testclient import TestClient

    from mingmu.serve.http import create_app
    from mingmu.settings import Settings

    store = Store(tmp_path / "data")
    steps: list[str] = []
    settings = recipe(name, features, schedule={"epochs": 6}, optimiser={"rate": 3e-3})
    photos = made.folder(tmp_path / "photos", 30)
    result = verbs.train(
        store, photos, name="colours", recipe=settings, epochs=6, seconds=300, progress=lambda step, share: steps.append(step)
    )
    manifest = store.artifact(result.version.digest).manifest
    measures = result.report.measures
    assert isinstance(measures, Measures)
    assert measures.accuracy.value > 0.9
    assert manifest.origin.licence == ("Apache-2.0" if features == "general" else "that of the photos it learned from")
    assert manifest.made_by["torch_to_artifact"] < 1e-4  # type: ignore[operator]
    assert ("cost" in manifest.made_by) == (name != "dbn")
    assert ("training without labels" in steps) == (name == "dbn")
    with TestClient(create_app(Settings(data_dir=store.data_dir, job_workers=0))) as client:
        picture = encode_png(made.photos(2, 20).pixels[1])
        answer = client.post("/v1/recognizers/colours/recognize", content=picture, headers={"Content-Type": "image/png"})
    assert answer.status_code == 200, answer.text
    assert "blue" in answer.text
