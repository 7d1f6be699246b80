"""A folder for each class, with train, val and test above them or without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from mingmu.core.labels import clean_label
from mingmu.data.dataset import Split
from mingmu.data.finding import Finding
from mingmu.data.readers.entry import Entry, Report, is_image, split_named
from mingmu.data.readers.tree import Tree


def read_folder(tree: Tree, report: Report) -> list[Entry]:
    """An entry for each image: its label is the folder below the top, or below train, val, test.

    Images in a folder beside train and test are left out, and reported: nobody said which part they are.
    """
    images = [name for name in tree.names if is_image(name)]
    depth = _wrapping([*images, *(f"{folder}/" for folder in _empty(tree))]) if images else 0
    splits = _has_splits(images, depth)
    if splits and (beside := [name for name in images if not _part_of_a_split(name, depth)]):
        folders = sorted({PurePosixPath(name).parts[depth] for name in beside})
        report(Finding.of("beside-splits", *beside, detail=f"{len(beside)} images in {', '.join(folders)}, beside train or test"))
        images = [name for name in images if _part_of_a_split(name, depth)]
    entries = [_entry(name, depth, splits) for name in images]
    _report_empty(tree, depth + splits, {entry.labels for entry in entries}, report)
    if skipped := [name for name in tree.names if not is_image(name)]:
        report(Finding.of("skipped", *skipped))
    return entries


def read_named(tree: Tree, report: Report) -> list[Entry]:
    """An entry for each image: its label is the text that the file is named after, up to an underscore; train, val and test are folders."""
    found = []
    for name in tree.names:
        path = PurePosixPath(name)
        if is_image(name):
            text = clean_label(path.stem.partition("_")[0])
            found.append(Entry(name, (text,) if text else (), split_named(path.parts[0]) if len(path.parts) > 1 else None))
        else:
            report(Finding.of("skipped", name))
    return found


def _entry(name: str, depth: int, splits: bool) -> Entry:
    parts = PurePosixPath(name).parts[depth:-1]
    split: Split | None = split_named(parts[0]) if splits and parts else None
    classes = parts[splits:]
    return Entry(name, (clean_label(classes[0]),) if classes else (), split)


def _empty(tree: Tree) -> list[str]:
    """Folders without a single file: classes to be. One that holds lists or notes is none."""
    filled = {parent.as_posix() for name in tree.names for parent in PurePosixPath(name).parents}
    return [folder for folder in tree.folders if folder not in filled]


def _wrapping(names: Sequence[str]) -> int:
    """How many folders lie around everything: archives often hold one folder that holds the classes."""
    depth = 0
    paths = [name.split("/") for name in names]
    while len({path[depth] for path in paths}) == 1 and all(len(path) > depth + 2 or not path[-1] for path in paths):
        if split_named(paths[0][depth]) or all(len(path) <= depth + 2 for path in paths):
            break
        depth += 1
    return depth


def _has_splits(names: Sequence[str], depth: int) -> bool:
    """Whether the top folders are parts: all are named so, or else two or more are, and hold folders of classes.

    One alone is none beside others: a train is a vehicle, too.
    """
    tops = {parts[depth] for name in names if len(parts := PurePosixPath(name).parts) > depth + 1}
    parts_named = {top for top in tops if split_named(top)}
    if parts_named == tops:
        return bool(tops)
    flat = {parts[depth] for name in names if len(parts := PurePosixPath(name).parts) == depth + 2}
    return len({split_named(top) for top in parts_named}) > 1 and not parts_named & flat


def _part_of_a_split(name: str, depth: int) -> bool:
    parts = PurePosixPath(name).parts[depth:-1]
    return not parts or split_named(parts[0]) is not None


def _report_empty(tree: Tree, level: int, used: set[tuple[str, ...]], report: Report) -> None:
    classes = {clean_label(parts[level]) for folder in tree.folders if len(parts := PurePosixPath(folder).parts) == level + 1}
    for name in sorted(classes):
        if (name,) not in used:
            report(Finding.of("empty-class", name))
