from __future__ import annotations

import pytest
import torch
from torch import nn

from mingmu.core.errors import BadRequest
from mingmu.train.nets import build
from mingmu.train.nets.classifier import Classifier, Parts, pooling
from mingmu.train.prune import prune
from mingmu.train.recipe import NetTable
from tests.train import made

pytest.importorskip("torch_pruning", reason="torch-pruning is not installed (extra `train`): nothing is pruned")

PHOTOS = made.photos(16, 32)


@pytest.mark.parametrize("name", ["cnn", "resnet18", "mobilenet_v3_small", "vit_tiny"])
def test_a_pruned_network_multiplies_less_and_still_answers(name: str) -> None:
    net = build(NetTable(name=name), 32, 3)[0]
    before = sum(parameter.numel() for parameter in net.parameters())
    left = prune(net, PHOTOS, 32, 0.5)
    assert 0.3 < left <= 0.5
    assert sum(parameter.numel() for parameter in net.parameters()) < before
    assert net.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


def _net(conv: nn.Conv2d) -> Classifier:
    return Classifier(Parts(nn.Sequential(conv, nn.ReLU()), pooling(), conv.out_channels, pools=True), 2)


def test_the_weakest_channels_go_first() -> None:
    conv = nn.Conv2d(3, 16, 3, padding=1, bias=False)
    with torch.no_grad():
        conv.weight[8:] *= 1e-3
    strong = conv.weight[:8].clone()
    net = _net(conv)
    prune(net, PHOTOS, 16, 0.55)
    assert torch.equal(conv.weight, strong)
    assert net.head.in_features == 8


def test_what_no_answer_turns_on_goes_before_what_is_weak() -> None:
    conv = nn.Conv2d(3, 16, 3, padding=1, bias=False)
    net = _net(conv)
    with torch.no_grad():
        conv.weight[:8] *= 0.1
        net.head.weight[:, 8:] = 0  # nobody reads these
    read = conv.weight[:8].clone()
    prune(net, PHOTOS, 16, 0.55)
    assert torch.equal(conv.weight, read)


def test_channels_go_by_eights_so_that_one_that_is_weak_takes_no_strong_ones_along() -> None:
    first, second = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.Conv2d(16, 16, 3, padding=1, bias=False)
    with torch.no_grad():
        first.weight[3] = 0
        second.weight[8:] *= 1e-3
    net = Classifier(Parts(nn.Sequential(first, nn.ReLU(), second, nn.ReLU()), pooling(), 16, pools=True), 2)
    prune(net, PHOTOS, 16, 0.7)
    assert (first.out_channels, second.out_channels) == (16, 8)


def test_what_cannot_be_pruned_so_far_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"at best; ask for --keep 1\.00"):
        prune(_net(nn.Conv2d(3, 8, 3)), PHOTOS, 16, 0.1)
