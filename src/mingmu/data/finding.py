"""What is wrong with a dataset, or may be: each finding says what, where, how sure and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

Severity = Literal["error", "warning", "info"]
SEVERITIES = ("error", "warning", "info")  # the worst first


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of finding: how bad it is, what it means, what to do about it."""

    severity: Severity
    meaning: str
    advice: str


KINDS: dict[str, Kind] = {
    # found while reading
    "unreadable": Kind("error", "the file is not a picture that can be decoded", "replace the file or remove it"),
    "missing-file": Kind("error", "an annotation names a file that is not there", "add the file or remove its line"),
    "path-outside": Kind("error", "a path leads out of the folder or archive", "put the file inside and use a relative path"),
    "special-file": Kind("error", "a link or a device; they are not followed", "put the file itself in its place"),
    "bad-annotation": Kind("error", "a line, box or annotation file that makes no sense", "correct it or remove it"),
    "listed-twice": Kind(
        "warning", "an annotation names the same file again; the first one counts", "join several labels by | in one line"
    ),
    "degenerate-box": Kind("warning", "a box without area; it was left out", "draw the box again or remove it"),
    "box-outside": Kind("warning", "a box reaches out of its image; it was cut at the edge", "check that the box belongs to this image"),
    "size-mismatch": Kind("warning", "the annotation states another size than the image has", "check that the boxes belong to this image"),
    "unlabelled": Kind("info", "images without a label; teaching leaves them out", "label them or remove them"),
    "beside-splits": Kind(
        "warning", "images in a folder beside train and test; they were left out", "move the folder into one of these, or out of the data"
    ),
    "empty-class": Kind("warning", "a class without a single readable image", "add images or remove the class"),
    "skipped": Kind("info", "files that are neither images nor annotations", "nothing, if this was meant"),
    # found in the labelled images
    "duplicate": Kind("warning", "the same file more than once", "keep one of them"),
    "label-clash": Kind(
        "error", "the same file, or nearly the same picture, with different labels", "decide on one label, or give it all of them"
    ),
    "near-duplicate": Kind("warning", "nearly the same picture more than once", "keep the first of them, it is the largest"),
    "split-leak": Kind(
        "error",
        "the same or nearly the same picture in train and in test",
        "keep it on one side, or accuracy looks better than it is",
    ),
    "label-error": Kind("warning", "the label is probably wrong", "look at it; correct the label or remove the image"),
    "tiny-box": Kind("info", "a box too small to be found in a frame of 416 pixels", "train with more pixels (--size), or remove the box"),
    "double-box": Kind("warning", "two boxes of one label in the same place", "remove one of them"),
    "box-clash": Kind("warning", "two boxes of different labels in the same place", "decide on one label"),
    "missing-box": Kind("warning", "a detector is sure of a thing that has no box", "box it, unless nothing is there"),
    "box-label": Kind("warning", "a detector is sure that a box is of another label", "look at it; correct the label"),
    "outlier": Kind("info", "unlike everything else in the dataset", "look at it; remove it if it does not belong"),
    "blurry": Kind("info", "much less sharp than the rest", "remove it unless such pictures will be asked about"),
    "dark": Kind("info", "nearly black, unlike the rest", "remove it unless such pictures will be asked about"),
    "bright": Kind("info", "nearly white, unlike the rest", "remove it unless such pictures will be asked about"),
    "odd-size": Kind("info", "much smaller or larger than the rest", "check where it comes from"),
    "odd-shape": Kind("info", "much wider or taller than the rest", "check where it comes from"),
    "seen-by-network": Kind(
        "warning", "photos that the network itself learned from; teaching leaves them out", "give others, or teach on another network"
    ),
    "test-only": Kind("error", "a label with images in the test part only", "put some of them into train"),
    "too-few": Kind("warning", "a label with too few images to measure it", "add images"),
    "imbalance": Kind("warning", "some labels have many times the images of others", "add images of the rare ones"),
}  # docs/data.md has this table, and a test compares
FOUND_WHILE_READING = frozenset(takewhile(lambda kind: kind != "duplicate", KINDS))  # of what became no photo, so that no audit sees it


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or may be."""

    kind: str  # a key of KINDS
    severity: Severity
    where: tuple[str, ...]  # names of examples or files; labels for empty-class, test-only, too-few and imbalance
    detail: str
    confidence: float | None = None  # 0..1 that it is so; None: it is a fact
    advice: str = ""
    suggestion: str | None = None  # label-error: the label it looks like

    @classmethod
    def of(cls, kind: str, *where: str, detail: str = "", confidence: float | None = None, suggestion: str | None = None) -> Finding:
        """A finding with the severity, the advice and, unless stated, the words of its kind."""
        known = KINDS[kind]
        return cls(kind, known.severity, where, detail or known.meaning, confidence, known.advice, suggestion)
