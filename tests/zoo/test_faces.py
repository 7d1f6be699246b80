"""The published networks for faces, on real photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data

from mingmu import verbs
from mingmu.core.errors import UnfitFace
from mingmu.core.pipeline import walk
from mingmu.core.pixels import PixelSpec, encode_png, whole
from mingmu.data.pairs import read_pairs
from mingmu.settings import Settings
from mingmu.tasks.faces import FaceParts, faces_in
from mingmu.tasks.verification import verify

SHARED = Path(__file__).resolve().parents[2] / "../shared"
WEIGHTS, PHOTOS = SHARED / "weights", SHARED / "data/faces"
ASTRONAUT = Path(skimage.data.__file__).parent / "astronaut.png"
COFFEE = ASTRONAUT.with_name("coffee.png")

pytestmark = pytest.mark.skipif(not WEIGHTS.is_dir(), reason=f"the published weights are not at {WEIGHTS}")
needs_photos = pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"the photos of faces are not at {PHOTOS}")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> FaceParts:
    return verbs.open_faces(Settings(data_dir=tmp_path_factory.mktemp("data"), mirror=str(WEIGHTS)))


def tight(photo: bytes, parts: FaceParts, side: int) -> bytes:
    """The face alone, grey, without any margin."""
    box = walk(faces_in(parts, photo, most=1)).faces[0].box
    pixels = whole(photo).pixels
    left, top = max(0, round(box.x)), max(0, round(box.y))
    face = pixels[top : round(box.y + box.height), left : round(box.x + box.width)].mean(axis=2, keepdims=True)
    cut = np.ascontiguousarray(np.repeat(face, 3, axis=2).astype(np.uint8))
    return encode_png(PixelSpec(size=(side, side), fit="squash").frame_of(cut).pixels)


def test_a_face_is_found_with_its_landmarks(parts: FaceParts) -> None:
    (face,) = walk(faces_in(parts, ASTRONAUT.read_bytes(), most=1)).faces
    assert (face.box.x, face.box.y, face.box.width, face.box.height) == pytest.approx((182, 56, 92, 122), abs=10)  # by eye
    assert np.array(face.box.landmarks) == pytest.approx(np.array([[203, 100], [247, 102], [224, 126], [204, 141], [244, 141]]), abs=6)
    assert face.problems == ()


def test_mirrored_and_small_it_is_the_same_face(parts: FaceParts) -> None:
    pixels = whole(ASTRONAUT.read_bytes()).pixels
    mirrored = encode_png(np.ascontiguousarray(pixels[:, ::-1]))
    small = encode_png(PixelSpec(size=(256, 256)).frame_of(pixels).pixels)
    for other, least in ((mirrored, 0.9), (small, 0.9), (tight(ASTRONAUT.read_bytes(), parts, 64), 0.4)):
        assert walk(verify(parts, ASTRONAUT.read_bytes(), other)).similarity > least


def test_things_are_nobody(parts: FaceParts) -> None:
    with pytest.raises(UnfitFace, match="a: no face was found"):
        walk(verify(parts, COFFEE.read_bytes(), COFFEE.read_bytes()))


@needs_photos
def test_people_are_told_apart(parts: FaceParts) -> None:
    pairs = read_pairs(PHOTOS / "master.csv")
    for pair in [pair for pair in pairs if pair.same][::6] + [pair for pair in pairs if not pair.same][::40]:
        a, b = pair.a.read_bytes(), pair.b.read_bytes()
        assert walk(verify(parts, a, b)).same == pair.same, pair
        assert walk(faces_in(parts, tight(a, parts, 47), most=1)).found, pair
        assert walk(verify(parts, tight(a, parts, 64), tight(b, parts, 112))).same == pair.same, pair
