from __future__ import annotations

import io
from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from mingmu import verbs
from mingmu.core.answers import Box, Boxes
from mingmu.core.errors import PullFailed
from mingmu.core.recognizer import Recognizer
from mingmu.registry.store import Store
from mingmu.settings import Settings
from mingmu.zoo.objects import labels

SHARED = Path(__file__).resolve().parents[2] / "../shared/weights"
PHOTOS = Path(skimage.data.__file__).parent

TURN = Image.Transpose
STORED = {  # how a picture is stored that Exif's orientation, the key, makes upright again
    1: None,
    2: TURN.FLIP_LEFT_RIGHT,
    3: TURN.ROTATE_180,
    4: TURN.FLIP_TOP_BOTTOM,
    5: TURN.TRANSPOSE,
    6: TURN.ROTATE_90,
    7: TURN.TRANSVERSE,
    8: TURN.ROTATE_270,
}

needs_weights = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the published weights are not at {SHARED}")


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), mirror=str(SHARED))
    assert verbs.pull(settings, "objects").version is not None
    return verbs.open_recognizer(settings, "objects").recognizer


def seen(recognizer: Recognizer, photo: bytes, threshold: float | None = None) -> tuple[Box, ...]:
    (answer,) = recognizer.recognize([photo], threshold=threshold)
    assert isinstance(answer, Boxes)
    return answer.boxes


def share(box: Box, left: float, top: float, right: float, bottom: float) -> float:
    """Intersection over union."""
    across = max(0.0, min(box.x + box.width, right) - max(box.x, left))
    down = max(0.0, min(box.y + box.height, bottom) - max(box.y, top))
    return across * down / (box.width * box.height + (right - left) * (bottom - top) - across * down)


def test_there_are_80_kinds_of_things() -> None:
    assert len(labels()) == len(set(labels())) == 80
    assert (labels()[0], labels()[41], labels()[79]) == ("person", "cup", "toothbrush")


@needs_weights
@pytest.mark.parametrize(
    ("photo", "label", "place"),  # left, top, right, bottom, measured by eye
    [
        ("motorcycle_left.png", "motorcycle", (110, 65, 685, 445)),
        ("coffee.png", "cup", (170, 20, 415, 300)),
        ("chelsea.png", "cat", (0, 0, 451, 300)),
        ("astronaut.png", "person", (15, 15, 375, 512)),
    ],
)
def test_things_are_found_where_they_are(objects: Recognizer, photo: str, label: str, place: tuple[float, float, float, float]) -> None:
    surest = seen(objects, (PHOTOS / photo).read_bytes())[0]
    assert surest.label == label
    assert share(surest, *place) > 0.75


@needs_weights
def test_however_a_photo_is_stored_the_boxes_are_where_a_person_sees_them(objects: Recognizer) -> None:
    upright = Image.open(PHOTOS / "coffee.png").convert("RGB")
    found = []
    for orientation, turn in STORED.items():
        stored = upright if turn is None else upright.transpose(turn)
        exif, file = Image.Exif(), io.BytesIO()
        exif[0x0112] = orientation
        stored.save(file, "PNG", exif=exif)
        found.append(seen(objects, file.getvalue()))
    for boxes in found:
        assert [box.label for box in boxes] == ["cup", "dining table"]
        for box, first in zip(boxes, found[0], strict=True):
            place, expected = ((each.x, each.y, each.width, each.height) for each in (box, first))
            assert place == pytest.approx(expected, abs=2)


@needs_weights
def test_a_photo_gets_the_same_answer_in_a_batch(objects: Recognizer) -> None:
    photos = [(PHOTOS / name).read_bytes() for name in ("coffee.png", "chelsea.png")]
    frames = [objects.frame(photo) for photo in photos]
    together = [objects.interpret(reading) for reading in objects.readings_from(objects.outputs(frames), frames)]
    for photo, answer in zip(photos, together, strict=True):
        assert isinstance(answer, Boxes)
        assert [box.label for box in answer.boxes] == [box.label for box in seen(objects, photo)]


@needs_weights
def test_a_lower_threshold_finds_more(objects: Recognizer) -> None:
    photo = (PHOTOS / "motorcycle_left.png").read_bytes()
    assert len(seen(objects, photo, 0.05)) > len(seen(objects, photo)) > len(seen(objects, photo, 0.8)) > 0


def test_without_its_weights_there_is_a_hint(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:9/{tmp_path.name}"
    with pytest.raises(PullFailed, match="MINGMU_MIRROR"):
        verbs.ensure(Store(tmp_path, mirror=nowhere), "objects")
