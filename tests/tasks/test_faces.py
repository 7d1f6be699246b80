"""The road of faces, with tiny parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mingmu import verbs
from mingmu.core.errors import BadArtifact, BadImage, UnfitFace
from mingmu.core.network import Network
from mingmu.core.pipeline import walk
from mingmu.core.pixels import encode_png
from mingmu.settings import Settings
from mingmu.tasks.faces import FaceParts, faces_in
from mingmu.tasks.identification import fit_faces, identify
from mingmu.tasks.known import NOBODY
from mingmu.tasks.verification import verify
from tests import tiny_faces
from tests.tiny_faces import nobody, photo


@pytest.fixture
def parts(data_dir: Path) -> FaceParts:
    tiny_faces.publish(data_dir)
    return verbs.open_faces(Settings(data_dir=data_dir))


def test_a_face_is_found_where_it_is_with_its_landmarks(parts: FaceParts) -> None:
    seen = walk(faces_in(parts, photo("ada"), most=1))
    (face,) = seen.faces
    assert (face.box.x, face.box.y, face.box.width, face.box.height) == (20, 20, 120, 120)
    assert face.box.landmarks[0] == pytest.approx((38.2946 / 112 * 160, 51.6963 / 112 * 160), abs=0.02)
    assert (seen.found, face.problems) == (1, ())
    assert np.linalg.norm(face.vector) == pytest.approx(1, abs=1e-5)


def test_parts_that_give_something_else_are_not_sealed(tmp_path: Path) -> None:
    with pytest.raises(BadArtifact, match=r"landmarks .1, 4, 2. are needed"):
        Network.open(tiny_faces.seal_finder(tmp_path / "finder", landmarks=4)).prove()
    with pytest.raises(BadArtifact, match="a vector of length 1"):
        Network.open(tiny_faces.seal_embedder(tmp_path / "embedder", longer=2)).prove()


def test_the_same_person_is_the_same_and_another_one_is_not(parts: FaceParts) -> None:
    same = walk(verify(parts, photo("ada", 1), photo("ada", 2)))
    other = walk(verify(parts, photo("ada", 1), photo("bob", 2)))
    assert (same.same, other.same) == (True, False)
    assert set(same.document()) == {"same", "similarity", "threshold", "false_match_rate", "a", "b"}


@pytest.mark.parametrize(("a", "b", "which"), [(nobody(), nobody(), "a"), (nobody(), photo("ada"), "a"), (photo("ada"), nobody(), "b")])
def test_a_picture_without_a_face_is_the_same_as_none(parts: FaceParts, a: bytes, b: bytes, which: str) -> None:
    with pytest.raises(UnfitFace, match=f"{which}: no face was found"):
        walk(verify(parts, a, b))


def test_what_is_wrong_with_a_face_is_said(parts: FaceParts) -> None:
    flat = encode_png(np.full((160, 160, 3), (150, 60, 60), np.uint8))
    for bad, kinds in ((flat, ["blurred"]), (photo("ada", side=40), ["too-small"])):
        (face,) = walk(faces_in(parts, bad, most=1)).faces
        assert [problem.kind for problem in face.problems] == kinds


def test_only_fit_faces_are_enrolled_unless_forced(parts: FaceParts) -> None:
    small = photo("ada", side=40)
    assert len(walk(fit_faces(parts, [photo("ada", 1), photo("ada", 2)]))) == 2
    with pytest.raises(UnfitFace, match=r"photo 2: the face is 30 pixels wide"):
        walk(fit_faces(parts, [photo("ada"), small]))
    with pytest.raises(UnfitFace, match="no face was found"):
        walk(fit_faces(parts, [nobody()], force=True))
    with pytest.raises(BadImage, match="photo 2: "):
        walk(fit_faces(parts, [photo("ada"), b"junk"]))
    assert len(walk(fit_faces(parts, [small], force=True))) == 1


def test_who_is_known_is_found_and_who_is_not_is_nobody(parts: FaceParts) -> None:
    vectors = np.stack(walk(fit_faces(parts, [photo("ada", 1), photo("bob", 1), photo("ada", 2)])))
    known = NOBODY.later(NOBODY.numbers, np.arange(3), ["ada", "bob", "ada"], vectors)
    found = {who: walk(identify(parts, photo(who, 7), known)).faces[0] for who in ("ada", "bob", "eve")}
    assert {who: each.person for who, each in found.items()} == {"ada": "ada", "bob": "bob", "eve": None}
    assert walk(identify(parts, photo("ada"), NOBODY)).faces[0].document()["similarity"] is None
    nowhere = walk(identify(parts, nobody(), known))
    assert nowhere.faces == ()
    assert nowhere.false_identification_rate == pytest.approx(3 * nowhere.false_match_rate, rel=1e-3)  # three faces to be taken for
