"""Number plates: found, straightened by their corners, read, and checked against how they are written. One road for every door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mingmu.core.answers import Plate, Plates, Wish
from mingmu.core.manifest import DetectSpec, Manifest, PlatesSpec
from mingmu.core.pipeline import Look, Road
from mingmu.core.pixels import Frame, View
from mingmu.core.recognizer import Recognizer
from mingmu.core.runtime import BOXES, LANDMARKS, Outputs, Pixels
from mingmu.tasks.detect import seen
from mingmu.tasks.locate import CORNERS
from mingmu.tasks.plate_rules import PATTERNS, allowed, bare, kind_of, ranked
from mingmu.tasks.read import Line
from mingmu.tasks.rectification import rectified, size_of
from mingmu.tasks.text import READER, lines_of, packed, unpacked

DETECTOR = "detector"
COLOURS, ROWS = "colours", "rows"  # what is kept of each plate besides: its ground as a place in GROUNDS, and its lines of text
GROUNDS = ("white", "black", "blue", "green", "yellow")
MOST = 20  # plates of a picture that are read
SQUARE = 2.8  # times as wide as high; a plate below may have two lines, or be seen from the side
UPPER, LOWER = 0.43, 0.38  # of the height: where the first of two lines ends, and where the second begins
GROWN = 0.03  # of its sides: how far beyond a box without corners a plate may go
ANY_WISH = Wish()

Corners = NDArray[np.float64]


class PlatesRoad:
    """Reads the number plates of a picture. Its parts are a `detector`, best one that gives corners, and a `reader`."""

    outputs: tuple[str, ...] = ()
    parts = (DETECTOR, READER)

    def road(self, parts: Mapping[str, Recognizer], frame: Frame, manifest: Manifest) -> Road[Outputs]:
        """Boxes and corners in pixels of the frame, what each plate may say, the character that the rules choose first, its colour."""
        detector = parts[DETECTOR].manifest
        looked_at = detector.pixels.frame_of(frame.pixels)
        (reading,) = yield Look(parts[DETECTOR], [looked_at])
        boxes, corners = _places(reading.rows, looked_at.view, detector)
        crops = [rectified(frame.pixels, each) for each in corners]
        pieces = [_pieces(crop, each) for crop, each in zip(crops, corners, strict=True)]
        lines = iter((yield from lines_of(parts[READER], [piece for some in pieces for piece in some])))
        read = [_chosen([next(lines) for _ in some], manifest) for some in pieces]
        return {
            BOXES: boxes.astype(np.float32),
            CORNERS: corners.astype(np.float32),
            COLOURS: np.array([ground_of(crop) for crop in crops], np.float32),
            ROWS: np.array([rows for _, rows in read], np.float32),
            **packed([line for line, _ in read]),
        }

    def kept(self, rows: Outputs) -> Outputs:
        """All of it."""
        return rows

    def interpret(self, rows: Outputs, view: View, manifest: Manifest, wish: Wish) -> Plates:
        """The plates that are sure enough, the surest first, in pixels of the original."""
        spec = manifest.plates or PlatesSpec(rules="latin")
        least = spec.threshold if wish.threshold is None else wish.threshold
        boxes, corners = view.back(rows[BOXES]).astype(np.float64), view.points_back(rows[CORNERS]).astype(np.float64)
        found = []
        for at, line in enumerate(unpacked(rows)):
            sure = tuple(round(float(each), 4) for each in line.confidences[:, 0])
            if not sure or min(sure) < least:
                continue
            text, colour = line.text(manifest.labels), int(rows[COLOURS][at])
            left, top, right, bottom = np.round(boxes[at], 2).tolist()
            found.append(
                Plate(
                    text=text,
                    score=min(sure),
                    box=(left, top, round(right - left, 2), round(bottom - top, 2)),
                    corners=tuple((x, y) for x, y in np.round(corners[at], 2).tolist()),
                    confidences=sure,
                    lines=int(rows[ROWS][at]),
                    kind=kind_of(text, spec.rules),
                    colour=None if colour < 0 else GROUNDS[colour],
                )
            )
        return Plates(tuple(sorted(found, key=lambda plate: -plate.score)[: wish.top]))


def ground_of(crop: Pixels) -> int:
    """What colour a plate's ground has, as a place in GROUNDS; -1 where the light leaves it open."""
    height, width = crop.shape[:2]
    red, green, blue = np.median(crop[height // 6 : -height // 6 or None, width // 12 : -width // 12 or None].reshape(-1, 3), axis=0)
    high, low = max(red, green, blue), min(red, green, blue)
    if high < 40 or (high - low) / high < 0.25:
        return 1 if high < 90 else 0 if low > 130 else -1
    if high == blue:
        return 2
    return 3 if high == green and green > 1.12 * red else 4 if min(red, green) > 1.3 * blue else -1


def _places(rows: Outputs, view: View, detector: Manifest) -> tuple[Corners, Corners]:
    """Boxes [N, 4] and corners [N, 4, 2] of the plates in pixels of the picture."""
    found = seen(rows, view, detector.detect or DetectSpec(), ANY_WISH)
    boxes = found.boxes[:MOST].astype(np.float64)
    if LANDMARKS in rows:
        return boxes, view.points_back(rows[LANDMARKS][found.rows[:MOST]]).astype(np.float64)
    grown = (boxes[:, 2:] - boxes[:, :2]) * GROWN
    (left, top), (right, bottom) = (boxes[:, :2] - grown).T, (boxes[:, 2:] + grown).T
    return boxes, np.stack([left, top, right, top, right, bottom, left, bottom], axis=1).reshape(-1, 4, 2)


def _pieces(crop: Pixels, corners: Corners) -> list[Pixels]:
    """A plate as one line, and, where it may have two, as these."""
    width, height = size_of(corners)
    if width > SQUARE * height or len(crop) < 8:
        return [crop]
    return [crop, crop[: round(UPPER * len(crop))], crop[round(LOWER * len(crop)) :]]


def _chosen(lines: Sequence[Line], manifest: Manifest) -> tuple[Line, int]:
    """What a plate says, of its one line, or of that and two: what is written as plates are, or else what is surer. And how many lines."""
    patterns = PATTERNS[manifest.plates.rules] if manifest.plates else ()
    lines = [bare(line, manifest.labels) for line in lines]
    whole = ranked(lines[0], manifest.labels, patterns)
    if len(lines) == 1:
        return whole, 1
    classes, confidences = (np.concatenate([getattr(line, name) for line in lines[1:]]) for name in ("classes", "confidences"))
    both = ranked(Line(classes, confidences), manifest.labels, patterns)

    def good(line: Line) -> tuple[bool, float]:
        return allowed(line.text(manifest.labels), patterns), float(line.confidences[:, 0].min(initial=1.0)) if len(line.classes) else 0.0

    return (both, 2) if len(lines[2].classes) and good(both) > good(whole) else (whole, 1)
