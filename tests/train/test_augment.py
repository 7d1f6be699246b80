from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from mingmu.train.augment import OPERATIONS, augment, erased, mixed
from mingmu.train.recipe import AugmentTable
from tests.train import made

EVERYTHING = AugmentTable(crop=0.5, stretch=1.3, flip=0.5, rotation=20, colour=0.4, randaugment=2, erasing=0.5, mixup=0.2, cutmix=1.0)


def chance(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def pixels(count: int = 6, size: int = 16) -> Tensor:
    return torch.from_numpy(made.photos(count, size).pixels)


def test_a_table_that_asks_for_nothing_changes_nothing() -> None:
    found = augment(pixels(), 16, AugmentTable(), chance())
    assert torch.allclose(found, pixels().permute(0, 3, 1, 2).float(), atol=1e-3)


def test_the_same_chance_changes_alike_and_another_otherwise() -> None:
    one, same, other = (augment(pixels(), 12, EVERYTHING, chance(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == (6, 3, 12, 12)


def test_levels_stay_between_0_and_255() -> None:
    found = augment(pixels(64), 16, EVERYTHING, chance())
    assert found.min() >= 0
    assert found.max() <= 255


def test_a_flip_mirrors() -> None:
    found = augment(pixels(), 16, AugmentTable(flip=1.0), chance())
    assert torch.allclose(found.flip(3), pixels().permute(0, 3, 1, 2).float(), atol=1e-3)


def test_a_half_turn_turns_upside_down() -> None:
    ramp = torch.arange(16).view(1, 16, 1, 1).expand(200, 16, 16, 3).to(torch.uint8) * 10
    found = augment(ramp, 16, AugmentTable(rotation=180), chance())
    rising = found[:, 0, 15, 8] - found[:, 0, 0, 8]
    assert rising.min() < -100
    assert rising.max() > 100


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_keeps_the_shape_and_a_grey_picture_grey(name: str) -> None:
    planes = torch.full((3, 3, 16, 16), 100.0)
    found = OPERATIONS[name](planes, 0.5, torch.tensor([1.0, -1.0, 1.0]))
    assert found.shape == planes.shape
    assert torch.isfinite(found).all()
    assert torch.allclose(found[:, 0], found[:, 1])


def test_erasing_blanks_part_of_a_picture_with_its_mean() -> None:
    planes = torch.rand(8, 3, 16, 16, generator=chance()) * 255
    found = erased(planes, 1.0, chance())
    changed = (found != planes).all(dim=1).float().mean(dim=(1, 2))
    assert (changed > 0).all()
    assert (changed < 0.5).all()
    assert torch.equal(erased(planes, 0.0, chance()), planes)


@pytest.mark.parametrize("table", [AugmentTable(mixup=0.5), AugmentTable(cutmix=0.5)])
def test_a_mixed_target_says_how_much_of_each_picture_is_there(table: AugmentTable) -> None:
    classes = torch.arange(8) % 2
    planes = classes.float().view(-1, 1, 1, 1).expand(8, 3, 16, 16) * 255  # the level is the class
    found, targets = mixed(planes, torch.nn.functional.one_hot(classes, 2).float(), table, chance(3))
    assert torch.allclose(targets.sum(dim=1), torch.ones(8))
    assert torch.allclose(found.mean(dim=(1, 2, 3)) / 255, targets[:, 1], atol=1e-5)
    assert ((targets[:, 1] > 0) & (targets[:, 1] < 1)).any()
