"""The OpenAPI descriptions of what one request to recognize, or one frame of a stream, is answered: an answer for each kind of task."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from mingmu.serve.shapes import Strict


class LabelSchema(Strict):
    """One class and how sure the recognizer is of it."""

    label: str
    score: float = Field(ge=0, le=1.0001, description="The scores of all classes sum to 1.")
    id: str | None = Field(None, description="The class's id in its vocabulary, where it has one.")


class ExplanationSchema(Strict):
    """What speaks for the first label."""

    label: str
    png: str = Field(description="A PNG in base64: the picture as the network saw it, with the evidence marked on it.")


class ImageErrorSchema(Strict):
    kind: str
    detail: str


class DrawnSchema(Strict):
    drawn: str | None = Field(None, description="With `draw`: the image in base64, a JPEG, with the answer drawn on it.")


class LabelsSchema(DrawnSchema):
    """What a classifier says of one image."""

    type: Literal["labels"]
    labels: list[LabelSchema] = Field(description="The surest first.")
    abstain: bool | None = None
    explanation: ExplanationSchema | None = None


class BoxSchema(Strict):
    """One thing and where it is, in pixels of the upright image; x and y are its left upper corner."""

    label: str
    score: float = Field(ge=0, le=1.0001)
    x: float = Field(ge=0)
    y: float = Field(ge=0)
    width: float = Field(ge=0)
    height: float = Field(ge=0)
    landmarks: list[tuple[float, float]] | None = Field(
        None, description="Of faces: the eyes, the nose, the corners of the mouth; x and y."
    )


class BoxesSchema(DrawnSchema):
    """What a detector found in one image."""

    type: Literal["boxes"]
    boxes: list[BoxSchema] = Field(description="The surest first; there may be none.")


class TextSchema(Strict):
    """A line of text and where it is, in pixels of the upright image."""

    text: str
    score: float = Field(ge=0, le=1.0001, description="The mean of its characters' confidences.")
    corners: list[tuple[float, float]] = Field(description="x and y, clockwise from the left upper corner of the text.")
    confidences: list[float] = Field(description="0 to 1, of each character.")


class TextsSchema(DrawnSchema):
    """The lines of text in one image."""

    type: Literal["texts"]
    texts: list[TextSchema] = Field(description="From top to bottom; there may be none.")


class PlateBoxSchema(Strict):
    x: float
    y: float
    width: float
    height: float


class PlateSchema(Strict):
    """A number plate and where it is, in pixels of the upright image."""

    text: str
    score: float = Field(ge=0, le=1.0001, description="The confidence of its least certain character.")
    box: PlateBoxSchema
    corners: list[tuple[float, float]] = Field(description="x and y, clockwise from the left upper corner of the text.")
    confidences: list[float] = Field(description="0 to 1, of each character.")
    lines: int = Field(description="Of its text: 1 or 2.")
    kind: str | None = Field(None, description="Where the text says: ordinary, new-energy, police, learner, trailer, …")
    colour: str | None = Field(None, description="Of its ground, where the light lets it be told: blue, green, yellow, white, black.")


class PlatesSchema(DrawnSchema):
    """The number plates in one image."""

    type: Literal["plates"]
    plates: list[PlateSchema] = Field(description="The surest first; there may be none.")


class ErrorSchema(Strict):
    """What was wrong with one of several images."""

    type: Literal["error"]
    error: ImageErrorSchema


Answered = Annotated[LabelsSchema | BoxesSchema | TextsSchema | PlatesSchema | ErrorSchema, Field(discriminator="type")]


class TimingSchema(BaseModel):
    """Milliseconds; of several images, the longest. Of a chain also what each part took, by what it does."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float] = Field(init=False)

    decode: float
    queue: float
    network: float
    total: float = Field(description="Since the head of the request was in.")


class RecognitionSchema(Strict):
    """The answers to one request, in the order of its images."""

    recognizer: str
    version: int
    digest: str = Field(description="SHA-256 of the sealed recognizer that answered.")
    answers: list[Answered]
    timing_ms: TimingSchema
