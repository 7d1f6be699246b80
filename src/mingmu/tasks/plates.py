"""Number plates: found, straightened by their corners, read, and checked against how they are written. One road for every door."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mingmu.core.answers import Plate, Plates, Wish
from mingmu.core.manifest import DetectSpec, Manifest, PlatesSpec
from mingmu.core.pipeline import Look, Road
from mingmu.core.pixels import Frame, PixelSpec, View
from mingmu.core.recognizer import Reading, Recognizer
from mingmu.core.runtime import BOXES, LANDMARKS, Outputs, Pixels
from mingmu.tasks.boxes import Found
from mingmu.tasks.detect import seen
from mingmu.tasks.locate import CORNERS
from mingmu.tasks.outlines import outline
from mingmu.tasks.plate_rules import PATTERNS, Pattern, allowed, bare, kind_of, ranked
from mingmu.tasks.read import Line
from mingmu.tasks.rectification import rectified, size_of
from mingmu.tasks.text import READER, lines_of, packed, unpacked

DETECTOR = "detector"
CHINESE_DETECTOR, CHINESE_READER = "chinese-detector", "chinese-reader"  # parts that a chain may have besides
COLOURS, ROWS = "colours", "rows"  # what is kept of each plate besides: its ground as a place in GROUNDS, and its lines of text
GROUNDS = ("white", "black", "blue", "green", "yellow")
MOST = 20  # plates of a picture that are read
SQUARE = 2.8  # times as wide as high; a plate below may have two lines, or be seen from the side
UPPER, LOWER = 0.43, 0.38  # of the height: where the first of two lines ends, and where the second begins
SAME = 0.3  # of the larger one: boxes of two detectors that share more are of one plate
LARGE = 0.4  # of a picture's width; what seems to fill more may be a part of a plate
BRIGHT, DARKEST = 230.0, 10.0  # levels that the brightest hundredth of a picture is brought to, and is taken to have at least
WITHIN = 0.5  # of the smaller one, in a surer box of the same detector: then it is of no plate of its own
ANY_WISH = Wish()

Corners = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A plate in pixels of the frame; its characters are numbered as the chain's labels are."""

    box: NDArray[np.float64]  # [4]
    corners: Corners  # [4, 2]
    line: Line
    rows: int
    colour: int


class PlatesRoad:
    """Reads the number plates of a picture. Its parts are a `detector`, best one that gives corners, and a `reader`.

    It may have a `chinese-detector` and a `chinese-reader`, too. What those read counts where it is written as Chinese plates are; it
    takes the place of what the others made of the same plate.
    """

    outputs: tuple[str, ...] = ()
    parts = (DETECTOR, READER)

    def road(self, parts: Mapping[str, Recognizer], frame: Frame, manifest: Manifest) -> Road[Outputs]:
        """Boxes and corners in pixels of the frame, what each plate may say, the character that the rules choose first, its colour."""
        rules = manifest.plates.rules if manifest.plates else "latin"
        found = yield from _seen(parts[DETECTOR], parts[READER], frame, manifest, PATTERNS[rules], twice=True)
        if CHINESE_DETECTOR in parts and CHINESE_READER in parts:
            patterns = PATTERNS["chinese"]
            more = yield from _seen(parts[CHINESE_DETECTOR], parts[CHINESE_READER], frame, manifest, patterns, twice=False)
            more = [each for each in more if allowed(each.line.text(manifest.labels), patterns)]
            found = more + [each for each in found if not any(_common(each.box, other.box, max) > SAME for other in more)]
        return {
            BOXES: np.array([each.box for each in found], np.float32).reshape(-1, 4),
            CORNERS: np.array([each.corners for each in found], np.float32).reshape(-1, 4, 2),
            COLOURS: np.array([each.colour for each in found], np.float32),
            ROWS: np.array([each.rows for each in found], np.float32),
            **packed([each.line for each in found]),
        }

    def kept(self, rows: Outputs) -> Outputs:
        """All of it."""
        return rows

    def interpret(self, rows: Outputs, view: View, manifest: Manifest, wish: Wish) -> Plates:
        """The plates that are sure enough, the surest first, in pixels of the original."""
        spec = manifest.plates or PlatesSpec(rules="latin")
        least = spec.threshold if wish.threshold is None else wish.threshold
        boxes, corners = view.back(rows[BOXES]).astype(np.float64), view.inside(rows[CORNERS]).astype(np.float64)
        found = []
        for at, line in enumerate(unpacked(rows)):
            sure = tuple(round(float(each), 4) for each in line.confidences[:, 0])
            if not sure or float(line.confidences.max(axis=1).min()) < least:  # as it was read, before the rules chose among that
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
                    kind=kind_of(text),
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


def _found(detector: Recognizer, picture: Pixels, *, twice: bool) -> Road[tuple[Corners, Corners]]:
    """Boxes [N, 4] and corners [N, 4, 2] of the plates in a picture; `twice`: looking again, where it shows none or is filled by one."""
    spec = detector.manifest.pixels
    (first,) = yield Look(detector, [spec.frame_of(picture)])
    found = _plates(first, detector.manifest)
    looks = [(first, found)]
    width = picture.shape[1]
    if twice and (not len(found.boxes) or _large(found, width).any()):
        (second,) = yield Look(detector, [_from_afar(spec, picture)])
        again, found = _corrected(found, _plates(second, detector.manifest), width)
        looks = [(second, again), (first, found)]
    boxes = [found.boxes.astype(np.float64) for _, found in looks]
    return np.concatenate(boxes), np.concatenate([_corners(picture, *look) for look in looks])


def _corrected(found: Found, again: Found, width: int) -> tuple[Found, Found]:
    """What counts of a second look at a picture of this width, and what is left of the first.

    The second is asked about what seemed too large in the first, if that showed anything; what else was found stays as it was.
    """
    large = found[np.flatnonzero(_large(found, width))]
    if len(found.boxes):
        again = again[np.flatnonzero(_large(again, width) | _within(again, large))]
    if again.scores.max(initial=0) <= large.scores.max(initial=0):
        return again[np.arange(0)], found
    return again, found[np.flatnonzero(~_within(found, again))]


def _large(found: Found, width: int) -> Bools:
    """Which boxes fill so much of a picture of this width that each may be a part of a plate, bool [N]."""
    return np.asarray(np.ptp(found.boxes[:, ::2], axis=1) > LARGE * width)


def _corners(picture: Pixels, reading: Reading, found: Found) -> Corners:
    """The corners [N, 4, 2] of plates: those that the detector gives, or else what is seen of their outlines."""
    if LANDMARKS in reading.rows:
        return reading.view.points_back(reading.rows[LANDMARKS][found.rows]).astype(np.float64)
    return np.array([outline(picture, box) for box in found.boxes.astype(np.float64)]).reshape(-1, 4, 2)


def _from_afar(spec: PixelSpec, picture: Pixels) -> Frame:
    """A picture in the middle of a frame, half as large as it could be, and if it is dark, in better light."""
    height, width = picture.shape[:2]
    scale = min(spec.size[0] / width, spec.size[1] / height) / 2
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    small = spec.model_copy(update={"size": inner, "fit": "squash"}).frame_of(picture).pixels
    light = max(1.0, BRIGHT / max(DARKEST, float(np.percentile(small, 99))))
    pixels = np.full((*spec.size[::-1], 3), spec.pad_colour, np.uint8)
    x, y = (spec.size[0] - inner[0]) // 2, (spec.size[1] - inner[1]) // 2
    pixels[y : y + inner[1], x : x + inner[0]] = np.minimum(small * light, 255)
    across, down = width / inner[0], height / inner[1]
    left, top = -x * across, -y * down
    return Frame(pixels, (width, height), (left, top, left + spec.size[0] * across, top + spec.size[1] * down))


def _plates(reading: Reading, detector: Manifest) -> Found:
    """The boxes of plates in pixels of the picture."""
    found = seen(reading.rows, reading.view, detector.detect or DetectSpec(), ANY_WISH)
    return found[np.array(_apart(found.boxes.astype(np.float64))[:MOST], np.int64)]


def _seen(
    detector: Recognizer, reader: Recognizer, frame: Frame, manifest: Manifest, patterns: Sequence[Pattern], *, twice: bool
) -> Road[list[_Seen]]:
    """The plates that one detector finds, as one reader reads them."""
    boxes, corners = yield from _found(detector, frame.pixels, twice=twice)
    crops = [rectified(frame.pixels, each) for each in corners]
    pieces = [_pieces(crop, each) for crop, each in zip(crops, corners, strict=True)]
    lines = yield from lines_of(reader, [piece for some in pieces for piece in some])
    places = np.array([0, *(1 + manifest.labels.index(each) for each in reader.manifest.labels)])
    renumbered = iter([Line(places[line.classes], line.confidences) for line in lines])
    read = [_chosen([next(renumbered) for _ in some], manifest.labels, patterns) for some in pieces]
    return [_Seen(boxes[at], corners[at], line, rows, ground_of(crops[at])) for at, (line, rows) in enumerate(read) if len(line.classes)]


def _common(one: NDArray[np.float64], other: NDArray[np.float64], of: Callable[[float, float], float]) -> float:
    """What two boxes have in common, as a share of the area that `of` makes of theirs."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    areas = (float(np.prod(each[2:] - each[:2])) for each in (one, other))
    return float(np.prod(sides.clip(min=0))) / max(1e-9, of(*areas))


def _within(some: Found, others: Found) -> Bools:
    """Which boxes have at least half in common with one of the others, or that with them, bool [N]."""
    boxes, them = some.boxes.astype(np.float64), others.boxes.astype(np.float64)
    return np.array([any(_common(box, other, min) >= WITHIN for other in them) for box in boxes], np.bool_)


def _apart(boxes: NDArray[np.float64]) -> list[int]:
    """Which boxes [N, 4], the surest first, are of plates of their own: no plate lies within another, but a part of one does."""
    kept: list[int] = []
    for at, box in enumerate(boxes):
        if all(_common(box, boxes[other], min) < WITHIN for other in kept):
            kept.append(at)
    return kept


def _pieces(crop: Pixels, corners: Corners) -> list[Pixels]:
    """A plate as one line, and, where it may have two, as these."""
    width, height = size_of(corners)
    if width > SQUARE * height or len(crop) < 8:
        return [crop]
    return [crop, crop[: round(UPPER * len(crop))], crop[round(LOWER * len(crop)) :]]


def _chosen(lines: Sequence[Line], labels: Sequence[str], patterns: Sequence[Pattern]) -> tuple[Line, int]:
    """What a plate says, of its one line, or of that and two: what is written as plates are, or else what is surer. And how many lines."""
    lines = [bare(line, labels) for line in lines]
    whole = ranked(lines[0], labels, patterns)
    if len(lines) == 1:
        return whole, 1
    classes, confidences = (np.concatenate([getattr(line, name) for line in lines[1:]]) for name in ("classes", "confidences"))
    both = ranked(Line(classes, confidences), labels, patterns)

    def good(line: Line) -> tuple[bool, float]:
        return allowed(line.text(labels), patterns), float(line.confidences[:, 0].min(initial=1.0)) if len(line.classes) else 0.0

    return (both, 2) if len(lines[2].classes) and good(both) > good(whole) else (whole, 1)
