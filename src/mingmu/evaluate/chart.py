"""Plots as SVG text: no JavaScript, colours from the page's style sheet, a title for those who cannot see them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from mingmu.evaluate.box_measures import BoxClass
from mingmu.evaluate.calibration import Calibration, Selective
from mingmu.evaluate.learning import LearningCurve
from mingmu.evaluate.measure import Measures
from mingmu.evaluate.report import Epoch
from mingmu.evaluate.words import percent

Point = tuple[float, float]

WIDTH, HEIGHT = 420, 320
LEFT, RIGHT, TOP, BOTTOM = 52, 24, 12, 44
CURVE_STEPS = 60
NUMBERED = 25  # labels up to which the confusion matrix has its counts written in
FAINTEST = 0.2  # opacity of a cell that holds hardly any of its row
DRAWN = 120  # labels up to which it is drawn at all


@dataclass(frozen=True, slots=True)
class Axes:
    """Where values fall in a plot of 420 x 320."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def x(self, value: float) -> float:
        low, high = self.x_range
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def frame(
        self,
        x_name: str,
        y_name: str,
        x_ticks: Sequence[float],
        y_ticks: Sequence[float],
        x_text: Callable[[float], str],
        y_text: Callable[[float], str] = lambda share: percent(share, 0),
    ) -> str:
        """Grid, ticks and names of the axes."""
        base, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        across = (f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{self.y(t):.1f}" y2="{self.y(t):.1f}"/>' for t in y_ticks)
        beside = (f'<text x="{LEFT - 6}" y="{self.y(t) + 4:.1f}" text-anchor="end">{escape(y_text(t))}</text>' for t in y_ticks)
        below = (f'<text x="{self.x(t):.1f}" y="{base + 16}" text-anchor="middle">{escape(x_text(t))}</text>' for t in x_ticks)
        names = (
            f'<text class="name" x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_name)}</text>'
            f'<text class="name" transform="translate(13 {(TOP + base) / 2}) rotate(-90)" text-anchor="middle">{escape(y_name)}</text>'
        )
        return "".join([*across, *beside, *below, f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{base}" y2="{base}"/>', names])

    def line(self, points: Iterable[Point], style: str) -> str:
        return f'<polyline class="{style}" points="{self._path(points)}"/>'

    def band(self, lows: Sequence[Point], highs: Sequence[Point]) -> str:
        return f'<polygon class="band" points="{self._path([*lows, *reversed(highs)])}"/>'

    def dot(self, x: float, y: float, *, low: float | None = None, high: float | None = None, note: str = "") -> str:
        """A point, with a bar from `low` to `high`."""
        bar = ""
        if low is not None and high is not None:
            bar = f'<line class="error" x1="{self.x(x):.1f}" x2="{self.x(x):.1f}" y1="{self.y(low):.1f}" y2="{self.y(high):.1f}"/>'
        return f'<g><title>{escape(note)}</title>{bar}<circle class="dot" cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="3.5"/></g>'

    def _path(self, points: Iterable[Point]) -> str:
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)


def picture(title: str, body: str, width: float = WIDTH, height: float = HEIGHT) -> str:
    """An SVG with a title that is read out."""
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" style="max-width:{width:.0f}px" role="img" aria-label="{escape(title)}">{body}</svg>'
    )


def reliability(found: Calibration) -> str:
    """How often answers of a given confidence were right; on the diagonal confidence is what it says."""
    axes, tenths = Axes((0, 1), (0, 1)), [0, 0.2, 0.4, 0.6, 0.8, 1]
    dots = (
        axes.dot(
            bin.confidence,
            bin.accuracy.value,
            low=bin.accuracy.low,
            high=bin.accuracy.high,
            note=f"{bin.count} answers, {percent(bin.confidence)} sure, {percent(bin.accuracy.value)} right",
        )
        for bin in found.bins
    )
    frame = axes.frame("how sure it was", "how often it was right", tenths, tenths, lambda t: percent(t, 0))
    return picture("Reliability diagram", frame + axes.line([(0, 0), (1, 1)], "ideal") + "".join(dots))


def selective(rows: Sequence[Selective]) -> str:
    """Accuracy against the share of photos that are answered, the surest first."""
    ticks = share_ticks(min(row.accuracy.low for row in rows))
    axes = Axes((0, 1), (ticks[0], 1))
    lows, highs = ([(row.share, end) for row, end in zip(rows, ends, strict=True)] for ends in _ends(rows))
    frame = axes.frame("share of photos that get an answer", "accuracy of those", [0, 0.25, 0.5, 0.75, 1], ticks, lambda t: percent(t, 0))
    line = axes.line([(row.share, row.accuracy.value) for row in rows], "curve")
    return picture("Accuracy when the unsure may be refused", frame + axes.band(lows, highs) + line)


def learning(curve: LearningCurve) -> str:
    """Accuracy against the number of photos, with the fitted law and what it foretells."""
    ticks, forecast = share_ticks(min(point.accuracy for point in curve.points)), curve.forecast
    floor, axes = ticks[0], Axes((0, 1.05 * curve.twice), (ticks[0], 1))
    first, last = curve.points[0].examples, curve.points[-1].examples
    end = curve.twice if forecast else last
    steps = [first + (end - first) * i / CURVE_STEPS for i in range(CURVE_STEPS + 1)]
    law = [(n, max(floor, curve.accuracy(n))) for n in steps]
    body = axes.frame(
        "photos", "accuracy", [0, curve.twice / 4, curve.twice / 2, 3 * curve.twice / 4, curve.twice], ticks, lambda t: f"{t:.0f}"
    )
    body += axes.line([point for point in law if point[0] <= last], "curve") + axes.line([p for p in law if p[0] >= last], "ideal")
    body += "".join(axes.dot(p.examples, p.accuracy, note=f"{p.examples} photos: {percent(p.accuracy)}") for p in curve.points)
    if forecast:
        body += axes.dot(curve.twice, forecast.value, low=max(floor, forecast.low), high=forecast.high, note="forecast")
    return picture("Learning curve", body)


def losses(epochs: Sequence[Epoch]) -> str:
    """The loss after each epoch: on the photos that taught, and dashed on those held out."""
    held_out = [(epoch.number, epoch.held_out_loss) for epoch in epochs if epoch.held_out_loss is not None]
    top = max(epoch.loss for epoch in epochs)
    top = max([top, *(loss for _, loss in held_out)]) or 1.0
    axes, ticks = Axes((0, len(epochs)), (0, top)), [top * quarter / 4 for quarter in range(5)]
    body = axes.frame("epochs", "loss", _whole_ticks(len(epochs)), ticks, lambda n: f"{n:.0f}", lambda loss: f"{loss:.2f}")
    body += axes.line([(epoch.number, epoch.loss) for epoch in epochs], "curve") + axes.line(held_out, "ideal")
    return picture("Loss", body)


def accuracies(epochs: Sequence[Epoch], measure: str = "right of photos held out") -> str:
    """How good it was on the held-out photos after each epoch; empty where none were held out."""
    points = [(epoch.number, epoch.held_out_accuracy) for epoch in epochs if epoch.held_out_accuracy is not None]
    if not points:
        return ""
    ticks = share_ticks(min(accuracy for _, accuracy in points))
    axes = Axes((0, len(epochs)), (ticks[0], 1))
    body = axes.frame("epochs", measure, _whole_ticks(len(epochs)), ticks, lambda n: f"{n:.0f}")
    body += axes.line(points, "curve")
    body += "".join(axes.dot(number, accuracy, note=f"epoch {number}: {percent(accuracy)}") for number, accuracy in points)
    return picture("Accuracy while it learned", body)


def _whole_ticks(last: int) -> list[float]:
    step = max(1, math.ceil(last / 5))
    return [float(number) for number in range(0, last + 1, step)]


def confusion(measures: Measures) -> str:
    """What was said (columns) of photos of each label (rows), as shares of the row; labels without photos or answers are left out."""
    shown = [i for i, found in enumerate(measures.classes) if found.support or found.said]
    names = {i: measures.classes[i].label for i in shown}
    return board(names, measures.confusion, {i: measures.classes[i].support for i in shown}, "photos")


def board(names: Mapping[int, str], confusion: Sequence[tuple[int, int, int]], supports: Mapping[int, int], things: str) -> str:
    """How many things of each name (rows) were said to be each other (columns), as shares of the row.

    Counts are written in up to 25 names, names up to 120; beyond that nothing is drawn.
    """
    if not 0 < len(names) <= DRAWN:
        return ""
    side = 34 if len(names) <= NUMBERED else max(8, 900 // len(names))
    place = {index: i for i, index in enumerate(names)}
    font = min(12, side)
    gutter = 10 + 0.6 * font * max(min(len(name), 24) for name in names.values())
    cells = "".join(
        _cell(
            f"{count} of {supports[true]} {things} of {names[true]}: said {names[said]}",
            "hit" if true == said else "miss",
            count,
            FAINTEST + (1 - FAINTEST) * count / supports[true],
            (gutter + place[said] * side, gutter + place[true] * side),
            side,
            len(names) <= NUMBERED,
        )
        for true, said, count in confusion
    )
    middle = side / 2 + font / 3
    rows = "".join(
        f'<text x="{gutter - 5:.1f}" y="{gutter + i * side + middle:.1f}" text-anchor="end">{_short(name)}</text>'
        for i, name in enumerate(names.values())
    )
    columns = "".join(
        f'<text transform="translate({gutter + i * side + middle:.1f} {gutter - 5:.1f}) rotate(-90)">{_short(name)}</text>'
        for i, name in enumerate(names.values())
    )
    extent = side * len(names)
    ground = f'<rect class="board" x="{gutter:.1f}" y="{gutter:.1f}" width="{extent}" height="{extent}"/>'
    body = f'<g style="font-size:{font}px">{ground}{cells}{rows}{columns}</g>'
    return picture("Confusion matrix", body, gutter + extent + 2, gutter + extent + 2)


def _cell(note: str, style: str, count: int, opacity: float, corner: Point, side: int, numbered: bool) -> str:
    (x, y), number = corner, ""
    if numbered:
        contrast = " full" if opacity > 0.55 else ""
        number = f'<text class="count{contrast}" x="{x + side / 2:.1f}" y="{y + side / 2 + 4:.1f}" text-anchor="middle">{count}</text>'
    rect = (
        f'<rect class="{style}" x="{x + 0.5:.1f}" y="{y + 0.5:.1f}" width="{side - 1}" height="{side - 1}" fill-opacity="{opacity:.2f}"/>'
    )
    return f"<g><title>{escape(note)}</title>{rect}{number}</g>"


def hue(number: int, count: int) -> str:
    """The colour of one of so many lines."""
    return f"hsl({360 * number // count} 70% 45%)"


def precision_recall(classes: Sequence[BoxClass], threshold: float) -> str:
    """For each label, how many of the boxes said are right, the more of those there are found; a dot where the usual threshold lies."""
    axes, fifths = Axes((0, 1), (0, 1)), [0, 0.2, 0.4, 0.6, 0.8, 1]
    body = axes.frame("found of those there (recall)", "right of those said (precision)", fifths, fifths, lambda t: percent(t, 0))
    for number, found in enumerate(classes):
        colour = f'style="--line: {hue(number, len(classes))}"'
        name = f"<title>{escape(found.label)}</title>"
        body += f"<g {colour}>{name}{axes.line([(recall, precision) for recall, precision, _ in found.curve], 'curve')}</g>"
        sure = [point for point in found.curve if point[2] >= threshold]
        if sure:
            note = f"{found.label} from {threshold:g} on: {percent(sure[-1][0], 0)} found, {percent(sure[-1][1], 0)} right"
            body += f"<g {colour}>{axes.dot(*sure[-1][:2], note=note)}</g>"
    return picture("Precision and recall", body)


def _short(name: str) -> str:
    return escape(name if len(name) <= 24 else name[:23] + "…")


def _ends(rows: Sequence[Selective]) -> tuple[list[float], list[float]]:
    return [row.accuracy.low for row in rows], [row.accuracy.high for row in rows]


def share_ticks(lowest: float) -> list[float]:
    """Round shares from below the lowest up to 1, at most 6 steps."""
    step = next(percents for percents in (1, 2, 5, 10, 20) if percents * 6 >= 100 * (1 - lowest))
    count = max(1, math.ceil((100 - 100 * lowest) / step))
    return [max(0, 100 - step * i) / 100 for i in range(count, -1, -1)]
