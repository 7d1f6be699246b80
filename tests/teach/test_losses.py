from __future__ import annotations

import numpy as np
import pytest

from mingmu.teach.losses import LOSSES


@pytest.mark.parametrize("name", LOSSES)
def test_slopes_are_those_of_the_loss(name: str) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(6, 4)).astype(np.float64)
    truth = np.eye(4, dtype=bool)[random.integers(0, 4, 6)]
    _, slopes = LOSSES[name](logits, truth)  # type: ignore[arg-type]  # in double precision, for the difference quotient
    for at in np.ndindex(logits.shape):
        step = np.zeros_like(logits)
        step[at] = 1e-6
        up, down = (LOSSES[name](logits + sign * step, truth)[0].sum() for sign in (1, -1))  # type: ignore[arg-type]
        assert (up - down) / 2e-6 == pytest.approx(slopes[at], abs=1e-4)
