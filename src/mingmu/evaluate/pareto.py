"""Networks beside each other: how right, how fast, how large; and which of them nothing else beats in all of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from mingmu.evaluate.chart import Axes, picture, share_ticks
from mingmu.evaluate.intervals import Estimate, proportion
from mingmu.evaluate.words import percent
from mingmu.registry.tuning import Accuracy, Trial

LARGEST = 15.0  # radius of the largest network's circle; its area is the size on disk
ROOM = 1.25  # beyond the slowest, for its circle


def pareto_page(name: str, trials: Sequence[Trial], data: str) -> str:
    """A whole HTML document about a recognizer, the first of the trials, and what was made of it."""
    style = files("mingmu.evaluate").joinpath("page.css").read_text(encoding="utf-8")
    title = f"{escape(name)}, smaller"
    note = (
        "Upwards is more often right, to the left is sooner. The area of a circle is the size on disk; full: may serve; empty: refused. "
        "Bars: 95 % intervals. What stands at a corner of the dashed line is beaten by nothing in both."
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}</style></head>\n<body><main><header><h1>{title}</h1>"
        f'<p class="soft">Judged on {escape(data)}.</p></header>'
        f'<div class="beside"><figure>{pareto(trials)}<figcaption>{note}</figcaption></figure></div>{_table(trials)}</main></body></html>\n'
    )


def pareto(trials: Sequence[Trial]) -> str:
    """Accuracy against the time of one image alone; empty where fewer than two have both."""
    shown = [(each, each.lone_ms, accuracy) for each in trials if each.lone_ms is not None and (accuracy := _accuracy(each))]
    if len(shown) < 2:
        return ""
    ticks = share_ticks(min(accuracy.low for _, _, accuracy in shown))
    most_ms = ROOM * max(ms for _, ms, _ in shown)
    step = _round_step(most_ms / 5)
    times = [step * i for i in range(math.ceil(most_ms / step) + 1)]
    axes = Axes((0, times[-1]), (ticks[0], 1))
    body = axes.frame("one photo alone, ms", "accuracy", times, ticks, lambda ms: f"{ms:g}")
    body += axes.line(_front([(ms, accuracy.value) for _, ms, accuracy in shown], times[-1], ticks[0]), "ideal")
    most = max(trial.megabytes or 0 for trial, _, _ in shown) or 1
    for number, (trial, ms, accuracy) in enumerate(shown, start=1):
        body += _circle(axes, trial, number, ms, accuracy, LARGEST * math.sqrt((trial.megabytes or 0) / most))
    return picture("Accuracy, time and size", body)


def _circle(axes: Axes, trial: Trial, number: int, ms: float, accuracy: Estimate, radius: float) -> str:
    x, y = axes.x(ms), axes.y(accuracy.value)
    note = f"{trial.what}: {percent(accuracy.value)} right, {ms:.1f} ms, {trial.megabytes} MB; {trial.verdict}"
    bar = f'<line class="error" x1="{x:.1f}" x2="{x:.1f}" y1="{axes.y(accuracy.low):.1f}" y2="{axes.y(accuracy.high):.1f}"/>'
    disk = f'<circle class="{"taken" if trial.passed else "refused"}" cx="{x:.1f}" cy="{y:.1f}" r="{max(3.5, radius):.1f}"/>'
    return f'<g><title>{escape(note)}</title>{bar}{disk}<text x="{x + max(3.5, radius) + 3:.1f}" y="{y - 5:.1f}">{number}</text></g>'


def _front(points: Sequence[tuple[float, float]], slowest: float, lowest: float) -> list[tuple[float, float]]:
    """The corners of the line under which everything is beaten: in time, in accuracy, or in both."""
    corners: list[tuple[float, float]] = []
    best = lowest
    for ms, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if accuracy > best:
            corners += [(ms, best), (ms, accuracy)]
            best = accuracy
    return [*corners, (slowest, best)]


def _table(trials: Sequence[Trial]) -> str:
    names = ["", "network", "right", "one photo", "photos a second", "times as fast", "on disk", "verdict"]
    kinds = {"network": "name", "verdict": "text"}
    head = "".join(f'<th scope="col" class="{kinds.get(name, "")}">{name}</th>' for name in names)
    body = "".join(f"<tr>{_row(number, trial)}</tr>" for number, trial in enumerate(trials, start=1))
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(number: int, trial: Trial) -> str:
    accuracy = _accuracy(trial)
    cells = [
        f"{percent(accuracy.value)} <small>{100 * accuracy.low:.0f}–{100 * accuracy.high:.0f}</small>" if accuracy else "–",
        "–" if trial.lone_ms is None else f"{trial.lone_ms:.1f} ms",
        "–" if trial.images_per_second is None else f"{trial.images_per_second:.0f}",
        "–" if trial.ratio is None else f"{trial.ratio:.2f}",
        "–" if trial.megabytes is None else f"{trial.megabytes:.1f} MB",
    ]
    verdict = escape(trial.verdict) if trial.passed else f"<b>refused</b>: {escape(trial.verdict)}"
    begin = f'<th scope="row">{number}</th><td class="name">{escape(trial.what)}</td>'
    return f'{begin}{"".join(f"<td>{cell}</td>" for cell in cells)}<td class="text">{verdict}</td>'


def _accuracy(trial: Trial) -> Estimate | None:
    found = trial.accuracy
    return proportion(found.right, found.photos) if isinstance(found, Accuracy) else None


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10 … that is at least so much."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least)
