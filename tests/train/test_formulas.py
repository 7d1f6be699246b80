"""The formulas of docs/training.md, as written there, against torch's layers."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

PAGE = Path(__file__).resolve().parents[2] / "docs/training.md"
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def formulas() -> dict[str, Callable[..., Any]]:
    written: dict[str, Any] = {"np": np}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, written)  # noqa: S102 - our own page
    return written


def values(*shape: int) -> tuple[np.ndarray, torch.Tensor]:
    found = RANDOM.normal(size=shape)
    return found, torch.from_numpy(found)


@pytest.mark.parametrize(("k", "step", "border"), [(3, 1, 1), (3, 2, 1), (5, 2, 0), (1, 1, 0)])
def test_convolution(formulas: dict[str, Callable[..., Any]], k: int, step: int, border: int) -> None:
    (x, x_), (w, w_), (b, b_) = values(3, 11, 9), values(4, 3, k, k), values(4)
    ours, theirs = formulas["convolution"](x, w, b, step, border), functional.conv2d(x_[None], w_, b_, step, border)[0].numpy()
    assert ours.shape == theirs.shape == (4, *((side + 2 * border - k) // step + 1 for side in (11, 9)))
    assert np.allclose(ours, theirs)


@pytest.mark.parametrize(("k", "step"), [(2, 2), (3, 2), (3, 1)])
def test_max_and_average_pooling(formulas: dict[str, Callable[..., Any]], k: int, step: int) -> None:
    x, x_ = values(3, 11, 9)
    assert np.allclose(formulas["max_pooling"](x, k, step), functional.max_pool2d(x_[None], k, step)[0].numpy())
    assert np.allclose(formulas["average_pooling"](x, k, step), functional.avg_pool2d(x_[None], k, step)[0].numpy())


def test_global_average_pooling(formulas: dict[str, Callable[..., Any]]) -> None:
    x, x_ = values(3, 7, 7)
    assert np.allclose(formulas["average_pooling"](x, 7, 1), functional.adaptive_avg_pool2d(x_[None], 1)[0].numpy())


def test_fully_connected_layer_and_softmax(formulas: dict[str, Callable[..., Any]]) -> None:
    (x, x_), (w, w_), (b, b_) = values(6), values(4, 6), values(4)
    found = formulas["fully_connected"](x, w, b)
    assert np.allclose(found, functional.linear(x_, w_, b_).numpy())
    assert np.allclose(formulas["softmax"](found, 1.7), (torch.from_numpy(found) / 1.7).softmax(dim=0).numpy())


def test_the_small_network_is_the_one_that_the_page_describes() -> None:
    from mingmu.train.nets.cnn import build

    parts = build()
    map_ = parts.trunk(torch.zeros(2, 3, 64, 64))
    assert map_.shape == (2, 256, 4, 4)  # four blocks, each of which halves the rows and columns
    assert parts.neck(map_).shape == (2, 256)
