from __future__ import annotations

from pathlib import Path

import pytest

from mingmu.teach import calibrate
from mingmu.teach.choose import Examples, judge_head
from mingmu.teach.folds import fold_of
from mingmu.teach.heads import Kind
from mingmu.teach.teach import Options, teach
from tests.teach.photos import Memory, colours, extractor

KIND = Kind(0.6)


def test_a_taught_heads_temperature_is_foreseen_from_heads_that_learned_from_fewer_photos(tmp_path: Path) -> None:
    blobs = Memory()
    extract = extractor(tmp_path, blobs)
    taught = teach(colours(blobs, 20), extract, options=Options(effort="quick", head=(("features",), KIND)))
    values = extract(taught.pixels, taught.images).values
    fold, half = (fold_of(taught.classes, taught.images, 0, k) for k in (5, 2))
    assert fold is not None
    assert half is not None
    one, other = (
        calibrate.careful_temperature(
            judge_head(Examples(values, taught.classes, 3, held_out, 0.5), ("features",), KIND).trial.logits, taught.classes
        )
        for held_out in (fold, half)
    )
    assert taught.temperature != pytest.approx(one)
    assert taught.temperature == pytest.approx(calibrate.foreseen_temperature(one, fold, other, half))
