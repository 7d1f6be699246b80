"""What is wrong with boxes, or may be: too small to be found, drawn twice, of two labels; and where a detector says otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mingmu.data.dataset import Dataset, Example, Region
from mingmu.data.finding import Finding
from mingmu.tasks.boxes import Found, overlaps

FRAME = 416.0  # pixels a side that a detector usually looks at
LEAST = 4.0  # pixels of a side, there
SAME = 0.85  # share of the union from which on two boxes are one
SURE = 0.6  # score from which on a detector is believed
APART, UPON = 0.2, 0.6  # share of the union up to which there is no box, and from which on there is one


def box_findings(dataset: Dataset, sizes: NDArray[np.float64]) -> Iterator[Finding]:
    """`tiny-box`, `double-box` and `box-clash`; sizes [N, 2] are those of the upright photos, NaN where there is none."""
    for example, size in zip(dataset, sizes, strict=True):
        if example.regions and np.isfinite(size).all():
            yield from _tiny(example, FRAME / float(size.max()))
            yield from _twice(example)


def _tiny(example: Example, scale: float) -> Iterator[Finding]:
    small = [box for box in example.regions if min(box.width, box.height) * scale < LEAST]
    if small:
        least = min(small, key=lambda box: min(box.width, box.height))
        many = f"{len(small)} boxes, the smallest: " if len(small) > 1 else ""
        side = min(least.width, least.height) * scale
        yield Finding.of("tiny-box", example.name, detail=f"{many}{_said(least)}, {side:.1f} pixels there")


def _twice(example: Example) -> Iterator[Finding]:
    corners = _corners(example.regions)
    for one, other in np.argwhere(np.triu(overlaps(corners, corners), 1) >= SAME):
        first, second = example.regions[one], example.regions[other]
        kind = "double-box" if first.label == second.label else "box-clash"
        yield Finding.of(kind, example.name, detail=f"{_said(first)} and {_said(second)}")


def doubted(examples: Sequence[Example], said: Sequence[Found], labels: Sequence[str]) -> Iterator[Finding]:
    """`missing-box` and `box-label`: where a detector is sure of what nobody boxed, or boxed as something else. `labels` are its own."""
    for example, found in zip(examples, said, strict=True):
        sure = found[np.flatnonzero(found.scores >= SURE)]
        shared = overlaps(sure.boxes.astype(np.float64), _corners(example.regions))
        for at, place in enumerate(sure.boxes.tolist()):
            label, score = labels[sure.classes[at]], round(float(sure.scores[at]), 3)
            near = int(shared[at].argmax()) if example.regions else -1
            if near < 0 or shared[at][near] <= APART:
                left, top, right, bottom = place
                thing = Region(label, left, top, right - left, bottom - top)
                yield Finding.of("missing-box", example.name, detail=_said(thing), confidence=score, suggestion=label)
            elif shared[at][near] >= UPON and all(
                box.label != label for box, share in zip(example.regions, shared[at], strict=True) if share > APART
            ):
                detail = f"{_said(example.regions[near])} looks like {label}"
                yield Finding.of("box-label", example.name, detail=detail, confidence=score, suggestion=label)


def _corners(boxes: Sequence[Region]) -> NDArray[np.float64]:
    return np.array([(box.x, box.y, box.x + box.width, box.y + box.height) for box in boxes], np.float64).reshape(-1, 4)


def _said(box: Region) -> str:
    return f"{box.label} at {box.x:.0f},{box.y:.0f} of {box.width:.0f}x{box.height:.0f}"
