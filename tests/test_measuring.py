"""Measuring and comparing on photos of which some taught the recognizer, on the tiny backbone."""

from __future__ import annotations

import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from mingmu import verbs
from mingmu.cli import main
from mingmu.core.pixels import PixelSpec, encode_png
from mingmu.evaluate import summary
from mingmu.evaluate.predictions import TEST, UNKNOWN
from mingmu.registry.bundle import pack, unpack
from mingmu.registry.store import Store
from mingmu.teach.teach import Options
from tests.test_teaching import COLOURS, draw

QUICK = Options(effort="quick")


@pytest.fixture
def store(data_dir: Path) -> Store:
    return Store(data_dir)


def scenes(folder: Path, count: int, *, seed: int) -> Path:
    """Blurred patterns, each with more of one colour, large enough that a recompressed one is known again."""
    random = np.random.default_rng(seed)
    for label, colour in COLOURS.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            noise = Image.fromarray(random.integers(0, 256, (12, 12), dtype=np.uint8)).resize((96, 96), Image.Resampling.BICUBIC)
            pixels = np.array(noise.filter(ImageFilter.GaussianBlur(1)))[..., None] * (np.array(colour) / 255)
            (folder / label / f"{number}.png").write_bytes(encode_png(pixels.astype(np.uint8)))
    return folder


def recompressed(photo: Path) -> bytes:
    file = BytesIO()
    Image.open(photo).save(file, "JPEG", quality=80)
    return file.getvalue()


def test_photos_that_taught_it_and_their_copies_are_left_out_and_counted(store: Store, tmp_path: Path) -> None:
    photos = scenes(tmp_path / "photos", 12, seed=0)
    verbs.teach(store, photos, name="colours", backbone="tiny", options=QUICK)
    mixed = scenes(tmp_path / "mixed", 4, seed=9)
    for label in COLOURS:
        shutil.copy(photos / label / "0.png", mixed / label / "same.png")
        (mixed / label / "copy.jpg").write_bytes(recompressed(photos / label / "1.png"))
    (mixed / "red" / "broken.png").write_bytes(b"no picture")
    measures = verbs.evaluate(store, "colours", mixed).measures
    assert (measures.examples, measures.left_out.learned) == (12, 6)
    assert [failure.name for failure in measures.left_out.unreadable] == ["red/broken.png"]
    said = summary.cautions(measures)
    assert "6 photos were left out: it learned from just these, or from copies of them." in said
    assert any("broken.png" in text for text in said)


def test_of_a_recognizer_from_elsewhere_it_is_not_claimed_that_the_photos_did_not_teach_it(store: Store, tmp_path: Path) -> None:
    photos = draw(tmp_path / "photos", 12)
    taught = verbs.teach(store, photos, name="colours", backbone="tiny", options=QUICK)
    pack(store, taught.version.digest, tmp_path / "bundle.zip")
    elsewhere = Store(tmp_path / "elsewhere")
    unpack(elsewhere, tmp_path / "bundle.zip", "colours")
    measures = verbs.evaluate(elsewhere, "colours", photos).measures
    assert measures.source == UNKNOWN
    assert "not known here" in summary.headline(measures)
    assert "was not taught on" not in summary.headline(measures)
    assert summary.summary(measures)[1].startswith("Unless these photos taught it:")
    assert any("flatters it" in text for text in summary.cautions(measures))


def test_a_photo_that_is_only_like_those_that_taught_it_is_measured(store: Store, tmp_path: Path) -> None:
    verbs.teach(store, scenes(tmp_path / "photos", 12, seed=0), name="colours", backbone="tiny", options=QUICK)
    measures = verbs.evaluate(store, "colours", scenes(tmp_path / "fresh", 6, seed=9)).measures
    assert (measures.examples, measures.left_out.learned, measures.source) == (18, 0, TEST)


def test_what_the_crop_never_shows_is_said(store: Store, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for label, colour in COLOURS.items():
        (tmp_path / "wide" / label).mkdir(parents=True)
        for number in range(12):
            pixels = np.clip(np.array(colour) + random.normal(0, 40, (12, 36, 3)), 0, 255).astype(np.uint8)
            (tmp_path / "wide" / label / f"{number}.png").write_bytes(encode_png(pixels))
    options = Options(view=PixelSpec(size=(8, 8)))
    measures = verbs.teach(store, tmp_path / "wide", name="colours", backbone="tiny", options=options).report.measures
    assert "It looks at the middle only: of the usual photo 67 % is never looked at." in summary.cautions(measures)


def test_a_comparison_says_what_it_leaves_out_and_what_comes_out_if_that_counts(
    store: Store, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = {label: colour for label, colour in COLOURS.items() if label != "blue"}
    verbs.teach(store, draw(tmp_path / "two", 12, colours=two), name="two", backbone="tiny", options=QUICK)
    verbs.teach(store, draw(tmp_path / "three", 12), name="three", backbone="tiny", options=QUICK)
    with pytest.raises(SystemExit):
        main(["compare", "two", "three", str(draw(tmp_path / "fresh", 10, seed=3)), "--data-dir", str(data_dir)])
    said = capsys.readouterr().out
    assert "no difference can be shown with 20 photos" in said
    assert "Left out: 10 photos." in said
    assert "A does not know blue (10 photos)." in said
    assert "counted as a mistake of the other: B is better, by 33.3 points" in said
