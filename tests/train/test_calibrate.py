from __future__ import annotations

import pytest
import torch

from mingmu.train.calibrate import temperature


def test_a_network_that_is_too_sure_is_cooled_down() -> None:
    chance = torch.Generator().manual_seed(0)
    honest = torch.randn(4000, 5, generator=chance)
    classes = torch.multinomial(honest.softmax(dim=1), 1, generator=chance)[:, 0]
    assert temperature(honest, classes) == pytest.approx(1, abs=0.08)
    assert temperature(3 * honest, classes) == pytest.approx(3, rel=0.08)
    assert temperature(honest / 2, classes) == pytest.approx(0.5, rel=0.08)


def test_few_photos_prove_little_and_none_nothing() -> None:
    right = torch.eye(3) * 2
    assert 0.3 < temperature(right, torch.arange(3)) < 1
    assert temperature(right[:0], torch.arange(0)) == 1
