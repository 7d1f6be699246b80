"""The OpenAPI descriptions of the routes of `mingmu.serve.faces`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from mingmu.serve.queries import JPEG
from mingmu.serve.shapes import BINARY, DRAW, IMAGE_BODIES, IN_CALLS, NAME, PAGED, Described, Listing, Strict, model
from mingmu.tasks.identification import USUAL_RATE as NAMING_RATE
from mingmu.tasks.verification import LEAST_RATE, MOST_RATE, USUAL_RATE


class FaceProblemSchema(Strict):
    """Why a face is not to be relied on."""

    kind: str = Field(description="too-small, blurred or turned.")
    detail: str


class FaceSchema(Strict):
    """A face and where it is, in pixels of the upright photo."""

    label: str
    score: float = Field(ge=0, le=1.0001)
    x: float
    y: float
    width: float
    height: float
    landmarks: list[tuple[float, float]] = Field(description="The eyes, the nose, the corners of the mouth; x and y.")
    problems: list[FaceProblemSchema]


class AnsweredSchema(Strict):
    """What every answer about faces says."""

    threshold: float = Field(description="The least similarity that counts as the same person.")
    detector: str = Field(description="The digest of the recognizer that found the faces.")
    embedder: str = Field(description="The digest of the recognizer that made vectors of them.")


class TakenSchema(Strict):
    """What was taken of a photo."""

    faces: int = Field(description="How many there are; the largest was taken.")
    face: FaceSchema


class VerdictSchema(AnsweredSchema):
    """Whether two photos show the same person."""

    same: bool
    similarity: float = Field(ge=-1, le=1)
    false_match_rate: float = Field(description="Of two different people, how often they would be called the same.")
    a: TakenSchema
    b: TakenSchema


class GallerySchema(Strict):
    name: str
    embedder: str = Field(description="The digest of the recognizer whose vectors it holds.")
    created: str


class GalleriesSchema(Listing):
    galleries: list[GallerySchema]


class PersonSchema(Strict):
    person: str
    faces: int
    created: str


class PeopleSchema(Listing):
    people: list[PersonSchema]


class EnrolledSchema(PersonSchema):
    gallery: str


class IdentifiedSchema(FaceSchema):
    """A face, and whose it is."""

    person: str | None = Field(description="null: nobody's of the gallery.")
    similarity: float | None = Field(description="To the most similar face of the gallery.")


class IdentificationSchema(AnsweredSchema):
    """The faces of a photo, the largest first."""

    gallery: str
    faces: list[IdentifiedSchema]
    false_match_rate: float = Field(description="Of a comparison with one face of the gallery.")
    false_identification_rate: float = Field(description="How often a stranger is given some name, at most: it grows with the gallery.")
    drawn: str | None = Field(None, description="With `draw`: the photo in base64, a JPEG, with boxes and names drawn on it.")


class RemovedPersonSchema(Strict):
    removed: str
    faces: int


class VectorSchema(Strict):
    created: str
    vector: list[float]


class ExportedPersonSchema(Strict):
    person: str
    faces: list[VectorSchema]


class ExportSchema(GallerySchema):
    people: list[ExportedPersonSchema]


MODELS: tuple[type[Any], ...] = (
    VerdictSchema, GallerySchema, GalleriesSchema, PeopleSchema, EnrolledSchema, IdentificationSchema, RemovedPersonSchema, ExportSchema,
)  # fmt: skip
GALLERY = NAME | {"example": "family", "description": "A gallery."}
NEW = {
    "name": "name",
    "in": "query",
    "required": True,
    "schema": {"type": "string"},
    "example": "family",
    "description": "What to call it.",
}
PERSON = {
    "name": "person", "in": "query", "required": True, "schema": {"type": "string", "minLength": 1, "maxLength": 200}, "example": "Ada",
    "description": "What the person is called.",
}  # fmt: skip
WHOSE = PERSON | {"required": False, "description": "Whom to give; without it, everybody."}
FORCE = {
    "name": "force", "in": "query", "schema": {"type": "boolean", "default": False},
    "description": "Take the largest face of each photo, however it is.",
}  # fmt: skip
RATE = {
    "name": "false_match_rate", "in": "query",
    "schema": {"type": "number", "minimum": LEAST_RATE, "maximum": MOST_RATE, "default": USUAL_RATE},
    "description": "How often two different people may be called the same.",
}  # fmt: skip
NAMING = RATE | {
    "schema": {"type": "number", "minimum": LEAST_RATE, "maximum": MOST_RATE, "default": NAMING_RATE},
    "description": "How often two different people may be called the same, for each face of the gallery.",
}
TWO = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {name: {"type": "string", "format": "binary"} for name in ("a", "b")},
                "required": ["a", "b"],
                "additionalProperties": False,
            }
        }
    },
}
PHOTOS = {"required": True, "content": IMAGE_BODIES}
PHOTO = {"required": True, "content": {"image/*": BINARY, "application/octet-stream": BINARY}}
FACE = {
    "label": "face", "score": 0.96, "x": 411.5, "y": 170.21, "width": 594.24, "height": 855.13,
    "landmarks": [[574.91, 518.75], [862.8, 511.45], [728.89, 688.29], [585.49, 783.89], [864.99, 776.12]], "problems": [],
}  # fmt: skip
ADA = {"person": "Ada", "faces": 2, "created": "2026-11-23T12:00:00+00:00"}
FAMILY = {"name": "family", "embedder": "5d2c" + 60 * "0", "created": "2026-11-23T12:00:00+00:00"}
TAKEN = {"faces": 1, "face": FACE}
WHO = {"detector": "e405" + 60 * "0", "embedder": "5d2c" + 60 * "0"}
VERDICT = {"same": True, "similarity": 0.602, "threshold": 0.3413, "false_match_rate": 0.001, "a": TAKEN, "b": TAKEN, **WHO}
FOUND = {
    "gallery": "family", "faces": [{"person": "Ada", "similarity": 0.778} | FACE],
    "threshold": 0.4058, "false_match_rate": 0.0001, "false_identification_rate": 0.0002, **WHO,
}  # fmt: skip
VECTORS = [{"created": ADA["created"], "vector": [0.6, 0.8]}]
LISTED = (400, 404, 500, 503)
ROUTES: Described = {
    ("POST", "/v1/faces/verify"): ("faces", [RATE], TWO, model("VerdictSchema", VERDICT), IN_CALLS),
    ("GET", "/v1/faces/galleries"): (
        "faces", PAGED, None, model("GalleriesSchema", {"galleries": [FAMILY], "next": None}), (400, 500, 503),
    ),
    ("POST", "/v1/faces/galleries"): ("faces", [NEW], None, model("GallerySchema", FAMILY), (*LISTED, 409)),
    ("DELETE", "/v1/faces/galleries/{name}"): ("faces", [GALLERY], None, model("RemovedSchema", {"removed": "family"}), (400, 500, 503)),
    ("GET", "/v1/faces/galleries/{name}/people"): (
        "faces", [GALLERY, *PAGED], None, model("PeopleSchema", {"people": [ADA], "next": None}), LISTED,
    ),
    ("POST", "/v1/faces/galleries/{name}/people"): (
        "faces", [GALLERY, PERSON, FORCE], PHOTOS, model("EnrolledSchema", {"gallery": "family"} | ADA), (*IN_CALLS, 409),
    ),
    ("DELETE", "/v1/faces/galleries/{name}/people"): (
        "faces", [GALLERY, PERSON], None, model("RemovedPersonSchema", {"removed": "Ada", "faces": 2}), LISTED,
    ),
    ("POST", "/v1/faces/galleries/{name}/identify"): (
        "faces", [GALLERY, NAMING, DRAW], PHOTO, model("IdentificationSchema", FOUND) | {JPEG: BINARY}, (*IN_CALLS, 409),
    ),
    ("GET", "/v1/faces/galleries/{name}/export"): (
        "faces", [GALLERY, WHOSE], None,
        model("ExportSchema", FAMILY | {"people": [{"person": "Ada", "faces": VECTORS}]}), LISTED,
    ),
}  # fmt: skip
