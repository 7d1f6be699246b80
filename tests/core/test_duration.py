from __future__ import annotations

import pytest

from mingmu.core.duration import seconds_in


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), (".5s", 0.5), ("10m", 600), ("2m30s", 150), ("1h5m", 3900), ("1.5h", 5400), ("1h0m2s", 3602)],
)
def test_a_time_is_hours_minutes_and_seconds(text: str, seconds: float) -> None:
    assert seconds_in(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "soon", "0s", "0h0m", "-1s", "5m1h", "1m2m", "1 h", "1e3s", "9999999s", "٣s"])
def test_what_says_no_time_takes_none(text: str) -> None:
    assert seconds_in(text) == 0
