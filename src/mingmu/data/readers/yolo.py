"""YOLO: a text file of boxes beside each image, and the names of the classes in data.yaml or classes.txt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePosixPath

from mingmu.core.errors import BadRequest, MingmuError
from mingmu.core.labels import clean_label
from mingmu.data.dataset import Region, Split
from mingmu.data.finding import Finding
from mingmu.data.readers.entry import Entry, Report, boxed, is_image, split_in, split_named
from mingmu.data.readers.tree import Tree

NAME_LISTS = ("classes.txt", "obj.names")
MAX_TEXT_BYTES = 4 * 2**20


def is_yolo(tree: Tree) -> bool:
    """Whether there is a configuration, or a list of classes and a text beside an image: folders of images have lists, too."""
    if _configuration(tree):
        return True
    names = frozenset(tree.names)
    listed = any(PurePosixPath(name).name in NAME_LISTS for name in names)
    return listed and any(_annotation_of(name) in names for name in filter(is_image, names))


def read_yolo(tree: Tree, report: Report) -> list[Entry]:
    """An entry for each image; one without a text file, or with an empty one, shows nothing. Raises BadRequest without class names."""
    document = _configuration(tree)
    classes = _class_names(tree, document)
    names = frozenset(tree.names)
    entries = []
    for image in sorted(filter(is_image, names)):
        file = _annotation_of(image)
        boxes = _boxes(_text(tree, file, report), file, classes, report) if file in names else []
        entries.append(boxed(image, boxes, split=_split(image, document), unit="shares", size=None))
    return entries


def _annotation_of(image: str) -> str:
    """`train/images/1.jpg` has `train/labels/1.txt`; without such a folder the text lies beside the image."""
    path = PurePosixPath(image).with_suffix(".txt")
    parts = list(path.parts)
    if "images" in parts[:-1]:
        at = len(parts) - 2 - parts[-2::-1].index("images")
        parts[at] = "labels"
    return PurePosixPath(*parts).as_posix()


def _text(tree: Tree, file: str, report: Report) -> str:
    try:
        return tree.read(file, MAX_TEXT_BYTES).decode("utf-8", "replace")
    except (MingmuError, OSError) as error:
        report(Finding.of("bad-annotation", file, detail=str(error)))
        return ""


def _boxes(text: str, file: str, classes: dict[int, str], report: Report) -> list[Region]:
    """Lines of `class x y width height` (centre and size) or `class x1 y1 x2 y2 x3 y3 …` (an outline), as shares of the image."""
    boxes: list[Region] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        box = _box(line.split(), classes)
        if box is None:
            report(Finding.of("bad-annotation", file, detail=f"line {number}: {line[:80]}"))
        elif box.width <= 0 or box.height <= 0:
            report(Finding.of("degenerate-box", file, detail=f"line {number}: {line[:80]}"))
        else:
            boxes.append(box)
    return boxes


def _box(words: Sequence[str], classes: dict[int, str]) -> Region | None:
    try:
        label = classes[int(words[0])]
        values = [float(word) for word in words[1:]]
    except (KeyError, ValueError):
        return None
    if not all(map(math.isfinite, values)):
        return None
    if len(values) == 4:
        x, y, width, height = values
        return Region(label, x - width / 2, y - height / 2, width, height)
    if len(values) < 6 or len(values) % 2:
        return None
    across, down = values[::2], values[1::2]
    return Region(label, min(across), min(down), max(across) - min(across), max(down) - min(down))


def _configuration(tree: Tree) -> dict[str, object]:
    """The YAML file at the top that has `names`; empty: there is none."""
    import yaml  # type: ignore[import-untyped]

    for name in tree.names:
        if PurePosixPath(name).suffix.lower() in (".yaml", ".yml") and name.count("/") <= 1:
            try:
                document = yaml.safe_load(tree.read(name, MAX_TEXT_BYTES))
            except (yaml.YAMLError, ValueError, RecursionError) as error:
                if PurePosixPath(name).stem.lower() != "data":  # of something else: not ours to judge
                    continue
                raise BadRequest(f"{name} is no YAML: {error}") from error
            if isinstance(document, dict) and document.get("names"):
                return document
    return {}


def _class_names(tree: Tree, document: dict[str, object]) -> dict[int, str]:
    found = document.get("names")
    if isinstance(found, list):
        found = dict(enumerate(found))
    if isinstance(found, dict):
        if any(isinstance(word, dict | list) for word in (*found, *found.values())):  # by its anchors, a small file can spell a huge one
            raise BadRequest("the class names are no words: write them into data.yaml as names: [cat, dog]")
        return {int(number): clean_label(str(name)) for number, name in found.items() if str(number).isdecimal()}
    for name in tree.names:
        if PurePosixPath(name).name in NAME_LISTS:
            lines = tree.read(name, MAX_TEXT_BYTES).decode("utf-8", "replace").splitlines()
            return dict(enumerate(clean_label(line) for line in lines if line.strip()))
    raise BadRequest("the class names are missing: put them into data.yaml (names) or classes.txt")


def _split(image: str, document: dict[str, object]) -> Split | None:
    """What data.yaml says of the image's folder, else what the path itself says."""
    for key in ("train", "val", "valid", "test"):
        said = document.get(key)
        for folder in said if isinstance(said, list) else [said]:
            prefix = (
                PurePosixPath(str(folder).replace("\\", "/")).as_posix().replace("../", "").strip("/") if isinstance(folder, str) else ""
            )
            if prefix and f"/{image}".find(f"/{prefix}/") >= 0:
                return split_named(key)
    return split_in(PurePosixPath(image).parent.as_posix())
