from __future__ import annotations

import pytest

from mingmu.core.errors import BadRequest, Conflict
from mingmu.core.manifest import EmbedSpec
from mingmu.tasks.verification import threshold_for

STRANGERS = EmbedSpec(mean=0.02, deviation=0.1, pairs=262, things=9)


def test_a_rarer_false_match_needs_more_likeness() -> None:
    found = [threshold_for(rate, STRANGERS) for rate in (0.1, 0.01, 0.001, 0.0001)]
    assert found == sorted(found)
    assert found[2] == pytest.approx(0.02 + 3.0902 * 0.1, abs=1e-3)  # the 99.9 % quantile of a normal distribution


@pytest.mark.parametrize("rate", [0, 1e-9, 0.5, 1, float("nan")])
def test_what_the_pairs_do_not_tell_is_refused(rate: float) -> None:
    with pytest.raises(BadRequest, match=r"between 1e-08 and 0.1"):
        threshold_for(rate, STRANGERS)


def test_a_network_without_figures_sets_no_threshold() -> None:
    with pytest.raises(Conflict, match="without how alike"):
        threshold_for(0.001, None)
