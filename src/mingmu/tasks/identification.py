"""Identification: which of the people of a gallery a photo shows, and that it shows none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mingmu.core.answers import Boxes
from mingmu.core.errors import MingmuError, UnfitFace
from mingmu.core.pipeline import Road
from mingmu.tasks.faces import Face, FaceParts, Vector, faces_in
from mingmu.tasks.known import Known
from mingmu.tasks.verification import threshold_for

MOST_FACES = 100  # of one photo, the largest
UNKNOWN = "unknown"  # what a face is called that is nobody's of the gallery
USUAL_RATE = 1e-4  # of false matches with each face of a gallery: every one of them is a chance to be taken for somebody


@dataclass(frozen=True, slots=True, eq=False)
class Identified:
    """A face of a photo, and whose it is."""

    face: Face
    person: str | None  # None: nobody's of the gallery
    similarity: float | None  # to the most similar face of the gallery; None where that is empty

    def document(self) -> dict[str, Any]:
        """The face as JSON has it. Who is the nearest is not told where it is not near enough."""
        return {"person": self.person, "similarity": self.similarity} | self.face.document()


@dataclass(frozen=True, slots=True, eq=False)
class Identification:
    """The faces of a photo, the largest first."""

    faces: tuple[Identified, ...]
    threshold: float
    false_match_rate: float  # of a comparison with one face of the gallery
    false_identification_rate: float  # how often a stranger is given some name, if the comparisons are independent: they err less often

    def boxes(self) -> Boxes:
        """The faces under their people's names, to be drawn: a similarity is no share of certainty, so none is told."""
        named = [replace(each.face.box, label=each.person or UNKNOWN, landmarks=()) for each in self.faces]
        return Boxes(tuple(named), scored=False)

    def document(self) -> dict[str, Any]:
        """The answer as JSON has it."""
        names = ("threshold", "false_match_rate", "false_identification_rate")
        return {"faces": [each.document() for each in self.faces]} | {name: getattr(self, name) for name in names}


def identify(parts: FaceParts, photo: bytes, known: Known, rate: float | None = None) -> Road[Identification]:
    """Whose faces a photo shows. Raises BadImage, BadRequest, Conflict."""
    rate = USUAL_RATE if rate is None else rate
    threshold = threshold_for(rate, parts.embedder.manifest.embed)
    seen = yield from faces_in(parts, photo, most=MOST_FACES)
    faces = tuple(_identified(face, known, threshold) for face in seen.faces)
    return Identification(faces, threshold, rate, 1 - (1 - rate) ** len(known))


def fit_faces(parts: FaceParts, photos: Sequence[bytes], *, force: bool = False) -> Road[list[Vector]]:
    """The vector of the one face of each photo, to be enrolled.

    Raises UnfitFace for a photo with none or several faces, or one that is too small, blurred or turned; with `force`, the largest face
    of each is taken as it is. Raises BadImage.
    """
    vectors = []
    for number, photo in enumerate(photos, start=1):
        where = f"photo {number}: " if len(photos) > 1 else ""
        try:
            seen = yield from faces_in(parts, photo, most=1)
        except MingmuError as error:
            raise type(error)(f"{where}{error}") from error
        if not seen.faces:
            raise UnfitFace(f"{where}no face was found")
        if seen.found > 1 and not force:
            raise UnfitFace(f"{where}{seen.found} faces were found; cut out the one that is meant, or force the largest")
        face = seen.faces[0]
        if face.problems and not force:
            raise UnfitFace(f"{where}{'; '.join(each.detail for each in face.problems)}; take a better photo, or force it")
        vectors.append(face.vector)
    return vectors


def _identified(face: Face, known: Known, threshold: float) -> Identified:
    nearest = known.nearest(face.vector)
    if nearest is None:
        return Identified(face, None, None)
    person, similarity = nearest
    return Identified(face, person if similarity >= threshold else None, round(similarity, 4))
