from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mingmu.core.errors import Conflict
from mingmu.train import checkpoint
from mingmu.train.feed import Photos
from mingmu.train.fit import Diverged, fit
from mingmu.train.nets import build
from mingmu.train.nets.classifier import Classifier
from mingmu.train.recipe import Recipe
from mingmu.train.run import Epoch, Now
from tests.train import made

KILLED = made.recipe(batch=8, schedule={"epochs": 6, "ema": 0.9}, augment={"crop": 0.5, "mixup": 0.2})
NONE = Photos(np.zeros((0, 16, 16, 3), np.uint8), np.zeros(0, np.int64))


def net_of(recipe: Recipe) -> Classifier:
    torch.manual_seed(0)
    return build(recipe.net, 16, 2)[0]


def train(recipe: Recipe, folder: Path, **more: Any) -> tuple[Classifier, tuple[Epoch, ...]]:
    net = net_of(recipe)
    net.learned = more.pop("learned", False)
    held_out = more.pop("held_out", made.photos(8, seed=1))
    return net, fit(net, more.pop("feed", made.feed()), held_out, recipe, folder, size=16, **more)


def weights(net: Classifier) -> dict[str, Tensor]:
    return net.state_dict()


def same(one: Classifier, other: Classifier) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(one).values(), weights(other).values(), strict=True))


def stop_when(met: Callable[[Now], bool]) -> Callable[[Now], None]:
    def watch(now: Now) -> None:
        if met(now):
            raise KeyboardInterrupt

    return watch


def test_the_loss_falls_and_the_curve_says_so(tmp_path: Path) -> None:
    _, curve = train(made.recipe(schedule={"epochs": 10}), tmp_path)
    assert [epoch.number for epoch in curve] == [*range(1, 11)]
    assert curve[-1].loss < curve[0].loss
    assert curve[-1].held_out_accuracy == 1.0
    assert 0 <= curve[-1].waited <= 1
    assert curve[-1].images_per_second > 0


def test_the_same_seed_gives_the_same_weights_and_another_others(tmp_path: Path) -> None:
    recipe = made.recipe(augment={"crop": 0.5, "rotation": 20, "mixup": 0.2}, deterministic=True)
    one, same_seed = (train(recipe, tmp_path / name)[0] for name in "ab")
    other, _ = train(recipe.model_copy(update={"seed": 1}), tmp_path / "c")
    assert same(one, same_seed)
    assert not same(one, other)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_one_that_was_cut_short_goes_on_as_if_nothing_had_happened(tmp_path: Path, kind: str) -> None:
    tables = {"optimiser": {"kind": kind, "rate": 1e-2}, "schedule": {"epochs": 4, "ema": 0.9}, "augment": {"crop": 0.5, "colour": 0.3}}
    recipe = made.recipe(**tables, label_smoothing=0.1)
    whole, curve = train(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "cut", watch=stop_when(lambda now: now.last is not None and now.last.number == 3), save_every=0.0)
    assert len(checkpoint.load(tmp_path / "cut")[1]["curve"]) == 2  # the third was not saved yet
    resumed, again = train(recipe, tmp_path / "cut", resume=True)
    assert same(whole, resumed)
    assert [epoch.loss for epoch in again] == [epoch.loss for epoch in curve]


def test_it_goes_on_from_the_middle_of_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = made.recipe(schedule={"epochs": 2}, batch=8)
    whole, curve = train(recipe, tmp_path / "whole")
    monkeypatch.setattr("mingmu.train.fit.TELL_EVERY", 0.0)
    stop = stop_when(lambda now: now.last is not None and 0.7 < now.done < 0.9)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "cut", watch=stop, save_every=0.0)
    state = checkpoint.load(tmp_path / "cut")[1]
    assert state["step"] > 0
    resumed, again = train(recipe, tmp_path / "cut", resume=True)
    assert same(whole, resumed)
    assert again[-1].loss == curve[-1].loss


@pytest.mark.real
def test_one_that_was_killed_in_mid_epoch_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole, curve = train(KILLED, tmp_path / "whole", feed=made.feed(160))
    begin = "from tests.train.test_fit import *; train(KILLED, Path(sys.argv[1]), feed=made.feed(160), save_every=0.0)"
    alone = os.environ | {"OMP_NUM_THREADS": "1"}  # sums of as many threads as here round alike
    process = subprocess.Popen([sys.executable, "-c", begin, str(tmp_path / "cut")], cwd=Path(__file__).parents[2], env=alone)
    while not (tmp_path / "cut" / checkpoint.FILE).exists() or not 5 <= checkpoint.load(tmp_path / "cut")[1]["step"] <= 15:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not checkpoint.load(tmp_path / "cut")[1]["finished"]
    resumed, again = train(KILLED, tmp_path / "cut", feed=made.feed(160), resume=True)
    assert same(whole, resumed)
    assert [epoch.loss for epoch in again] == [epoch.loss for epoch in curve]


def test_what_was_trained_before_stays_until_there_is_a_checkpoint_of_what_takes_its_place(tmp_path: Path) -> None:
    before, _ = train(made.recipe(), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(made.recipe(seed=1), tmp_path, watch=stop_when(lambda now: True))
    kept = checkpoint.part_of(checkpoint.load(tmp_path)[0], "best/")
    assert all(torch.equal(tensor, kept[name]) for name, tensor in weights(before).items())
    after, _ = train(made.recipe(seed=1), tmp_path)
    kept = checkpoint.part_of(checkpoint.load(tmp_path)[0], "best/")
    assert all(torch.equal(tensor, kept[name]) for name, tensor in weights(after).items())


def test_short_epochs_do_not_each_write_a_checkpoint_but_the_last_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr("mingmu.train.checkpoint.save", lambda folder, tensors, state: written.append(state["epoch"]))
    train(made.recipe(schedule={"epochs": 5}), tmp_path)
    assert written == [5]
    written.clear()
    train(made.recipe(schedule={"epochs": 2}), tmp_path, save_every=0.0)
    assert {0, 1, 2} == {*written}


def test_a_network_that_has_learned_learns_on_as_one(tmp_path: Path) -> None:
    net, _ = train(made.recipe(), tmp_path)
    assert net.learned
    before = {name: tensor.clone() for name, tensor in weights(net).items()}
    fit(net, made.feed(), NONE, made.recipe(optimiser={"unfreeze": 1.0}), tmp_path / "more", size=16)
    first = next(name for name in before if name.startswith("trunk") and name.endswith("0.weight"))
    assert torch.equal(weights(net)[first], before[first])  # it stays frozen, as it does in a network that begins with weights
    assert not torch.equal(weights(net)["head.weight"], before["head.weight"])


def test_no_more_threads_are_used_than_the_machine_grants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("mingmu.train.fit.cpu_count", lambda: 2)
    torch.set_num_threads(3)
    used: list[int] = []
    train(made.recipe(schedule={"epochs": 1}), tmp_path / "granted", watch=lambda now: used.append(torch.get_num_threads()))
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    train(made.recipe(schedule={"epochs": 1}), tmp_path / "told", watch=lambda now: used.append(torch.get_num_threads()))
    assert (used[0], used[-1], torch.get_num_threads()) == (2, 3, 3)


def test_another_recipe_or_other_photos_do_not_go_on_from_it(tmp_path: Path) -> None:
    train(made.recipe(schedule={"epochs": 1}), tmp_path, identity="these")
    with pytest.raises(Conflict, match="another recipe or other photos"):
        train(made.recipe(schedule={"epochs": 1}), tmp_path, identity="those", resume=True)
    with pytest.raises(Conflict, match="no training"):
        train(made.recipe(), tmp_path / "elsewhere", resume=True)


def test_a_loss_that_is_no_number_stops_it_and_names_the_step(tmp_path: Path) -> None:
    recipe = made.recipe(optimiser={"kind": "sgd", "rate": 1e30, "weight_decay": 0.0})
    with pytest.raises(Diverged, match=r"no longer a number at step \d of epoch 1; lower optimiser.rate"):
        train(recipe, tmp_path)


@pytest.mark.parametrize("held_out", [8, 0])
def test_weights_that_are_no_numbers_after_the_last_update_stop_it_too(tmp_path: Path, held_out: int) -> None:
    recipe = made.recipe(optimiser={"kind": "sgd", "rate": 1e39, "weight_decay": 0.0}, schedule={"epochs": 1, "warmup": 0.0})
    with pytest.raises(Diverged, match=r"the weights are no longer numbers after epoch 1; lower optimiser\.rate"):
        train(recipe, tmp_path, feed=made.feed(8), held_out=made.photos(held_out, seed=1))


def test_the_best_epoch_is_what_remains_and_patience_ends_it(tmp_path: Path) -> None:
    recipe = made.recipe(schedule={"epochs": 30, "patience": 2})
    net, curve = train(recipe, tmp_path, held_out=Photos(made.photos(8).pixels, np.zeros(8, np.int64)))
    assert len(curve) < 30
    best = max(curve, key=lambda epoch: (epoch.held_out_accuracy, -(epoch.held_out_loss or 0)))
    assert best.number == len(curve) - 2
    saved = checkpoint.part_of(checkpoint.load(tmp_path)[0], "best/")
    assert all(torch.equal(tensor, saved[name]) for name, tensor in net.state_dict().items())


def test_a_budget_ends_it_in_time_and_the_rate_has_come_down(tmp_path: Path) -> None:
    _, curve = train(made.recipe(schedule={"epochs": 10_000}), tmp_path, budget=1.5)
    assert 1 <= len(curve) < 10_000
    assert curve[-1].rate < 0.35 * max(epoch.rate for epoch in curve)


def test_one_that_goes_on_keeps_to_the_time_that_it_was_given_unless_told_another(tmp_path: Path) -> None:
    recipe = made.recipe(schedule={"epochs": 10_000})
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path, budget=1.5, watch=stop_when(lambda now: now.epoch == 3), save_every=0.0)
    assert checkpoint.load(tmp_path)[1]["budget"] == 1.5
    _, curve = train(recipe, tmp_path, resume=True)
    assert 2 <= len(curve) < 10_000
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path, budget=60.0, watch=stop_when(lambda now: now.epoch == 3), save_every=0.0)
    _, curve = train(recipe, tmp_path, budget=0.1, resume=True)
    assert len(curve) <= 3


def test_one_that_goes_on_writes_no_epoch_twice_for_tensorboard(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(made.recipe(), tmp_path, watch=stop_when(lambda now: now.last is not None and now.last.number == 2), save_every=0.0)
    train(made.recipe(), tmp_path, resume=True)
    (file,) = (tmp_path / "events").iterdir()
    assert file.read_bytes().count(b"held_out_accuracy") == 3


def test_without_photos_held_out_the_last_epoch_remains(tmp_path: Path) -> None:
    _, curve = train(made.recipe(), tmp_path, held_out=NONE)
    assert curve[-1].held_out_accuracy is None


def test_gradients_of_several_batches_make_one_step(tmp_path: Path) -> None:
    train(made.recipe(optimiser={"accumulate": 3}, schedule={"epochs": 2}), tmp_path)
    assert checkpoint.load(tmp_path)[1]["updates"] == 2


def test_what_is_still_frozen_does_not_learn(tmp_path: Path) -> None:
    recipe = made.recipe(optimiser={"unfreeze": 1.0}, schedule={"epochs": 1})
    before = net_of(recipe).state_dict()
    first, head = next(name for name in before if name.startswith("trunk") and name.endswith("0.weight")), "head.weight"
    after, _ = train(recipe, tmp_path, learned=True)
    assert torch.equal(weights(after)[first], before[first])
    assert not torch.equal(weights(after)[head], before[head])


def test_nothing_is_frozen_or_slowed_in_a_network_that_starts_from_nothing(tmp_path: Path) -> None:
    slow = {"unfreeze": 1.0, "layer_decay": 0.1}
    plain, _ = train(made.recipe(schedule={"epochs": 1}, deterministic=True), tmp_path / "plain")
    slowed, _ = train(made.recipe(schedule={"epochs": 1}, deterministic=True, optimiser=slow), tmp_path / "slowed")
    assert same(plain, slowed)


def test_fp16_learns_and_goes_on_with_the_scale_of_its_gradients(tmp_path: Path) -> None:
    recipe = made.recipe(precision="fp16", schedule={"epochs": 2})
    whole, curve = train(recipe, tmp_path / "whole")
    assert curve[-1].loss < curve[0].loss
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "cut", watch=stop_when(lambda now: now.last is not None and now.last.number == 2), save_every=0.0)
    assert checkpoint.load(tmp_path / "cut")[1]["scaler"]["scale"] > 0
    resumed, _ = train(recipe, tmp_path / "cut", resume=True)
    assert same(whole, resumed)


def test_a_deep_network_from_nothing_is_right_after_a_short_training_too(tmp_path: Path) -> None:
    recipe = made.recipe(net={"name": "mobilenet_v3_small", "size": 32}, optimiser={"rate": 2e-3}, schedule={"epochs": 6})
    net = build(recipe.net, 32, 2)[0]
    curve = fit(net, made.feed(64, 32, 16), made.photos(16, 32, seed=1), recipe, tmp_path, size=32)
    assert curve[-1].held_out_accuracy == 1.0
