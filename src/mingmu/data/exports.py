"""Writes a dataset back out: as a folder for each class, as CSV, or as COCO."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Literal

import orjson

from mingmu.core.errors import Conflict
from mingmu.core.headers import read_header
from mingmu.core.pixels import PixelSpec
from mingmu.data.dataset import Blobs, Dataset, Example
from mingmu.data.readers.entry import is_image, split_named
from mingmu.data.readers.tree import is_hidden

TABLE = "labels.csv"
_MEANINGFUL = re.compile(r"[|;]|^\[")  # to the reader of a table
_LOOK = PixelSpec(size=(8, 8), fit="squash", filter="nearest")
Layout = Literal["folder", "csv", "coco"]
Place = Callable[[Example], PurePosixPath]


def export(dataset: Dataset, blobs: Blobs, target: Path, layout: Layout | None = None) -> None:
    """Write a dataset as a layout, or else in the simplest one that `read` reads back whole.

    That is a folder for each class where this keeps everything, else CSV, and COCO if there are boxes. Raises Conflict if `target`
    is not empty, or if a folder for each class would lose labels. It is there as a whole or not at all.
    """
    write = {"folder": to_folder, "csv": to_csv, "coco": to_coco}[layout or _simplest(dataset)]
    write(dataset, blobs, target)


def _simplest(dataset: Dataset) -> Layout:
    if any(example.regions for example in dataset):
        return "coco"
    return "csv" if lost_in_folders(dataset) or any(example.group for example in dataset) else "folder"


def check_empty(target: Path) -> None:
    """Raise Conflict if there is something at `target` already."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Conflict(f"{target} is not empty; name a new folder")


def lost_in_folders(dataset: Dataset) -> str:
    """What a folder for each class could not hold, in words; empty: it holds the labels and the split."""
    for example in dataset:
        if len(example.labels) != 1:
            return f"{example.name} has {len(example.labels)} labels, a folder per class holds one"
        if _safe(example.labels[0]) != example.labels[0] or is_hidden(example.labels[0]) or split_named(example.labels[0]):
            return f"{example.labels[0]!r} cannot be the name of a folder for a class"
    if len({example.split is None for example in dataset}) > 1:
        return "some images have a split and others have none"
    return ""


def to_folder(dataset: Dataset, blobs: Blobs, target: Path) -> None:
    """`target/[split/]label/file`. Raises Conflict if `target` is not empty, or if labels or splits would be lost."""
    if lost := lost_in_folders(dataset):
        raise Conflict(f"{lost}; export as CSV or COCO")
    with _aside(target) as folder:
        _write(dataset, blobs, folder, lambda example: PurePosixPath(example.split or "", example.labels[0]))


def to_csv(dataset: Dataset, blobs: Blobs, target: Path) -> None:
    """`target/labels.csv` with path, label, split and group, and `target/images`. Boxes are not kept. Raises Conflict."""
    with _aside(target) as folder, (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        paths = _write(dataset, blobs, folder, lambda _: PurePosixPath("images"))
        writer = csv.writer(file)
        writer.writerow(("path", "label", "split", "group"))
        for example, path in zip(dataset, paths, strict=True):
            labels = _listed(example) if any(_MEANINGFUL.search(label) for label in example.labels) else example.labels
            writer.writerow((path, "|".join(labels), example.split or "", example.group or ""))


def to_coco(dataset: Dataset, blobs: Blobs, target: Path) -> None:
    """`target/annotations/<split>.json` and `target/images`; a label without a box becomes an annotation without one. Raises Conflict."""
    numbers = {label: number for number, label in enumerate(_all_labels(dataset), start=1)}
    with _aside(target) as folder:
        paths = _write(dataset, blobs, folder, lambda _: PurePosixPath("images"))
        (folder / "annotations").mkdir()
        for split in sorted({example.split or "all" for example in dataset}):
            rows = enumerate(zip(dataset, paths, strict=True))
            part = [(at, example, path) for at, (example, path) in rows if (example.split or "all") == split]
            document = {
                "images": [_image(at, example, path, blobs) for at, example, path in part],
                "annotations": [record | {"id": number} for number, record in enumerate(_annotations(part, numbers), start=1)],
                "categories": [{"id": number, "name": label} for label, number in numbers.items()],
            }
            (folder / "annotations" / f"{split}.json").write_bytes(orjson.dumps(document))


def _all_labels(dataset: Dataset) -> list[str]:
    return sorted({*dataset.labels, *(region.label for example in dataset for region in example.regions)})


def _image(at: int, example: Example, path: PurePosixPath, blobs: Blobs) -> dict[str, object]:
    width, height = _LOOK.frame(blobs.get(example.image)).original
    record: dict[str, object] = {"id": at, "file_name": path.name, "width": width, "height": height}
    return record | {"group": example.group} if example.group else record


def _annotations(part: list[tuple[int, Example, PurePosixPath]], numbers: dict[str, int]) -> list[dict[str, object]]:
    records: list[dict[str, object]] = []
    for at, example, _ in part:
        for region in example.regions:
            box = [region.x, region.y, region.width, region.height]
            records.append({"image_id": at, "category_id": numbers[region.label], "bbox": box, "area": box[2] * box[3], "iscrowd": 0})
        boxed = {region.label for region in example.regions}
        records += [{"image_id": at, "category_id": numbers[label]} for label in example.labels if label not in boxed]
    return records


def _listed(example: Example) -> tuple[str]:
    return (orjson.dumps(example.labels).decode(),)


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """A folder to write into; it becomes `target` when all of it is there, and goes away if that fails."""
    check_empty(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        whole = Path(scratch, "whole")
        whole.mkdir()
        yield whole
        if target.exists():
            target.rmdir()
        whole.rename(target)


def _write(dataset: Dataset, blobs: Blobs, target: Path, place: Place) -> list[PurePosixPath]:
    """Write each image into its place, under its own name and a number; gives the paths, relative to `target`."""
    paths = []
    for number, example in enumerate(dataset):
        data = blobs.get(example.image)
        name = PurePosixPath(example.name)
        suffix = name.suffix if is_image(name.name) else f".{read_header(data).kind.lower()}"
        path = place(example) / f"{_safe(name.stem)}-{number:06}{suffix.lower()}"
        (target / path.parent).mkdir(parents=True, exist_ok=True)
        (target / path).write_bytes(data)
        paths.append(path)
    return paths


def _safe(text: str) -> str:
    """A file name that means the same on every system and leads nowhere else."""
    kept = "".join("_" if letter in '/\\:*?"<>|' or not letter.isprintable() else letter for letter in text).strip(". ")
    return kept[:60] or "_"
