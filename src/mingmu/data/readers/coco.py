"""COCO: one JSON file names the images, the categories and the boxes."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, FiniteFloat, ValidationError

from mingmu.core.errors import BadRequest
from mingmu.core.labels import clean_label
from mingmu.data.dataset import Region
from mingmu.data.finding import Finding
from mingmu.data.readers.entry import Entry, Report, boxed, is_image, split_in
from mingmu.data.readers.tree import Finder, Tree, is_outside

MAX_JSON_BYTES = 2**30
T = TypeVar("T", bound=BaseModel)


class _Category(BaseModel):
    id: int
    name: str


class _Image(BaseModel):
    id: int | str
    file_name: str
    width: int | None = None
    height: int | None = None
    group: str | None = None  # ours: COCO has no word for it


class _Annotation(BaseModel):
    image_id: int | str
    category_id: int
    bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = None  # x, y, width, height from the top left corner


def is_coco(tree: Tree, name: str) -> bool:
    """Whether a JSON file speaks COCO."""
    head = tree.read(name, MAX_JSON_BYTES)
    return b'"images"' in head and (b'"categories"' in head or b'"annotations"' in head)


def read_coco(tree: Tree, file: str, report: Report) -> list[Entry]:
    """An entry for each image of one COCO file; an annotation without a box is a label of the whole image. Raises BadRequest."""
    try:
        document = orjson.loads(tree.read(file, MAX_JSON_BYTES))
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"{file} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise BadRequest(f"{file} is no COCO file: it is not a JSON object")
    categories = {category.id: clean_label(category.name) for category in _parsed(_Category, document.get("categories"), file, report)}
    boxes, labels = _annotations(document, categories, file, report)
    finder = Finder([name for name in tree.names if is_image(name)])
    split = split_in(file)
    entries: dict[str, Entry] = {}
    for image in _parsed(_Image, document.get("images"), file, report):
        name = finder.find(image.file_name, file)
        if is_outside(image.file_name):
            report(Finding.of("path-outside", image.file_name, detail=f"named by {file}"))
        elif name is None:
            report(Finding.of("missing-file", image.file_name, detail=f"named by {file}"))
        elif name in entries:
            report(Finding.of("listed-twice", name, detail=f"named twice by {file}"))
        else:
            size = (image.width, image.height) if image.width and image.height else None
            entry = boxed(name, boxes[image.id], split=split, unit="pixels", size=size)
            whole = tuple(sorted({*entry.labels, *labels[image.id]}))
            entries[name] = Entry(name, whole, split, image.group, entry.boxes, "pixels", size)
    return list(entries.values())


def _annotations(
    document: dict[str, Any], categories: dict[int, str], file: str, report: Report
) -> tuple[dict[int | str, list[Region]], dict[int | str, set[str]]]:
    """The boxes and the labels of whole images, by image id."""
    boxes: dict[int | str, list[Region]] = defaultdict(list)
    labels: dict[int | str, set[str]] = defaultdict(set)
    for annotation in _parsed(_Annotation, document.get("annotations"), file, report):
        label = categories.get(annotation.category_id)
        if label is None:
            report(Finding.of("bad-annotation", file, detail=f"image {annotation.image_id}: there is no category {annotation.category_id}"))
        elif annotation.bbox is None:
            labels[annotation.image_id].add(label)
        else:
            boxes[annotation.image_id].append(Region(label, *annotation.bbox))
    return boxes, labels


def _parsed(model: type[T], records: object, file: str, report: Report) -> list[T]:
    """The records that make sense; the others are reported."""
    parsed: list[T] = []
    for number, record in enumerate(records if isinstance(records, list) else []):
        try:
            parsed.append(model.model_validate(record))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            report(Finding.of("bad-annotation", file, detail=f"{model.__name__[1:].lower()} {number}: {where}: {first['msg']}"))
    return parsed
