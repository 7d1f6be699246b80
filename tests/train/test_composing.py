from __future__ import annotations

import torch
from torch import Generator, Tensor

from mingmu.train.composing import composed
from mingmu.train.recipe import AugmentTable

SIZE = 64


def _photos(count: int = 6) -> tuple[Tensor, Tensor]:
    """Black photos, each with one white rectangle, and its box; and one row of no box."""
    pixels, truth = torch.zeros(count, SIZE, SIZE, 3, dtype=torch.uint8), torch.full((count, 2, 5), -1.0)
    for row in range(count):
        left, top = 6 + 3 * row, 12 + row
        pixels[row, top : top + 20, left : left + 28] = 255
        truth[row, 0] = torch.tensor([row % 2, left, top, left + 28, top + 20])
    return pixels, truth


def _chance(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_nothing_changes_where_nothing_is_asked_for() -> None:
    pixels, truth = _photos()
    planes, boxes = composed(pixels, truth, AugmentTable(), 0.0, _chance())
    torch.testing.assert_close(planes, pixels.permute(0, 3, 1, 2).float(), atol=0.01, rtol=0)
    torch.testing.assert_close(boxes[:, 0], truth[:, 0], atol=1e-3, rtol=0)
    assert (boxes[:, 1, 0] == -1).all()


def test_boxes_go_where_the_things_go() -> None:
    pixels, truth = _photos()
    table = AugmentTable(flip=0.5, zoom=1.5, stretch=1.2)
    for seed, mosaic in ((1, 0.0), (2, 1.0), (3, 0.5)):
        planes, boxes = composed(pixels, truth, table, mosaic, _chance(seed))
        white = planes[:, 0] > 185
        for row in range(len(planes)):
            seen = torch.zeros(SIZE, SIZE, dtype=torch.bool)
            for kind, left, top, right, bottom in boxes[row].tolist():
                if kind >= 0:
                    inner = white[row, round(top) + 1 : round(bottom) - 1, round(left) + 1 : round(right) - 1]
                    assert inner.float().mean() > 0.9
                    seen[max(0, round(top) - 1) : round(bottom) + 1, max(0, round(left) - 1) : round(right) + 1] = True
            assert (white[row] & ~seen).float().mean() < 0.05  # what is left of things of which little is seen


def test_a_mosaic_has_things_of_several_photos() -> None:
    pixels, truth = _photos()
    _, single = composed(pixels, truth, AugmentTable(), 0.0, _chance())
    _, boxes = composed(pixels, truth, AugmentTable(zoom=1.5), 1.0, _chance())
    assert (boxes[..., 0] >= 0).sum() > (single[..., 0] >= 0).sum()


def test_the_same_chance_changes_photos_in_the_same_way() -> None:
    pixels, truth = _photos()
    table = AugmentTable(flip=0.5, zoom=1.5, colour=0.3)
    one, other, third = (composed(pixels, truth, table, 0.5, _chance(seed)) for seed in (4, 4, 5))
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert not torch.equal(one[0], third[0])


def test_boxes_stay_in_the_frame_and_keep_a_size() -> None:
    pixels, truth = _photos()
    for seed in range(5):
        _, boxes = composed(pixels, truth, AugmentTable(zoom=3.0, stretch=1.5), 0.5, _chance(seed))
        real = boxes[boxes[..., 0] >= 0][:, 1:]
        assert real.min() >= 0
        assert real.max() <= SIZE
        assert (real[:, 2:] - real[:, :2] >= 2).all()
