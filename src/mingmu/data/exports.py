"""Writes a dataset back out: as a folder for each class, as CSV, or as COCO."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import orjson

from mingmu.core.errors import Conflict
from mingmu.core.headers import read_header
from mingmu.core.pixels import PixelSpec
from mingmu.data.dataset import Blobs, Dataset, Example

TABLE = "labels.csv"
UNLABELLED = "unlabelled"
_LOOK = PixelSpec(size=(8, 8), fit="squash", filter="nearest")
Place = Callable[[Example], PurePosixPath]


def to_folder(dataset: Dataset, blobs: Blobs, target: Path) -> None:
    """`target/[split/]label/file`. Raises Conflict if `target` is not empty, or if an example has several labels."""
    several = next((example for example in dataset if len(example.labels) > 1), None)
    if several:
        raise Conflict(f"{several.name} has {len(several.labels)} labels, a folder per class holds one; export as CSV or COCO")
    _write(dataset, blobs, _emptied(target), lambda example: PurePosixPath(example.split or "", _safe((*example.labels, UNLABELLED)[0])))


def to_csv(dataset: Dataset, blobs: Blobs, target: Path) -> None:
    """`target/labels.csv` with path, label, split and group, and `target/images`. Boxes are not kept. Raises Conflict."""
    paths = _write(dataset, blobs, _emptied(target), lambda _: PurePosixPath("images"))
    with (target / TABLE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "split", "group"))
        for example, path in zip(dataset, paths, strict=True):
            labels = example.labels if not any("|" in label or ";" in label for label in example.labels) else _listed(example)
            writer.writerow((path, "|".join(labels), example.split or "", example.group or ""))


def to_coco(dataset: Dataset, blobs: Blobs, target: Path) -> None:
    """`target/annotations/<split>.json` and `target/images`; a label without a box becomes an annotation without one. Raises Conflict."""
    paths = _write(dataset, blobs, _emptied(target), lambda _: PurePosixPath("images"))
    numbers = {label: number for number, label in enumerate(_all_labels(dataset), start=1)}
    (target / "annotations").mkdir()
    for split in sorted({example.split or "all" for example in dataset}):
        part = [
            (at, example, path) for at, (example, path) in enumerate(zip(dataset, paths, strict=True)) if (example.split or "all") == split
        ]
        document = {
            "images": [_image(at, example, path, blobs) for at, example, path in part],
            "annotations": [record | {"id": number} for number, record in enumerate(_annotations(part, numbers), start=1)],
            "categories": [{"id": number, "name": label} for label, number in numbers.items()],
        }
        (target / "annotations" / f"{split}.json").write_bytes(orjson.dumps(document))


def _all_labels(dataset: Dataset) -> list[str]:
    return sorted({*dataset.labels, *(region.label for example in dataset for region in example.regions)})


def _image(at: int, example: Example, path: PurePosixPath, blobs: Blobs) -> dict[str, object]:
    width, height = _LOOK.frame(blobs.get(example.image)).original
    return {"id": at, "file_name": path.name, "width": width, "height": height}


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


def _emptied(target: Path) -> Path:
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise Conflict(f"{target} is not empty; name a new folder")
    return target


def _write(dataset: Dataset, blobs: Blobs, target: Path, place: Place) -> list[PurePosixPath]:
    """Write each image into its place, under its own name and a number; gives the paths, relative to `target`."""
    paths = []
    for number, example in enumerate(dataset):
        data = blobs.get(example.image)
        name = PurePosixPath(example.name)
        suffix = name.suffix if name.suffix.isascii() and name.suffix else f".{read_header(data).kind.lower()}"
        path = place(example) / f"{_safe(name.stem)}-{number:06}{suffix.lower()}"
        (target / path.parent).mkdir(parents=True, exist_ok=True)
        (target / path).write_bytes(data)
        paths.append(path)
    return paths


def _safe(text: str) -> str:
    """A file name that means the same on every system and leads nowhere else."""
    kept = "".join("_" if letter in '/\\:*?"<>|' or not letter.isprintable() else letter for letter in text).strip(". ")
    return kept[:60] or "_"
