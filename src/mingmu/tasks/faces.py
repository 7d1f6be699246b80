"""Faces: found, aligned, and made into vectors that can be compared. One road for the command line, evaluation and the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mingmu.core.answers import Box, Boxes
from mingmu.core.errors import Conflict
from mingmu.core.pipeline import Look, Road
from mingmu.core.pixels import Frame, Pixels, whole
from mingmu.core.recognizer import Recognizer
from mingmu.core.runtime import FEATURES
from mingmu.tasks.alignment import SIDE, aligned, scale_of

DETECTOR, EMBEDDER = "yunet", "mobilefacenet"  # the recognizers that are the parts, by name; the second may be another
LANDMARKS = 5  # of a face: the eyes, the nose, the corners of the mouth
MARGIN = 0.25  # of the longer side, put around a picture in which no face was found: faces that fill all of it are found then
ENOUGH = 2.0  # pixels of the decoded picture for each pixel of an aligned face, a side, if the photo has them
LEAST_SIDE = 40.0  # pixels of the photo; a smaller face has not got what tells people apart
LEAST_DETAIL = 20.0  # variance of the Laplacian of an aligned face, in squared levels
MOST_TURNED = 0.35  # of the distance between the eyes: how far the tip of the nose lies beside the middle between them

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FaceParts:
    """What finds faces, and what makes vectors of them."""

    detector: Recognizer
    embedder: Recognizer

    def __post_init__(self) -> None:
        """Raises Conflict."""
        detect = self.detector.manifest.detect
        if detect is None or detect.landmarks != LANDMARKS:
            name = self.detector.manifest.name
            hint = f"remove it and pull that one: `mingmu remove {DETECTOR}`, `mingmu pull {DETECTOR}`"
            raise Conflict(f"{name} finds no faces with {LANDMARKS} landmarks, which {DETECTOR} of the catalog does; {hint}")
        manifest = self.embedder.manifest
        if manifest.task != "embed":
            raise Conflict(f"{manifest.name} makes no vectors of faces; {EMBEDDER} does, and what was imported with --task embed")

    @property
    def digests(self) -> dict[str, str]:
        """Who answers, as JSON has it."""
        return {"detector": self.detector.digest, "embedder": self.embedder.digest}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a face is not to be relied on."""

    kind: str
    detail: str


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face in a photo."""

    box: Box  # in pixels of the upright photo
    vector: Vector  # float32 [F], of length 1
    problems: tuple[Problem, ...]

    def document(self) -> dict[str, Any]:
        """Where it is and what is wrong with it, as JSON has it. Its vector is nobody's business."""
        (box,) = Boxes((self.box,)).document()["boxes"]
        problems = [{"kind": each.kind, "detail": each.detail} for each in self.problems]
        return {**box, "problems": problems}


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """The faces of a photo, the largest first."""

    faces: tuple[Face, ...]
    found: int  # how many there are; not all may have been asked for


def similarity_of(one: Vector, other: Vector) -> float:
    """How alike two faces are, -1 to 1: the cosine of the angle between their vectors."""
    return float(np.clip(one @ other, -1, 1))


def faces_in(parts: FaceParts, photo: bytes, *, most: int) -> Road[Faces]:
    """The `most` largest faces of a photo; where none is found, it is looked at again with a margin. Raises BadImage."""
    frame = parts.detector.frame(photo)
    boxes = yield from _found(parts, frame)
    if not boxes:
        boxes = yield from _found(parts, _with_margin(parts, photo))
    if not boxes:
        return Faces((), 0)
    found = sorted(boxes, key=lambda box: -box.width * box.height)
    chosen = found[:most]
    side = parts.embedder.manifest.pixels.size[0]
    picture, places = _decoded(parts, photo, chosen, frame.original, side)
    crops = [aligned(picture, points, side) for points in places]
    readings = yield Look(parts.embedder, [Frame(crop, (side, side), (0.0, 0.0, float(side), float(side))) for crop in crops])
    vectors = [reading.rows[FEATURES] for reading in readings]
    usual = crops if side == SIDE else [aligned(picture, points) for points in places]
    rows = zip(chosen, vectors, usual, strict=True)
    return Faces(tuple(Face(box, vector, problems_of(box, crop)) for box, vector, crop in rows), len(boxes))


def problems_of(box: Box, crop: Pixels) -> tuple[Problem, ...]:
    """What is wrong with a face, from its place in the photo and its 112x112 aligned pixels."""
    problems = []
    if (side := min(box.width, box.height)) < LEAST_SIDE:
        problems.append(Problem("too-small", f"the face is {side:.0f} pixels wide; at least {LEAST_SIDE:.0f} are needed"))
    if (detail := _detail(crop)) < LEAST_DETAIL:
        problems.append(Problem("blurred", f"the face has {detail:.0f} of detail; at least {LEAST_DETAIL:.0f} is needed"))
    if (turned := _turned(np.array(box.landmarks))) > MOST_TURNED:
        problems.append(
            Problem("turned", f"the nose lies {turned:.2f} eye distances beside the middle of the eyes; the limit is {MOST_TURNED}")
        )
    return tuple(problems)


def _found(parts: FaceParts, frame: Frame) -> Road[Sequence[Box]]:
    (reading,) = yield Look(parts.detector, [frame])
    answer = parts.detector.interpret(reading)
    return answer.boxes if isinstance(answer, Boxes) else ()


def _with_margin(parts: FaceParts, photo: bytes) -> Frame:
    """The photo with a margin in its mean colour, as the detector takes it; its view is that of the photo itself."""
    spec = parts.detector.manifest.pixels
    seen = whole(photo, parts.detector.limits, max(spec.size))
    height, width = seen.pixels.shape[:2]
    margin = max(1, round(max(height, width) * MARGIN))
    canvas = np.empty((height + 2 * margin, width + 2 * margin, 3), np.uint8)
    canvas[:] = np.rint(seen.pixels.mean(axis=(0, 1)))
    canvas[margin:-margin, margin:-margin] = seen.pixels
    frame = spec.frame_of(canvas)
    across, down = seen.original[0] / width, seen.original[1] / height
    left, top, right, bottom = (side - margin for side in frame.box)
    return Frame(frame.pixels, seen.original, (left * across, top * down, right * across, bottom * down))


def _decoded(
    parts: FaceParts, photo: bytes, boxes: Sequence[Box], original: tuple[int, int], side: int
) -> tuple[Pixels, list[NDArray[np.float64]]]:
    """The photo, large enough for the smallest face to be aligned to so many pixels a side, and where the landmarks lie in it."""
    smallest = min(scale_of(np.array(box.landmarks), max(side, SIDE)) for box in boxes)
    picture = whole(photo, parts.detector.limits, most=min(4096, round(max(original) * min(1.0, ENOUGH / smallest)) + 1))
    height, width = picture.pixels.shape[:2]
    scale = np.array([width / original[0], height / original[1]])
    return picture.pixels, [np.array(box.landmarks) * scale for box in boxes]


def _detail(crop: Pixels) -> float:
    """The variance of the Laplacian of the grey picture: small where nothing is sharp.

    J. L. Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy: a comparative study", ICPR 2000.
    """
    grey = crop.astype(np.float32).mean(axis=2)[SIDE // 6 : -SIDE // 6, SIDE // 6 : -SIDE // 6]
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(laplacian.var())


def _turned(points: NDArray[np.float64]) -> float:
    """How far the tip of the nose lies beside the middle between the eyes, along the line through them, in distances of the eyes."""
    across = points[1] - points[0]
    return float(abs((points[2] - (points[0] + points[1]) / 2) @ across) / max(float(across @ across), 1e-9))
