"""Locating text: from a map of how likely each pixel belongs to some, to lines with corners. One implementation for all roads.

M. Liao and others, "Real-time Scene Text Detection with Differentiable Binarization", AAAI 2020: the map has each line shrunk by an
offset, so that lines side by side do not touch; here they are grown back (equation 10), as rectangles at any angle.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from mingmu.core.answers import Wish
from mingmu.core.errors import Conflict
from mingmu.core.manifest import Manifest
from mingmu.core.pixels import View
from mingmu.core.runtime import MASK, READ, SCORES, Outputs

LIKELY = 0.3  # of a pixel that is text
LEAST_SCORE = 0.5  # of a line: the mean of its pixels
GROWN = 1.6  # times area over perimeter: how far the edge of a line lies outside of its pixels
LEAST_SIDE = 3.0  # pixels of the map; thinner things are no text
MOST = 500  # lines of a picture; the largest are kept
CORNERS = "corners"  # what is kept of the lines: [N, 4, 2] in pixels of the frame

Points = NDArray[np.float64]


class Locate:
    """Reads a map, float32 [h, w] of values 0 to 1, as rectangles around lines of text. They say something only to who reads them."""

    outputs = READ["locate"]

    def kept(self, rows: Outputs) -> Outputs:
        """The corners of the lines, and their scores."""
        corners, scores = lines_in(rows[MASK])
        return {CORNERS: corners, SCORES: scores}

    def interpret(self, rows: Outputs, view: View, manifest: Manifest, wish: Wish) -> NoReturn:
        """Raises Conflict: lines that nobody reads are no answer."""
        raise Conflict(f"{manifest.name} finds lines and does not read them; it is a part of `text`")


def lines_in(mask: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Corners float32 [N, 4, 2] and scores [N] of the lines in a map: from the left upper corner clockwise, each line's longer edge across
    unless it stands upright.
    """
    from scipy import ndimage

    likely = mask > LIKELY
    likely[1:] |= likely[:-1].copy()  # lines that a gap of one pixel parts are one
    likely[:, 1:] |= likely[:, :-1].copy()
    numbers, _ = ndimage.label(likely, np.ones((3, 3)))
    found, scores = [], []
    for number, place in _largest(numbers, ndimage.find_objects(numbers)):
        own = numbers[place] == number
        score = float(mask[place][own].mean())
        corners = smallest_rectangle(_outline(own) + np.array([place[1].start, place[0].start]))
        sides = float(np.linalg.norm(corners[1] - corners[0])), float(np.linalg.norm(corners[3] - corners[0]))
        if score >= LEAST_SCORE and min(sides) >= LEAST_SIDE:
            found.append(_grown(corners, sides[0], sides[1]))
            scores.append(score)
    return np.array(found, np.float32).reshape(-1, 4, 2), np.array(scores, np.float32)


def smallest_rectangle(points: Points) -> Points:
    """The corners [4, 2] of the smallest rectangle around points [N, 2], from the left upper one clockwise.

    One of its edges lies on the convex hull: H. Freeman, R. Shapira, "Determining the minimum-area encasing rectangle for an arbitrary
    closed curve", Communications of the ACM 18 (1975).
    """
    hull = _hull(points)
    edges = np.roll(hull, -1, axis=0) - hull
    edges = edges / np.maximum(np.linalg.norm(edges, axis=1, keepdims=True), 1e-9)
    normals = np.stack([-edges[:, 1], edges[:, 0]], axis=1)
    along, aside = hull @ edges.T, hull @ normals.T  # [P, E]
    areas = np.ptp(along, axis=0) * np.ptp(aside, axis=0)
    best = int(areas.argmin())
    low, high = along[:, best].min(), along[:, best].max()
    near, far = aside[:, best].min(), aside[:, best].max()
    across, down = edges[best], normals[best]
    corners = np.array([low * across + near * down, high * across + near * down, high * across + far * down, low * across + far * down])
    return _ordered(corners)


def _ordered(corners: Points) -> Points:
    """Four corners, clockwise in a picture, from the one that is the left upper one if the rectangle is turned as little as can be."""
    x, y = (corners - corners.mean(axis=0)).T
    corners = corners[np.argsort(np.arctan2(y, x))]  # clockwise, for y grows downwards
    directions = np.roll(corners, -1, axis=0) - corners
    return np.roll(corners, -int(directions[:, 0].argmax()), axis=0)  # the upper edge runs to the right


def _largest(numbers: NDArray[np.int32], places: list[tuple[slice, slice]]) -> list[tuple[int, tuple[slice, slice]]]:
    sizes = np.bincount(numbers.ravel())[1:]
    return [(int(at) + 1, places[at]) for at in np.argsort(-sizes, kind="stable")[:MOST]]


def _outline(own: NDArray[np.bool_]) -> Points:
    """The corners of the first and the last pixel of each row, [N, 2]: the hull of these is the hull of all."""
    rows = np.flatnonzero(own.any(axis=1))
    first, last = own[rows].argmax(axis=1), own.shape[1] - own[rows][:, ::-1].argmax(axis=1)
    x = np.concatenate([first, last, first, last])
    return np.stack([x, np.concatenate([rows, rows, rows + 1, rows + 1])], axis=1).astype(np.float64)


def _hull(points: Points) -> Points:
    """The convex hull: A. Andrew, "Another efficient algorithm for convex hulls in two dimensions", 1979."""
    ordered = np.unique(points, axis=0).tolist()
    halves = []
    for some in (ordered, ordered[::-1]):
        half: list[list[float]] = []
        for point in some:
            while len(half) > 1 and _turn(half[-2], half[-1], point) <= 0:
                half.pop()
            half.append(point)
        halves += half[:-1]
    return np.array(halves)


def _turn(a: list[float], b: list[float], c: list[float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _grown(corners: Points, across: float, down: float) -> Points:
    """A rectangle with its edges moved outwards."""
    offset = GROWN * across * down / (2 * (across + down))
    right, below = (corners[1] - corners[0]) / across * offset, (corners[3] - corners[0]) / down * offset
    grown: Points = corners + np.array([-right - below, right - below, right + below, below - right])
    return grown
