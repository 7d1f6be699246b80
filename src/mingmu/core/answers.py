"""What a recognizer says: typed, frozen, the same for every door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict


@dataclass(frozen=True, slots=True)
class Label:
    """One class and how sure the recognizer is of it."""

    label: str
    score: float  # 0..1; over all classes they sum to 1, unless several may hold at once
    id: str | None = None  # the class's id in its vocabulary (a WordNet id), where it has one


@dataclass(frozen=True, slots=True)
class Labels:
    """The answer of a classifier: the top classes, or those of a prediction set, the surest first."""

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

    boxes: tuple[Box, ...]

    def document(self) -> dict[str, Any]:
        """The answer as JSON has it."""
        names = Box.__slots__
        return {"boxes": [{name: getattr(box, name) for name in names if name != "landmarks" or box.landmarks} for box in self.boxes]}

    def draw(self, image: bytes) -> bytes:
        """The picture, an image file, with the boxes drawn on it: a JPEG."""
        return _drawn(image, self)


Answer = Labels | Boxes


def _drawn(image: bytes, answer: Answer) -> bytes:
    from mingmu.core.drawing import draw

    return draw(image, answer)


@dataclass(frozen=True, slots=True)
class Wish:
    """What an answer shall hold, where that is up to who asks; None leaves it to the task and the manifest."""

    top: int | None = None  # how many labels, or boxes, at most
    coverage: float | None = None  # instead of `top`: the smallest set of labels that holds the truth so often
    threshold: float | None = None  # the least score of a box
    overlap: float | None = None  # how much of their union two boxes of a label may share


ANY = Wish()  # whatever the task and the manifest say


class Wished(TypedDict, total=False):
    """The same, as the keywords of a call in Python."""

    top: int | None
    coverage: float | None
    threshold: float | None
    overlap: float | None
