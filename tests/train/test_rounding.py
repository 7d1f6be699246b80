from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mingmu.compress.quantize import quantize
from mingmu.core.runtime import OnnxRuntime
from mingmu.train.export import whole_model
from mingmu.train.feed import Feed, Photos
from mingmu.train.fit import fit
from mingmu.train.nets import build
from mingmu.train.nets.classifier import Classifier
from mingmu.train.prediction import predict
from mingmu.train.rounding import RoundedInputs, RoundedWeights, rounding
from tests.train import made

RECIPE = made.recipe(schedule={"epochs": 3, "ema": 0.5}, optimiser={"rate": 3e-3})


def net() -> Classifier:
    return build(RECIPE.net, 16, 2)[0]


def test_weights_have_255_levels_for_each_output_and_slopes_pass_through() -> None:
    weight = torch.randn(4, 3, 5, 5, requires_grad=True)
    rounded = RoundedWeights()(weight)
    levels = (rounded / (weight.abs().flatten(1).amax(dim=1) / 127).view(-1, 1, 1, 1)).detach()
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert levels.abs().max() == pytest.approx(127, abs=1e-3)
    rounded.sum().backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.ones_like(weight))


def test_inputs_are_rounded_within_the_range_that_was_seen_while_learning() -> None:
    layer = RoundedInputs()
    values = torch.tensor([-1.0, 0.0, 0.3, 4.1])
    found = layer(values)
    assert found[1] == 0
    assert torch.allclose(found, values, atol=5.1 / 255)
    assert float(layer.eval()(torch.tensor([100.0]))) == pytest.approx(4.1, abs=5.1 / 255)


def test_the_int8_graph_computes_what_the_network_learned_to_compute(tmp_path: Path) -> None:
    photos, student = made.photos(12, seed=1), net()
    names = [*student.state_dict()]
    with rounding(student):
        curve = fit(student, made.feed(), made.photos(8, seed=2), RECIPE, tmp_path, size=16)
        expected = predict(student, photos).softmax(dim=1).numpy()
    assert curve[-1].loss < curve[0].loss
    assert sorted(student.state_dict()) == sorted(names)
    graph = quantize(whole_model(student, photos.pixels[:1]).graph, made.photos(24).pixels)
    found = np.concatenate([OnnxRuntime(graph)(frame[None], ("scores",))["scores"] for frame in photos.pixels])
    np.testing.assert_allclose(found, expected, atol=0.05)


def faint(count: int, seed: int = 0) -> Photos:
    """Much noise, with a cast of red or of blue, by turns."""
    random = np.random.default_rng(seed)
    classes = np.arange(count, dtype=np.int64) % 2
    casts = np.array([(8, 0, -8), (-8, 0, 8)])[classes][:, None, None]
    return Photos(np.clip(120 + casts + random.normal(0, 40, (count, 16, 16, 3)), 0, 255).astype(np.uint8), classes)


def loud(student: Classifier, times: float) -> None:
    """Make one channel so many times as loud, and what hears it as much deafer: only rounding changes what comes of it."""
    learned = student.state_dict()
    for name in ("trunk.0.1.weight", "trunk.0.1.bias"):
        learned[name][0] *= times
    learned["trunk.0.3.weight"][:, 0] /= times


def share_right(graph: bytes, photos: Photos) -> float:
    run = OnnxRuntime(graph)
    found = [run(frame[None], ("scores",))["scores"].argmax() for frame in photos.pixels]
    return float(np.mean(np.array(found) == photos.truth))


def test_a_network_that_fails_in_int8_learns_to_be_right_in_it(tmp_path: Path) -> None:
    student, taught, asked = net(), faint(48), faint(60, seed=1)
    recipe = made.recipe(schedule={"epochs": 6}, optimiser={"rate": 3e-3})
    fit(student, Feed(taught, 8), faint(16, seed=2), recipe, tmp_path, size=16)
    loud(student, 300.0)
    exact = whole_model(student, asked.pixels[:1]).graph
    assert share_right(exact, asked) > 0.95
    assert share_right(quantize(exact, taught.pixels), asked) < 0.7  # a channel takes all 256 levels, and the others have none
    with rounding(student):
        fit(student, Feed(taught, 8), faint(16, seed=2), recipe, tmp_path / "rounded", size=16)
    assert share_right(quantize(whole_model(student, asked.pixels[:1]).graph, taught.pixels), asked) > 0.8
