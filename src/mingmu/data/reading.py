"""Reads labelled images from wherever they are: a folder, an archive, a table, COCO, Pascal VOC or YOLO."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from mingmu.core.cpus import cpu_count
from mingmu.core.errors import BadRequest, MingmuError, NotFound
from mingmu.core.headers import read_header
from mingmu.core.pixels import Limits
from mingmu.data.dataset import Blobs, Dataset, Example, Region
from mingmu.data.duplicates import exact_findings
from mingmu.data.finding import Finding
from mingmu.data.phash import SPEC
from mingmu.data.readers import archive
from mingmu.data.readers.coco import is_coco, read_coco
from mingmu.data.readers.entry import Entry, Report
from mingmu.data.readers.folder import read_folder, read_named
from mingmu.data.readers.table import TABLE_SUFFIXES, is_table, read_table
from mingmu.data.readers.tree import FolderTree, Tree
from mingmu.data.readers.voc import is_voc, read_voc
from mingmu.data.readers.yolo import is_yolo, read_yolo

Progress = Callable[[str, float], None]
T = TypeVar("T")
FRAME = re.compile(r"(.+)[._](?:avi|m4v|mkv|mov|mp4|webm)[#_]t[=_][\d.]+", re.IGNORECASE)
LAYOUTS = ("folder", "table", "coco", "voc", "yolo")


@dataclass(frozen=True)
class Reading:
    """What was read, and what was wrong with it."""

    dataset: Dataset
    findings: tuple[Finding, ...]
    layout: str  # one of LAYOUTS
    images: int  # how many were named or found; len(dataset) of them were kept

    @property
    def summary(self) -> str:
        """One sentence: what was kept, and what was not."""
        left_out = self.images - len(self.dataset)
        kept = f"{len(self.dataset)} of {self.images} images kept" if left_out else f"{self.images} images, all kept"
        counts = Counter(finding.kind for finding in self.findings)
        wrong = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
        return f"{self.layout}: {kept}, {len(self.dataset.labels)} labels" + (f"; findings: {wrong}" if wrong else "")


def read(
    source: Path,
    blobs: Blobs,
    progress: Progress | None = None,
    limits: Limits = Limits(),
    archive_limits: archive.ArchiveLimits = archive.DEFAULT_LIMITS,
    *,
    texts: bool = False,
) -> Reading:
    """Read a dataset and keep its images in `blobs`, once each. With `texts` the label of an image is what stands in it.

    Every image is decoded once, small, so that a file cut short is found now and not while teaching. What is wrong
    becomes a finding and does not stop the rest. Raises NotFound, and BadRequest or BodyTooLarge where nothing can be read.
    """
    if not source.exists():
        raise NotFound(f"there is no file or folder {source}")
    findings: list[Finding] = []
    with _opened(source, archive_limits) as tree:
        layout, entries = _entries(source, tree, findings.append, texts)
        findings += tree.findings
        examples = list(_examples(tree, entries, blobs, limits, findings.append, progress))
    dataset = Dataset.of(examples)
    findings += _whole(entries, dataset)
    return Reading(dataset, tuple(findings), layout, len(entries))


def _opened(source: Path, limits: archive.ArchiveLimits) -> AbstractContextManager[Tree]:
    if source.is_dir():
        return nullcontext(FolderTree(source))
    if archive.is_archive(source):
        return archive.opened(source, limits)
    if source.suffix.lower() not in (*TABLE_SUFFIXES, ".json"):
        known = ", ".join(("a folder", ".zip", *archive.TAR_SUFFIXES, *TABLE_SUFFIXES, ".json (COCO)"))
        raise BadRequest(f"{source.name} is no dataset that we know; known are {known}")
    beside = source.resolve().parent
    return nullcontext(FolderTree(beside.parent if beside.name.lower() == "annotations" else beside))


def _entries(source: Path, tree: Tree, report: Report, texts: bool) -> tuple[str, list[Entry]]:
    """The layout's name and an entry for each image."""
    if texts:
        return _text_entries(source, tree, report)
    if isinstance(tree, FolderTree) and source.is_file():
        name = source.resolve().relative_to(tree.root).as_posix()
        return ("coco", read_coco(tree, name, report)) if name.endswith(".json") else ("table", read_table(tree, name, report))
    names = tree.names
    shallow = [name for name in names if name.count("/") <= 2]
    if files := [name for name in shallow if name.endswith(".json") and is_coco(tree, name)]:
        return "coco", _first_of_each((entry for file in files for entry in read_coco(tree, file, report)), report)
    if is_voc(tree):
        return "voc", read_voc(tree, report)
    if is_yolo(tree):
        return "yolo", read_yolo(tree, report)
    top = min((name.count("/") for name in names), default=0)
    if tables := [name for name in names if name.count("/") == top and is_table(tree, name)]:
        return "table", _first_of_each((entry for file in tables for entry in read_table(tree, file, report)), report)
    return "folder", read_folder(tree, report)


def _text_entries(source: Path, tree: Tree, report: Report) -> tuple[str, list[Entry]]:
    """Texts stand in a table, or else are what the files are named after."""
    top = min((name.count("/") for name in tree.names), default=0)
    files = [source.name] if source.is_file() else [name for name in tree.names if name.count("/") == top and is_table(tree, name)]
    if tables := [name for name in files if name.lower().endswith(TABLE_SUFFIXES)]:
        return "table", _first_of_each((entry for file in tables for entry in read_table(tree, file, report, texts=True)), report)
    return "folder", read_named(tree, report)


def _first_of_each(entries: Iterable[Entry], report: Report) -> list[Entry]:
    found: dict[str, Entry] = {}
    for entry in entries:
        if found.setdefault(entry.name, entry) is not entry:
            report(Finding.of("listed-twice", entry.name))
    return list(found.values())


def _examples(
    tree: Tree, entries: list[Entry], blobs: Blobs, limits: Limits, report: Report, progress: Progress | None
) -> Iterator[Example]:
    """The entries whose images can be decoded, in order. Files wait in memory only for a few threads."""

    def load(entry: Entry) -> _Photo | Finding:
        return _load(tree, entry, limits)

    for number, (entry, photo) in enumerate(_in_order(load, entries), start=1):
        if isinstance(photo, Finding):
            report(photo)
        else:
            group, regions = entry.group or clip_of(entry.name), _regions(entry, photo, report)
            yield Example(blobs.put(photo.data), entry.labels, entry.name, entry.split, group, regions)
        if progress:
            progress("reading", number / len(entries))


def clip_of(name: str) -> str | None:
    """The video that a picture was cut from, where its name says so, as `ride.mp4#t=12.jpg` or `ride_mp4_t_12.jpg`."""
    found = FRAME.fullmatch(PurePosixPath(name).stem)
    return found[1] if found else None


def _in_order(load: Callable[[Entry], T], entries: Iterable[Entry]) -> Iterator[tuple[Entry, T]]:
    workers = cpu_count()
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque[tuple[Entry, Future[T]]]()
        for entry in entries:
            waiting.append((entry, pool.submit(load, entry)))
            if len(waiting) > 2 * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()


@dataclass(frozen=True, slots=True)
class _Photo:
    data: bytes
    size: tuple[int, int]  # width, height, upright
    orientation: int  # Exif 1..8


def _load(tree: Tree, entry: Entry, limits: Limits) -> _Photo | Finding:
    try:
        data = tree.read(entry.name, limits.max_bytes)
        return _Photo(data, SPEC.frame(data, limits).original, read_header(data).orientation)
    except NotFound:
        return Finding.of("missing-file", entry.name)
    except (MingmuError, OSError) as error:
        return Finding.of("unreadable", entry.name, detail=str(error))


def _regions(entry: Entry, photo: _Photo, report: Report) -> tuple[Region, ...]:
    """The boxes in pixels of the upright image, cut at its edges."""
    width, height = photo.size
    boxes = entry.boxes
    if entry.unit == "shares":
        boxes = tuple(replace(b, x=b.x * width, y=b.y * height, width=b.width * width, height=b.height * height) for b in boxes)
    elif entry.size and entry.size != photo.size:
        if entry.size == (height, width) and photo.orientation >= 5:  # drawn on the picture as stored, before it was turned upright
            boxes = tuple(_turned(box, photo) for box in boxes)
        else:
            stated = f"{entry.size[0]}x{entry.size[1]}"
            report(Finding.of("size-mismatch", entry.name, detail=f"stated {stated}, the image is {width}x{height}"))
    kept = [_cut(box, photo.size, entry.name, report) for box in boxes]
    return tuple(box for box in kept if box)


def _turned(box: Region, photo: _Photo) -> Region:
    """A box of the stored picture in the upright one; orientations 5 to 8 swap the axes (Exif 2.32, tag 274)."""
    width, height = photo.size
    x, y = box.y, box.x
    if photo.orientation in (6, 7):
        x = width - x - box.height
    if photo.orientation in (7, 8):
        y = height - y - box.width
    return replace(box, x=x, y=y, width=box.height, height=box.width)


def _cut(box: Region, size: tuple[int, int], name: str, report: Report) -> Region | None:
    left, top = min(max(box.x, 0.0), size[0]), min(max(box.y, 0.0), size[1])
    right, bottom = min(box.x + box.width, size[0]), min(box.y + box.height, size[1])
    said = f"{box.label}: {box.x:g},{box.y:g} {box.width:g}x{box.height:g} in {size[0]}x{size[1]}"
    if right <= left or bottom <= top:
        report(Finding.of("degenerate-box", name, detail=said))
        return None
    if max(left - box.x, top - box.y, box.x + box.width - right, box.y + box.height - bottom) > 1:
        report(Finding.of("box-outside", name, detail=said))
    return replace(box, x=left, y=top, width=right - left, height=bottom - top)


def _whole(entries: list[Entry], dataset: Dataset) -> Iterator[Finding]:
    """What can be said only of the whole: classes that came to nothing, unlabelled images, the same file twice."""
    for label in sorted({label for entry in entries for label in entry.labels} - set(dataset.labels)):
        yield Finding.of("empty-class", label, detail="none of its images can be read")
    if unlabelled := [example.name for example in dataset if not example.labels]:
        yield Finding.of("unlabelled", *unlabelled, detail=f"{len(unlabelled)} images without a label")
    yield from exact_findings(dataset)
