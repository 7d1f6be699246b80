"""Questions about images, and about the recognizers that answer them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from mingmu.client.calls import Call, Page, document_of, error_of, listing
from mingmu.client.images import Image, encoded
from mingmu.core.answers import Answer, Box, Boxes, Label, Labels, Plate, Plates, Text, Texts, Wished
from mingmu.core.errors import BadImage, MingmuError

PORTION_IMAGES = 16  # images in one request of `recognize_many`
PORTION_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a service said about one image, and which recognizer said it."""

    recognizer: str
    version: int
    digest: str
    answer: Answer
    timing_ms: Mapping[str, float]  # of the whole request, by stage

    def draw(self, image: Image) -> bytes:
        """The picture with the answer drawn on it, as a JPEG."""
        return self.answer.draw(encoded(image))


@dataclass(frozen=True, slots=True)
class Listed:
    """A version of a recognizer or a dataset, as a service lists it."""

    name: str
    version: int
    digest: str
    created: str  # ISO 8601, UTC


def one(image: Image, recognizer: str, wished: Wished) -> Call[Recognition]:
    def read(response: httpx.Response) -> Recognition:
        answer = _recognitions(document_of(response))[0]
        if isinstance(answer, MingmuError):
            raise answer
        return answer

    body = {"content": encoded(image), "headers": {"Content-Type": "application/octet-stream"}}
    return Call(_recognize(recognizer, wished) | body, read)


def portions(images: Iterable[Image], recognizer: str, wished: Wished) -> Iterator[Call[list[Recognition | MingmuError]]]:
    """Requests that together hold all images, each small enough for any service."""
    portion: list[bytes] = []
    for data in map(encoded, images):
        if portion and (len(portion) == PORTION_IMAGES or sum(map(len, portion)) + len(data) > PORTION_BYTES):
            yield _several(portion, recognizer, wished)
            portion = []
        portion.append(data)
    if portion:
        yield _several(portion, recognizer, wished)


def _several(images: list[bytes], recognizer: str, wished: Wished) -> Call[list[Recognition | MingmuError]]:
    def read(response: httpx.Response) -> list[Recognition | MingmuError]:
        try:
            return _recognitions(document_of(response))
        except BadImage as error:
            if len(images) > 1:
                raise
            return [error]  # a request of one image fails as a whole

    files = [("image", (str(number), data, "application/octet-stream")) for number, data in enumerate(images)]
    return Call(_recognize(recognizer, wished) | {"files": files}, read)


def _recognize(recognizer: str, wished: Wished) -> dict[str, Any]:
    params = {name: value for name, value in wished.items() if value is not None}
    return {"method": "POST", "url": f"/v1/recognizers/{quote(recognizer, safe='@')}/recognize", "params": params}


def recognizers() -> Call[Page[Listed]]:
    return listing("/v1/recognizers", "recognizers", listed)


def listed(row: Mapping[str, Any]) -> Listed:
    return Listed(row["name"], row["version"], row["digest"], row["created"])


def _recognitions(document: dict[str, Any]) -> list[Recognition | MingmuError]:
    said_by = document["recognizer"], document["version"], document["digest"]
    timing = document["timing_ms"]
    return [error_of(row["error"]) if "error" in row else Recognition(*said_by, _answer(row), timing) for row in document["answers"]]


def _answer(row: dict[str, Any]) -> Answer:
    if "boxes" in row:
        return Boxes(tuple(_box(box) for box in row["boxes"]))
    if "texts" in row:
        return Texts(tuple(Text(each["text"], each["score"], _points(each), tuple(each["confidences"])) for each in row["texts"]))
    if "plates" in row:
        return Plates(tuple(_plate(each) for each in row["plates"]))
    labels = tuple(Label(label["label"], label["score"], label.get("id")) for label in row["labels"])
    return Labels(labels, row.get("abstain", False))


def _box(row: dict[str, Any]) -> Box:
    return Box(**row | {"landmarks": tuple((x, y) for x, y in row.get("landmarks", ()))})


def _plate(row: dict[str, Any]) -> Plate:
    box = row["box"]
    place = box["x"], box["y"], box["width"], box["height"]
    kind, colour = row.get("kind"), row.get("colour")
    return Plate(row["text"], row["score"], place, _points(row), tuple(row["confidences"]), row["lines"], kind, colour)


def _points(row: dict[str, Any]) -> tuple[tuple[float, float], ...]:
    return tuple((x, y) for x, y in row["corners"])
