from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mingmu.core.answers import Answer, Box, Boxes, Label, Labels
from mingmu.core.drawing import LEAST_SIDE, colour_of, draw_on
from mingmu.core.errors import BadImage
from mingmu.core.pixels import Pixels, encode_png


def drawn(boxes: Sequence[Box], width: int = 400, height: int = 300) -> Pixels:
    return draw_on(np.full((height, width, 3), 128, np.uint8), Boxes(tuple(boxes)), (width, height))


def near(pixels: Pixels, colour: tuple[int, int, int]) -> np.ndarray:
    return np.asarray((np.abs(pixels.astype(int) - colour) < 12).all(axis=2))


def test_a_box_is_drawn_where_it_is_in_the_colour_of_its_label() -> None:
    ours = near(drawn([Box("cat", 0.5, 100, 80, 200, 150)]), colour_of("cat"))
    assert ours[150, 100] and ours[229, 200] and ours[150, 299]  # noqa: PT018 - one box
    assert not ours[120:220, 110:290].any()
    assert ours[60:79, 101:110].any()  # the label above it


def test_landmarks_are_dots() -> None:
    ours = near(drawn([Box("face", 0.5, 100, 80, 200, 150, ((150.0, 150.0), (250.0, 160.0), (-1e4, 9.0)))]), colour_of("face"))
    assert ours[150, 150] and ours[160, 250]  # noqa: PT018 - one face
    assert not ours[150:160, 160:240].any()


@pytest.mark.parametrize("place", [(0, 0, 30, 20), (370, 0, 30, 20), (370, 280, 30, 20), (0, 0, 400, 300), (-5, -5, 500, 400)])
def test_labels_stay_inside_the_picture(place: tuple[float, float, float, float]) -> None:
    colour = colour_of("refrigerator")
    pixels = drawn([Box("refrigerator", 0.5, *place)])
    rows, columns = np.nonzero(near(pixels, (255, 255, 255)) | near(pixels, (0, 0, 0)) | near(pixels, colour))
    text = drawn([Box("refrigerator", 0.5, 100, 100, 200, 150)])
    assert near(pixels, colour).sum() >= near(text, colour)[:99].sum()  # the whole label
    assert rows.max() < 300
    assert columns.max() < 400


def test_labels_of_the_same_place_do_not_cover_each_other() -> None:
    both = drawn([Box("cat", 0.5, 100, 100, 200, 100), Box("dog", 0.5, 100, 100, 200, 100)])
    for label in ("cat", "dog"):
        assert near(both, colour_of(label)).sum() > 500


def test_a_tiny_picture_is_enlarged_so_that_one_can_read_it() -> None:
    assert max(drawn([Box("cat", 0.5, 1, 1, 5, 5)], 20, 10).shape) >= LEAST_SIDE


@pytest.mark.parametrize("label", ["", "\n\t\x1b[2J", "杯子", "x" * 500, "é\u202e"])
@pytest.mark.parametrize("size", [(1, 1), (3, 900), (900, 3), (60, 40)])
def test_any_label_is_drawn_on_any_picture(label: str, size: tuple[int, int]) -> None:
    width, height = size
    assert drawn([Box(label, 0.5, 0, 0, width, height)], width, height).dtype == np.uint8


ANSWERS = [Labels((Label("cat", 0.9), Label("杯子", 0.1)), abstain=True), Boxes((Box("cat", 0.9, 10, 10, 50, 50),)), Boxes(())]


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_draws_itself_on_an_upright_picture(answer: Answer) -> None:
    picture = Image.new("RGB", (200, 100), (90, 90, 90))
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(file, "JPEG", exif=exif)
    found = Image.open(io.BytesIO(answer.draw(file.getvalue())))
    assert found.format == "JPEG"
    assert found.height == 2 * found.width


def test_a_large_picture_is_drawn_smaller() -> None:
    picture = encode_png(np.zeros((10, 5000, 3), np.uint8))
    assert Image.open(io.BytesIO(Boxes(()).draw(picture))).width == 4096


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(BadImage):
        Boxes(()).draw(b"junk")


def test_signs_that_no_font_here_has_are_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr("mingmu.core.drawing.FOLDERS", (str(tmp_path),))
    for _ in range(2):
        drawn([Box("明目", 0.9, 100, 80, 200, 150)], 1900, 1700)  # letters of a size that no other test draws
    assert ["fonts-noto-cjk" in message for message in caplog.messages] == [True]
