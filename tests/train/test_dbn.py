from __future__ import annotations

import itertools

import torch
from torch import Generator, Tensor

from mingmu.train import dbn
from mingmu.train.dbn import Machine
from mingmu.train.nets import build
from tests.train import made

PATTERNS = torch.tensor([[1.0, 1, 0, 0, 0], [0, 0, 0, 1, 1]])


def machine(real: bool = False) -> Machine:
    chance = Generator().manual_seed(0)
    return Machine(torch.randn(3, 5, generator=chance) * 0.01, torch.zeros(5), torch.zeros(3), real)


def log_likelihood(machine: Machine, seen: Tensor) -> float:
    """Exactly, with the hidden units summed out: log p(v) = -F(v) - log sum over all v of exp(-F), F the free energy."""

    def free(visible: Tensor) -> Tensor:
        return -visible @ machine.visible - torch.nn.functional.softplus(visible @ machine.weight.T + machine.hidden).sum(dim=1)

    everything = torch.tensor([*itertools.product((0.0, 1.0), repeat=5)])
    return float((-free(seen)).mean() - torch.logsumexp(-free(everything), dim=0))


def test_what_was_seen_becomes_likelier() -> None:
    seen = PATTERNS.repeat(100, 1)
    found = machine()
    before = log_likelihood(found, seen)
    errors = found.learn(seen, Generator().manual_seed(1))
    after = log_likelihood(found, seen)
    assert errors[-1] < errors[0]
    assert before < -3.4  # 5 log 2: it knows nothing
    assert after > -2.0  # log 2 is all that there is to know


def test_real_numbers_are_said_again_as_well() -> None:
    chance = Generator().manual_seed(0)
    seen = torch.randn(400, 1, generator=chance) * torch.tensor([[1.0, 1, 1, -1, -1]]) + 0.1 * torch.randn(400, 5, generator=chance)
    errors = machine(real=True).learn(seen, Generator().manual_seed(1))
    assert errors[-1] < 0.7 * errors[0]


def test_each_layer_learns_from_the_one_below_it_and_the_seed_decides() -> None:
    def learned(seed: int) -> tuple[list[tuple[float, ...]], dict[str, Tensor]]:
        net, _ = build(made.recipe(net={"name": "dbn", "features": "pixels"}).net, 16, 2)
        errors = dbn.pretrain(net, made.photos(64), 16, seed)
        return errors, net.neck.state_dict()

    (errors, one), (_, same), (_, other) = learned(0), learned(0), learned(1)
    assert len(errors) == 2
    assert all(of_layer[-1] < of_layer[0] for of_layer in errors)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
