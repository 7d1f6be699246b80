from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from mingmu.core.pixels import PixelSpec, encode_png
from mingmu.train.augment import OPERATIONS, Lots, augment, erased, mix_of
from mingmu.train.feed import roomy, served
from mingmu.train.recipe import AugmentTable
from tests.train import made

EVERYTHING = AugmentTable(crop=0.5, stretch=1.3, flip=0.5, rotation=20, colour=0.4, randaugment=2, erasing=0.5, mixup=0.2, cutmix=1.0)


def chance(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def lots(count: int, seed: int = 0) -> Lots:
    return Lots.of_all(chance(seed), count)


def pixels(count: int = 6, size: int = 16) -> Tensor:
    return torch.from_numpy(made.photos(count, size).pixels)


def test_a_table_that_asks_for_nothing_changes_nothing() -> None:
    found = augment(pixels(), 16, AugmentTable(), lots(6))
    assert torch.allclose(found, pixels().permute(0, 3, 1, 2).float(), atol=1e-3)


@pytest.mark.parametrize("fit", ["crop", "squash"])
@pytest.mark.parametrize("margin", [1.0, 0.8, 0.5])
def test_without_changes_what_teaches_looks_as_what_is_served(margin: float, fit: str) -> None:
    across, down = np.meshgrid(np.linspace(0, 6, 240), np.linspace(0, 4, 200))
    waves = np.stack([np.sin(across + 1) * np.cos(down), np.cos(across * down / 3), np.sin(down)], axis=2)
    picture = encode_png((127.5 + 120 * waves).astype(np.uint8))
    view = PixelSpec.model_validate({"size": 64, "margin": margin, "fit": fit, "filter": "bicubic"})
    with_room = torch.from_numpy(roomy(view).frame(picture).pixels[None].copy())
    taught = augment(with_room, 64, AugmentTable(), lots(1), served(view))
    expected = torch.from_numpy(view.frame(picture).pixels.copy()).permute(2, 0, 1).float()
    assert (taught[0] - expected).abs().mean() < 1


def test_the_same_chance_changes_alike_and_another_otherwise() -> None:
    one, same, other = (augment(pixels(), 12, EVERYTHING, lots(6, seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == (6, 3, 12, 12)


def test_a_picture_changes_alike_whoever_changes_it() -> None:
    whole = augment(pixels(), 12, EVERYTHING, lots(6))
    rows = torch.tensor([1, 4, 5])
    assert torch.allclose(augment(pixels()[rows], 12, EVERYTHING, Lots(chance(), 6, rows)), whole[rows], atol=1e-3)


def test_levels_stay_between_0_and_255() -> None:
    found = augment(pixels(64), 16, EVERYTHING, lots(64))
    assert found.min() >= 0
    assert found.max() <= 255


def test_a_flip_mirrors() -> None:
    found = augment(pixels(), 16, AugmentTable(flip=1.0), lots(6))
    assert torch.allclose(found.flip(3), pixels().permute(0, 3, 1, 2).float(), atol=1e-3)


def test_a_half_turn_turns_upside_down() -> None:
    ramp = torch.arange(16).view(1, 16, 1, 1).expand(200, 16, 16, 3).to(torch.uint8) * 10
    found = augment(ramp, 16, AugmentTable(rotation=180), lots(200))
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
    found = erased(planes, 1.0, lots(8))
    changed = (found != planes).all(dim=1).float().mean(dim=(1, 2))
    assert (changed > 0).all()
    assert (changed < 0.5).all()
    assert torch.equal(erased(planes, 0.0, lots(8)), planes)


@pytest.mark.parametrize("table", [AugmentTable(mixup=0.5), AugmentTable(cutmix=0.5)])
def test_a_mixed_target_says_how_much_of_each_picture_is_there(table: AugmentTable) -> None:
    classes = torch.arange(8) % 2
    planes = classes.float().view(-1, 1, 1, 1).expand(8, 3, 16, 16) * 255  # the level is the class
    targets = torch.nn.functional.one_hot(classes, 2).float()
    mix = mix_of(8, 16, table, chance(3))
    assert mix is not None
    rows, places = mix.needed(torch.arange(8))
    found, mixed = mix.of(planes[rows], targets[rows], places)
    assert torch.allclose(mixed.sum(dim=1), torch.ones(8))
    assert torch.allclose(found.mean(dim=(1, 2, 3)) / 255, mixed[:, 1], atol=1e-5)
    assert ((mixed[:, 1] > 0) & (mixed[:, 1] < 1)).any()
    rows, places = mix.needed(torch.tensor([2, 3]))
    assert torch.equal(mix.of(planes[rows], targets[rows], places)[0], found[2:4])


def test_a_table_without_mixing_mixes_nothing() -> None:
    assert mix_of(8, 16, AugmentTable(), chance()) is None
