from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mingmu.core.errors import BadRequest
from mingmu.serve.tensors import bytes_in

ALL = np.arange(256, dtype=np.uint8).reshape(2, 64, 2)


@pytest.mark.parametrize("values", [ALL.tolist(), ALL.astype(float).tolist(), [[[0, 1.0]]], [], [[], []]])
def test_nested_lists_give_their_shape_and_bytes(values: Any) -> None:
    wanted = np.array(values, np.uint8)
    assert bytes_in(values, "data") == ([*wanted.shape], wanted.tobytes())


@pytest.mark.parametrize("value", [-1, 256, 2**63, -(2**63), 0.5, 255.5, -0.1, 1e300, float("inf"), True, "1", None, [1], {"a": 1}])
def test_what_is_no_byte_is_refused(value: object) -> None:
    with pytest.raises(BadRequest, match="whole numbers from 0 to 255"):
        bytes_in([1, value], "data")


@pytest.mark.parametrize("values", [[[1], [1, 2]], [[1], 2], [[1], "a"], [[[1]], [1]]])
def test_ragged_lists_are_refused(values: Any) -> None:
    with pytest.raises(BadRequest, match=r"data is ragged|whole numbers"):
        bytes_in(values, "data")
