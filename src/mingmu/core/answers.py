"""What a recognizer says: typed, frozen, the same for every door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypedDict


@dataclass(frozen=True, slots=True)
class Label:
    """One class and how sure the recognizer is of it."""

    label: str
    score: float  # 0..1; over all classes they sum to 1, unless several may hold at once
    id: str | None = None  # the class's id in its vocabulary (a WordNet id), where it has one


@dataclass(frozen=True, slots=True)
class Labels:
    """The answer of a classifier: the top classes, or those of a prediction set, the surest first."""

    type: ClassVar = "labels"
    labels: tuple[Label, ...]
    abstain: bool = False  # too little confidence, or unlike anything the recognizer was taught

    def document(self) -> dict[str, Any]:
        """The answer as JSON has it."""
        labels = [{"label": one.label, "score": one.score} | ({} if one.id is None else {"id": one.id}) for one in self.labels]
        return {"labels": labels} | ({"abstain": True} if self.abstain else {})

    def draw(self, image: bytes) -> bytes:
        """The picture, an image file, with the labels written on it: a JPEG."""
        return _drawn(image, self)


@dataclass(frozen=True, slots=True)
class Box:
    """One thing and where it is, in pixels of the upright image as it was sent; x and y are its left upper corner."""

    label: str
    score: float  # 0..1
    x: float
    y: float
    width: float
    height: float
    landmarks: tuple[tuple[float, float], ...] = ()  # points, x and y, of a detector that gives some; they may lie outside of the image


@dataclass(frozen=True, slots=True)
class Boxes:
    """The answer of a detector: what it found, the surest first. It may have found nothing."""

    type: ClassVar = "boxes"
    boxes: tuple[Box, ...]
    scored: bool = True  # whether drawings say the scores, too; else the labels alone

    def document(self) -> dict[str, Any]:
        """The answer as JSON has it."""
        names = Box.__slots__
        return {"boxes": [{name: getattr(box, name) for name in names if name != "landmarks" or box.landmarks} for box in self.boxes]}

    def draw(self, image: bytes) -> bytes:
        """The picture, an image file, with the boxes drawn on it: a JPEG."""
        return _drawn(image, self)


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text and where it is; the corners go around it from where its first character begins, on top."""

    text: str
    score: float  # 0..1, the mean of its characters
    corners: tuple[tuple[float, float], ...]  # 4 points, x and y, in pixels of the upright image as it was sent
    confidences: tuple[float, ...]  # 0..1, of each character


@dataclass(frozen=True, slots=True)
class Texts:
    """The answer of a reader: the lines that it found, from top to bottom. It may have found none."""

    type: ClassVar = "texts"
    texts: tuple[Text, ...]

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The upright boxes around the lines, each with its text for a label."""
        return tuple(Box(text.text, text.score, *around(text.corners), text.corners) for text in self.texts)

    def document(self) -> dict[str, Any]:
        """The answer as JSON has it."""
        return {"texts": [{name: getattr(text, name) for name in Text.__slots__} for text in self.texts]}

    def draw(self, image: bytes) -> bytes:
        """The picture, an image file, with the lines marked and written on it: a JPEG."""
        return _drawn(image, self)


@dataclass(frozen=True, slots=True)
class Plate:
    """A number plate and where it is, in pixels of the upright image as it was sent."""

    text: str
    score: float  # 0..1, of its least certain character
    box: tuple[float, float, float, float]  # x and y of the left upper corner, width, height
    corners: tuple[tuple[float, float], ...]  # 4 points, x and y, from the left upper one of the text clockwise
    confidences: tuple[float, ...]  # 0..1, of each character
    lines: int = 1
    kind: str | None = None  # where the text says: ordinary, new-energy, police, …
    colour: str | None = None  # of the ground, where the light lets it be told

    def document(self) -> dict[str, Any]:
        """The plate as JSON has it; what is not known is left out."""
        named = {name: getattr(self, name) for name in Plate.__slots__}
        named["box"] = dict(zip(("x", "y", "width", "height"), self.box, strict=True))
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Plates:
    """The number plates of a picture, the surest first. There may be none."""

    type: ClassVar = "plates"
    plates: tuple[Plate, ...]

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The boxes of the plates, each with its text for a label."""
        return tuple(Box(plate.text, plate.score, *plate.box, plate.corners) for plate in self.plates)

    def document(self) -> dict[str, Any]:
        """The answer as JSON has it."""
        return {"plates": [plate.document() for plate in self.plates]}

    def draw(self, image: bytes) -> bytes:
        """The picture, an image file, with the plates marked and their texts written on it: a JPEG."""
        return _drawn(image, self)


Answer = Labels | Boxes | Texts | Plates


def tagged(answer: Answer) -> dict[str, Any]:
    """The answer as `recognize` and streams give it in JSON: its `type` tells it from those of other tasks, and from an error."""
    return {"type": answer.type} | answer.document()


def around(corners: tuple[tuple[float, float], ...]) -> tuple[float, float, float, float]:
    """The upright box around points: x, y, width, height."""
    x, y = [point[0] for point in corners], [point[1] for point in corners]
    return min(x), min(y), round(max(x) - min(x), 2), round(max(y) - min(y), 2)


def _drawn(image: bytes, answer: Answer) -> bytes:
    from mingmu.core.drawing import draw

    return draw(image, answer)


@dataclass(frozen=True, slots=True)
class Wish:
    """What an answer shall hold, where that is up to who asks; None leaves it to the task and the manifest."""

    top: int | None = None  # how many labels, boxes, lines or plates, at most
    coverage: float | None = None  # instead of `top`: the smallest set of labels that holds the truth so often
    threshold: float | None = None  # the least score of a box, a line of text or a plate
    overlap: float | None = None  # how much of their union two boxes of a label may share


ANY = Wish()  # whatever the task and the manifest say


class Wished(TypedDict, total=False):
    """The same, as the keywords of a call in Python."""

    top: int | None
    coverage: float | None
    threshold: float | None
    overlap: float | None
