"""Verification: whether two photos show the same person, and how often that would be said of two who are not."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from mingmu.core.errors import BadRequest, Conflict, UnfitFace
from mingmu.core.manifest import EmbedSpec
from mingmu.core.pipeline import Road
from mingmu.tasks.faces import Face, FaceParts, Faces, faces_in, similarity_of

USUAL_RATE = 1e-3  # of false matches, where two photos are compared
LEAST_RATE, MOST_RATE = 1e-8, 0.1  # the least is far beyond what can be measured, but large galleries need it


def check_rate(rate: float) -> None:
    """Raise BadRequest for a false-match rate that means nothing."""
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise BadRequest(f"the false-match rate is {rate:g}; it lies between {LEAST_RATE:g} and {MOST_RATE:g}")


def threshold_for(rate: float, strangers: EmbedSpec | None) -> float:
    """The similarity that this share of the pairs of different people reach, if their similarities are normally distributed.

    Below one in as many pairs as were measured, that is extrapolated. Raises BadRequest; Conflict where nothing was measured.
    """
    check_rate(rate)
    if strangers is None:
        raise Conflict("the network was sealed without how alike different people look to it; no threshold can be set")
    return round(NormalDist(strangers.mean, strangers.deviation).inv_cdf(1 - rate), 4)


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """Whether two photos show the same person."""

    similarity: float  # -1 to 1
    threshold: float
    false_match_rate: float  # of two different people, how often they would be called the same
    a: Faces
    b: Faces

    @property
    def same(self) -> bool:
        return self.similarity >= self.threshold

    def document(self) -> dict[str, Any]:
        """The verdict as JSON has it, with the face that was taken of each photo."""
        names = ("same", "similarity", "threshold", "false_match_rate")
        return {name: getattr(self, name) for name in names} | {"a": _taken(self.a), "b": _taken(self.b)}


def verify(parts: FaceParts, a: bytes, b: bytes, rate: float | None = None) -> Road[Verdict]:
    """Compare the largest face of one photo with that of another. Raises UnfitFace where one shows none; BadImage, BadRequest, Conflict."""
    rate = USUAL_RATE if rate is None else rate
    threshold = threshold_for(rate, parts.embedder.manifest.embed)
    one = yield from faces_in(parts, a, most=1)
    other = yield from faces_in(parts, b, most=1)
    for name, seen in (("a", one), ("b", other)):
        if not seen.faces:  # the rate says nothing about pictures of something else: they may be as alike as they like
            raise UnfitFace(f"{name}: no face was found")
    similarity = round(similarity_of(one.faces[0].vector, other.faces[0].vector), 4)
    return Verdict(similarity, threshold, rate, one, other)


def _taken(seen: Faces) -> dict[str, Any]:
    face: Face = seen.faces[0]
    return {"faces": seen.found, "face": face.document()}
