"""Text: lines are found, straightened, turned the right way up, and read. One road for the command line, evaluation and the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mingmu.core.answers import Texts, Wish
from mingmu.core.manifest import Manifest
from mingmu.core.pipeline import Look, Road
from mingmu.core.pixels import Frame, PixelSpec, View
from mingmu.core.recognizer import Reading, Recognizer
from mingmu.core.runtime import Outputs, Pixels
from mingmu.tasks.locate import CORNERS
from mingmu.tasks.read import CHARACTERS, CONFIDENCES, Line, line_of, written
from mingmu.tasks.rectification import rectified

LOCATOR, TURNER, READER = "locator", "turner", "reader"  # the parts, by the name of what they do
UPRIGHT = 1.5  # times as high as wide: then the line runs from top to bottom
TURNED = 0.5  # how sure it must be that a line stands on its head, to be read that way, too
LEAST_SCORE = 0.5  # of a line, unless a request says otherwise
MOST_WIDE = 8  # widths of the reader's frame; longer lines are squeezed

Corners = NDArray[np.float64]


class TextRoad:
    """Reads all lines of a picture. Its parts are a `locator`, a `turner` and a `reader`."""

    outputs: tuple[str, ...] = ()
    parts = (LOCATOR, TURNER, READER)

    def road(self, parts: Mapping[str, Recognizer], frame: Frame, manifest: Manifest) -> Road[Outputs]:
        """Corners [N, 4, 2] of the lines in pixels of the frame, from top to bottom, and what they may say: see `packed`."""
        locator = parts[LOCATOR].manifest.pixels.frame_of(frame.pixels)
        (found,) = yield Look(parts[LOCATOR], [locator])
        corners = locator.view.points_back(found.rows[CORNERS]).astype(np.float64)
        corners = corners[reading_order(corners)]
        standing = np.array([_stands(each) for each in corners], bool)
        corners[standing] = np.roll(corners[standing], -1, axis=1)
        crops = [rectified(frame.pixels, each) for each in corners]
        turner = parts[TURNER].manifest.pixels
        seen = yield Look(parts[TURNER], [turner.frame_of(_beginning(turner, crop)) for crop in crops])
        doubtful = [at for at, reading in enumerate(seen) if standing[at] or reading.scores[1] > TURNED]
        lines = yield from lines_of(parts[READER], [*crops, *(np.ascontiguousarray(crops[at][::-1, ::-1]) for at in doubtful)])
        for at, turned in zip(doubtful, lines[len(crops) :], strict=True):
            if _sureness(turned) >= _sureness(lines[at]):
                corners[at], lines[at] = np.roll(corners[at], 2, axis=0), turned
        return {CORNERS: corners.astype(np.float32), **packed(lines[: len(crops)])}

    def kept(self, rows: Outputs) -> Outputs:
        """All of it."""
        return rows

    def interpret(self, rows: Outputs, view: View, manifest: Manifest, wish: Wish) -> Texts:
        """The lines that are sure enough, in pixels of the original."""
        least = LEAST_SCORE if wish.threshold is None else wish.threshold
        places = np.round(view.inside(rows[CORNERS]).astype(np.float64), 2).tolist()
        found = []
        for line, place in zip(unpacked(rows), places, strict=True):
            text = written(line.text(manifest.labels).strip(), line.confidences[:, 0], tuple((x, y) for x, y in place))
            if text.text and text.score >= least:
                found.append(text)
        return Texts(tuple(found[: wish.top]))


def lines_of(reader: Recognizer, crops: Sequence[Pixels]) -> Road[list[Line]]:
    """What crops say, each one line. Those of a reader that takes lines of any length are looked at in frames as wide as they need."""
    spec = reader.manifest.pixels
    readings: list[Reading] = yield Look(reader, [_wide_enough(spec, crop).frame_of(crop) for crop in crops])
    return [line_of(reading.rows) for reading in readings]


def packed(lines: Sequence[Line]) -> Outputs:
    """Lines as arrays: classes and confidences [N, L, K], 0 behind the end of a line."""
    shape = len(lines), max((len(line.classes) for line in lines), default=0), max((line.classes.shape[1] for line in lines), default=0)
    classes, confidences = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for row, line in enumerate(lines):
        classes[row, : len(line.classes)], confidences[row, : len(line.classes)] = line.classes, line.confidences
    return {CHARACTERS: classes, CONFIDENCES: confidences}


def unpacked(rows: Outputs) -> list[Line]:
    """The lines that were packed."""
    both = zip(rows[CHARACTERS].astype(np.int64), rows[CONFIDENCES], strict=True)
    return [Line(classes[written], confidences[written]) for classes, confidences in both for written in [classes[:, :1].any(axis=1)]]


def reading_order(corners: Corners) -> NDArray[np.int64]:
    """The numbers of lines [N, 4, 2] from top to bottom; those side by side, whose middles are within half of a line's height, from left to
    right.
    """
    middles = corners.mean(axis=1)
    heights = np.linalg.norm(corners[:, 3] - corners[:, 0], axis=1)
    rows: list[list[int]] = []
    for at in np.argsort(middles[:, 1], kind="stable").tolist():
        if rows and middles[at, 1] - middles[rows[-1][0], 1] < 0.5 * min(heights[at], heights[rows[-1][0]]):
            rows[-1].append(at)
        else:
            rows.append([at])
    order = [at for row in rows for at in sorted(row, key=lambda at: middles[at, 0])]
    return np.array(order, np.int64)


def _stands(corners: Corners) -> bool:
    edges = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    return bool(edges[1] >= UPRIGHT * edges[0])


def _sureness(line: Line) -> float:
    """How much of a line was read, and how surely: what is upside down has few characters, but these may be as sure as any."""
    return float(line.confidences[:, 0].sum()) if len(line.confidences) else 0.0


def _beginning(spec: PixelSpec, crop: Pixels) -> Pixels:
    """As much of a line as the turner's frame holds in its full height: lines that are made smaller it cannot tell from turned ones."""
    width, height = spec.size
    return np.ascontiguousarray(crop[:, : max(1, crop.shape[0] * width // height)])


def _wide_enough(spec: PixelSpec, crop: Pixels) -> PixelSpec:
    """The reader's frame, or for a long line one that is a whole number of halves longer."""
    if spec.fit != "letterbox":
        return spec
    width, height = spec.size
    halves = int(np.clip(np.ceil(2 * crop.shape[1] * height / (crop.shape[0] * width)), 1, 2 * MOST_WIDE))
    return spec.model_copy(update={"size": (width * halves // 2, height), "fit": "letterbox" if halves < 2 * MOST_WIDE else "squash"})
