"""Pascal VOC: an XML file beside each image, and lists of names for train, val and test."""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from xml.etree import ElementTree as Xml

from mingmu.core.errors import MingmuError
from mingmu.core.labels import clean_label
from mingmu.data.dataset import Region, Split
from mingmu.data.finding import Finding
from mingmu.data.readers.entry import Entry, Report, boxed, is_image, split_in, split_named
from mingmu.data.readers.tree import Finder, Tree

MAX_XML_BYTES = 4 * 2**20


def is_voc(tree: Tree) -> bool:
    """Whether one of the XML files is an annotation; others may lie beside folders of images."""
    return any(_parsed(tree, name, lambda _: None) is not None for name in tree.names if name.lower().endswith(".xml"))


def read_voc(tree: Tree, report: Report) -> list[Entry]:
    """An entry for each annotation file that has an image of the same name, or of the name it states."""
    images = [name for name in tree.names if is_image(name)]
    by_stem, by_name = Finder(images, lambda path: path.stem), Finder(images)
    listed = _image_sets(tree)
    entries: dict[str, Entry] = {}
    for file in tree.names:
        if not file.lower().endswith(".xml") or (root := _parsed(tree, file, report)) is None:
            continue
        stem = PurePosixPath(file).stem
        stated = root.findtext("filename") or file
        name = by_stem.find(f"{stem}.xml", file) or by_name.find(stated, file)
        if name is None:
            report(Finding.of("missing-file", stated, detail=f"named by {file}"))
        elif name in entries:
            report(Finding.of("listed-twice", name, detail=f"annotated again by {file}"))
        else:
            split = listed.get(stem) or split_in(PurePosixPath(file).parent.as_posix())
            entries[name] = boxed(name, _boxes(root, file, report), split=split, unit="pixels", size=_size(root))
    bare = [Entry(name, (), listed.get(PurePosixPath(name).stem)) for name in images if name not in entries]
    return [*entries.values(), *bare]


def _parsed(tree: Tree, file: str, report: Report) -> Xml.Element | None:
    try:
        data = tree.read(file, MAX_XML_BYTES)
        if b"<!DOCTYPE" in data or b"<!ENTITY" in data:  # no annotation has them; they can make a small file huge
            raise Xml.ParseError("document types and entities are not accepted")
        root = Xml.fromstring(data)
    except (MingmuError, OSError, Xml.ParseError, ValueError, LookupError) as error:
        report(Finding.of("bad-annotation", file, detail=str(error)))
        return None
    return root if root.tag == "annotation" else None


def _boxes(root: Xml.Element, file: str, report: Report) -> list[Region]:
    """Boxes in pixels from 0: VOC counts from 1 and includes the last pixel, so xmin 1, xmax W is the whole width."""
    boxes: list[Region] = []
    for thing in root.iterfind("object"):
        label = clean_label(thing.findtext("name") or "")
        try:
            left, top, right, bottom = (float(thing.findtext(f"bndbox/{side}") or "nan") for side in ("xmin", "ymin", "xmax", "ymax"))
        except ValueError:
            left = right = top = bottom = math.nan
        if not label or not all(map(math.isfinite, (left, right, top, bottom))):
            report(Finding.of("bad-annotation", file, detail="an object without a name or without its four sides"))
        elif right <= left or bottom <= top:
            report(Finding.of("degenerate-box", file, detail=f"{label}: {left:g},{top:g} to {right:g},{bottom:g}"))
        else:
            x, y = max(0.0, left - 1), max(0.0, top - 1)
            boxes.append(Region(label, x, y, right - x, bottom - y))
    return boxes


def _size(root: Xml.Element) -> tuple[int, int] | None:
    width, height = root.findtext("size/width") or "", root.findtext("size/height") or ""
    return (int(width), int(height)) if width.isdecimal() and height.isdecimal() and int(width) and int(height) else None


def _image_sets(tree: Tree) -> dict[str, Split]:
    """The split of each stem that ImageSets/Main/train.txt, val.txt or test.txt list."""
    listed: dict[str, Split] = {}
    for name in tree.names:
        path = PurePosixPath(name)
        split = split_named(path.stem)
        if split and path.suffix == ".txt" and "imagesets" in (part.lower() for part in path.parts):
            lines = tree.read(name, MAX_XML_BYTES).decode("utf-8", "replace").splitlines()
            listed |= {line.split()[0]: split for line in lines if line.strip()}
    return listed
