"""Which view of the photos is taken, from files to a sealed head."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mingmu import verbs
from mingmu.core.pixels import PixelSpec, encode_png
from mingmu.data.dataset import Dataset, Example
from mingmu.evaluate.measure import Measures
from mingmu.evaluate.thumbnails import thumbnail
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.teach.teach import Options, teach
from tests import tiny
from tests.teach.photos import Memory, extractor
from tests.test_teaching import draw


def at_one_end(blobs: Memory, per_class: int) -> Dataset:
    """Noisy pictures three times as wide as high; only their left third says what they are."""
    random = np.random.default_rng(0)
    examples = []
    for number, label in enumerate(tiny.LABELS):
        for i in range(per_class):
            picture = random.integers(0, 160, (16, 48, 3), dtype=np.uint8)
            picture[:, :16, number] += 90
            examples.append(Example(blobs.put(encode_png(picture)), (label,), f"{label}/{i}.png"))
    return Dataset.of(examples)


def test_wide_photos_are_looked_at_whole_where_their_ends_matter(tmp_path: Path) -> None:
    blobs = Memory()
    taught = teach(at_one_end(blobs, 30), extractor(tmp_path, blobs, PixelSpec(size=(8, 8))))
    assert taught.pixels.fit in ("squash", "letterbox")
    assert taught.held_out is not None
    assert (taught.held_out.argmax(axis=1) == taught.classes).mean() > 0.9


def test_a_letterboxed_head_on_a_squashing_backbone_is_proven_measured_and_explained(data_dir: Path, tmp_path: Path) -> None:
    store, view = Store(data_dir), PixelSpec(size=(8, 8), fit="letterbox")
    photos = draw(tmp_path / "photos", 12)
    version = verbs.teach(store, photos, name="colours", backbone="tiny", options=Options(view=view)).version
    recognizer = Library(store).open(version.digest)
    recognizer.prove()
    assert recognizer.manifest.pixels == view
    measures = verbs.evaluate(store, "colours", draw(tmp_path / "fresh", 4, seed=3)).measures
    assert isinstance(measures, Measures)
    assert measures.lost == 0
    assert thumbnail((photos / "red" / "0.png").read_bytes(), recognizer, "red").saliency
