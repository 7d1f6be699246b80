"""Chains of the published networks: what `objects` finds, `general` names and `text` reads, however a photo is stored."""

from __future__ import annotations

import io
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from mingmu import verbs
from mingmu.core.answers import Boxes, Texts
from mingmu.core.recognizer import Recognizer
from mingmu.registry.library import Library
from mingmu.registry.store import Store

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / "../shared/weights"
PHOTOS = Path(skimage.data.__file__).parent
PAGE = (ROOT / "docs/pipelines.md").read_text(encoding="utf-8")

pytestmark = [pytest.mark.real, pytest.mark.skipif(not SHARED.is_dir(), reason=f"the published weights are not at {SHARED}")]


def chained(folder: Path, text: str) -> Recognizer:
    store = Store(folder / "data", mirror=str(SHARED))
    (folder / "chain.toml").write_text(text, encoding="utf-8")
    return Library(store).open(verbs.chain(store, folder / "chain.toml", name="chain").digest)


def test_the_chain_of_the_page_names_a_cup_however_its_photo_is_stored(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.+?)```", PAGE, re.DOTALL)
    assert len(example.splitlines()) <= 10
    coffee = Image.open(PHOTOS / "coffee.png").convert("RGB")
    coffee.save(tmp_path / "photo.jpg", quality=95)
    recognizer = chained(tmp_path, example)
    for orientation, turn in ((1, None), (6, Image.Transpose.ROTATE_90)):
        stored, exif = io.BytesIO(), Image.Exif()
        exif[0x0112] = orientation
        (coffee.transpose(turn) if turn is not None else coffee).save(stored, "PNG", exif=exif)
        (answer,) = recognizer.recognize([stored.getvalue()])
        assert isinstance(answer, Boxes)
        (cup,) = answer.boxes
        assert cup.label == "espresso"
        assert (cup.x, cup.y) == pytest.approx((162.1, 15.4), abs=2)


@pytest.mark.skipif(find_spec("rapidocr") is None, reason="PP-OCR's networks are not installed: pip install 'mingmu[text]'")
def test_what_is_written_on_a_motorcycle_is_read(tmp_path: Path) -> None:
    photo = PHOTOS / "motorcycle_left.png"
    (answer,) = chained(tmp_path, f'detector = "objects"\nthen = "text"\nprobe = "{photo}"').recognize([photo.read_bytes()])
    assert isinstance(answer, Texts)
    assert any("YAMA" in line.text for line in answer.texts)
