"""Processes that train together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mingmu import verbs
from mingmu.core.errors import BadRequest
from mingmu.registry.store import Store
from mingmu.train import checkpoint
from mingmu.train.recipe import read
from mingmu.train.team import SharedNorm, Team
from tests.train import made

RECIPE = """
batch = 9
precision = "fp32"
[net]
name = "timm:test_resnet"
size = 32
[augment]
crop = 0.7
mixup = 0.2
[optimiser]
kind = "sgd"
rate = 0.002
[schedule]
epochs = 3
ema = 0.9
"""
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def learned(data: Path) -> dict[str, Tensor]:
    (folder,) = (data / "trained").iterdir()
    return checkpoint.load(folder)[0]


@pytest.mark.real
def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    photos = made.folder(tmp_path / "photos", 30)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)
    one = verbs.train(Store(tmp_path / "one"), photos, name="colours", recipe=read(str(recipe)))
    command = ["train", str(photos), "--name", "colours", "--recipe", str(recipe), "--json", "--data-dir", str(tmp_path / "two")]
    done = subprocess.run([*TORCHRUN, "-m", "mingmu", *command], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    two = json.loads(done.stdout)
    assert two["version"] == 1
    near = {"loss": 1e-3, "held_out_loss": 1e-2, "held_out_accuracy": 1e-3, "rate": 1e-3}  # averages over 8 photos magnify what was rounded
    for key, most in near.items():
        assert [epoch[key] for epoch in two["curve"]] == pytest.approx([getattr(epoch, key) for epoch in one.curve], rel=most), key
    alone, shared = (learned(tmp_path / name) for name in ("one", "two"))
    assert alone.keys() == shared.keys()
    for name, tensor in alone.items():
        torch.testing.assert_close(shared[name], tensor, rtol=1e-2, atol=1e-3, msg=lambda text, name=name: f"{name}: {text}")  # type: ignore[misc]


def test_a_batch_is_parted_into_shares_that_count_as_much_as_they_are_large() -> None:
    teams = [Team(rank, 4) for rank in range(4)]
    shares = [team.share(10) for team in teams]
    assert [at for share in shares for at in range(10)[share]] == [*range(10)]
    losses = range(10)
    means = [sum(losses[share]) / len(losses[share]) * team.weight(10) for team, share in zip(teams, shares, strict=True)]
    assert sum(means) / 4 == pytest.approx(4.5)
    Team(0, 4).check_batch(4)
    with pytest.raises(BadRequest, match="a batch of 3 photos has too few for 4 processes"):
        Team(0, 4).check_batch(3)


def test_a_shared_norm_of_one_process_is_batch_normalisation() -> None:
    torch.manual_seed(0)
    usual, shared = nn.BatchNorm2d(3), SharedNorm(3)
    for layer in (usual, shared):
        nn.init.constant_(layer.weight, 1.5)
        nn.init.constant_(layer.bias, 0.5)
    pictures = 3 + 2 * torch.randn(4, 3, 5, 5)
    theirs, ours = pictures.clone().requires_grad_(), pictures.clone().requires_grad_()
    for layer, seen in ((usual, theirs), (shared, ours)):
        layer(seen).square().sum().backward()
    torch.testing.assert_close(shared(pictures), usual(pictures))
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(shared.weight.grad, usual.weight.grad)
    torch.testing.assert_close(shared.state_dict(), usual.state_dict())
    torch.testing.assert_close(shared.eval()(pictures), usual.eval()(pictures))
