from __future__ import annotations

import pytest
import torch
from torch import nn

from mingmu.core.errors import BadRequest
from mingmu.train.nets import build
from mingmu.train.nets.classifier import Classifier, Parts, pooling
from mingmu.train.prune import prune
from mingmu.train.recipe import NetTable

pytest.importorskip("torch_pruning", reason="torch-pruning is not installed (extra `train`): nothing is pruned")


@pytest.mark.parametrize("name", ["cnn", "resnet18", "mobilenet_v3_small", "vit_tiny"])
def test_a_pruned_network_multiplies_less_and_still_answers(name: str) -> None:
    net = build(NetTable(name=name), 32, 3)[0]
    before = sum(parameter.numel() for parameter in net.parameters())
    left = prune(net, 32, 0.5)
    assert 0.3 < left <= 0.5
    assert sum(parameter.numel() for parameter in net.parameters()) < before
    assert net.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


def test_the_weakest_channels_go_first() -> None:
    conv = nn.Conv2d(3, 16, 3, padding=1)
    with torch.no_grad():
        conv.weight[8:] *= 1e-3
    strong = conv.weight[:8].clone()
    net = Classifier(Parts(nn.Sequential(conv, nn.ReLU()), pooling(), 16, pools=True), 2)
    prune(net, 16, 0.55)
    assert torch.equal(conv.weight, strong)
    assert net.head.in_features == 8


def test_what_cannot_be_pruned_so_far_is_refused() -> None:
    net = Classifier(Parts(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), pooling(), 8, pools=True), 2)
    with pytest.raises(BadRequest, match=r"at best; ask for --keep 1\.00"):
        prune(net, 16, 0.1)
