"""What a contest has seen, and the page that tells it: a Markdown table and a plot."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from pydantic import TypeAdapter

from bench.load import Load

CONNECTIONS = (1, 8, 32, 64)
PLOTTED = 32  # connections
BATCHING, QUICKSTART = "batching", "quickstart"
TITLES = {BATCHING: "with batching, as their documentation sets it up", QUICKSTART: "their quickstarts, on eager torch"}
OURS = "Mingmu"


@dataclass(frozen=True)
class Visit:
    """One server in one round."""

    started: float  # seconds to the first right answer
    memory: int  # bytes of its processes under load
    loads: dict[int, Load]  # by connections


@dataclass
class Entry:
    """One server on one network."""

    network: str
    table: str
    server: str
    version: str
    visits: list[Visit] = field(default_factory=list)

    def rates(self, connections: int) -> list[float]:
        return [visit.loads[connections].rate for visit in self.visits]

    def rate(self, connections: int) -> float:
        return statistics.median(self.rates(connections))

    def middle(self, value: Callable[[Visit], float]) -> float:
        return statistics.median(value(visit) for visit in self.visits)

    @property
    def failures(self) -> int:
        return sum(load.failures for visit in self.visits for load in visit.loads.values())


@dataclass
class Ceiling:
    """What the bare machine did on one network."""

    network: str
    arrangement: str = ""  # the best one of the last round
    rates: list[float] = field(default_factory=list)
    lone: list[float] = field(default_factory=list)  # milliseconds

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)


@dataclass
class Result:
    """One network's contest, as it is kept until the page is written."""

    ceiling: Ceiling
    entries: list[Entry]
    terms: str  # when, and how long, in words

    @property
    def network(self) -> str:
        return self.ceiling.network


KEPT = TypeAdapter(Result)


def span(values: Sequence[float], digits: int = 0) -> str:
    """The median, and how far the rounds lie apart."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f}" if len(values) == 1 else f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def table(ceiling: Ceiling, entries: Sequence[Entry]) -> str:
    """One network's servers as a Markdown table, the fastest first."""
    heads = ["server", *(f"images/s at {count}" for count in CONNECTIONS), "of the ceiling", "p50 at 1, ms"]
    heads += ["p50, p99 at 64, ms", "failures", "memory, MB", "start, s"]
    lines = [heads, ["---"] * len(heads), *(_row(ceiling, entry) for entry in sorted(entries, key=lambda e: -e.rate(PLOTTED)))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(ceiling: Ceiling, entry: Entry) -> list[str]:
    shares = " / ".join(f"{entry.rate(count) / ceiling.rate:.2f}" for count in CONNECTIONS)
    p50, p99 = entry.middle(lambda v: v.loads[64].p50), entry.middle(lambda v: v.loads[64].p99)
    return [
        f"{entry.server} {entry.version}",
        *(span(entry.rates(count)) for count in CONNECTIONS),
        shares,
        f"{entry.middle(lambda v: v.loads[1].p50):.1f}",
        f"{p50:.0f}, {p99:.0f}",
        str(entry.failures),
        f"{entry.middle(lambda v: v.memory) / 1e6:.0f}",
        f"{entry.middle(lambda v: v.started):.1f}",
    ]


def ratios(entries: Sequence[Entry]) -> str:
    """How far Mingmu is ahead of its best rival, and of the median quickstart, in words."""
    ours = next((entry for entry in entries if entry.server == OURS), None)
    words = []
    for name, choose in ((BATCHING, max), (QUICKSTART, statistics.median)):
        others = [entry for entry in entries if entry.table == name and entry is not ours]
        if ours and others:
            shown = " / ".join(f"{ours.rate(count) / choose(other.rate(count) for other in others):.2f}" for count in CONNECTIONS)
            words.append(f"{OURS} to the {'best rival' if name == BATCHING else 'median quickstart'}: {shown}")
    return "; ".join(words)


def section(result: Result) -> str:
    """All there is to say of one network."""
    ceiling, entries = result.ceiling, result.entries
    tables = [name for name in TITLES if any(entry.table == name for entry in entries)]
    parts = [
        f"## {ceiling.network}",
        f"{result.terms} Ceiling in process: {span(ceiling.rates)} images/s ({ceiling.arrangement}); "
        f"a lone image with all cores: {span(ceiling.lone, 1)} ms. {ratios(entries)}",
    ]
    for name in tables:
        parts += [f"### {ceiling.network}, {TITLES[name]}", table(ceiling, [entry for entry in entries if entry.table == name])]
    return "\n\n".join(parts)


def page(results: Sequence[Result], plot: str) -> str:
    """The whole page."""
    intro = f"""# Beside the rivals

Printed by `make bench-rivals` on {machine()}.

JPEGs of 500x375 go in as bytes or base64, whichever a server's documentation sends, and the best five labels come out. Every server
has the same network and the same decoding (Mingmu's), and the runtime and the precision named above, even where `mingmu tune` would have
chosen faster ones; the quickstarts have eager torch and one worker. Each runs alone, in a virtual environment of its own, and they take
turns in every round. Answers are checked before anything is timed. Given are medians, in brackets the least and the most of the rounds;
"of the ceiling" is for {" / ".join(map(str, CONNECTIONS))} connections; memory counts shared pages for each process.

![Images a second at {PLOTTED} connections]({plot})"""
    return "\n\n".join([intro, *map(section, results)]) + "\n"


def machine() -> str:
    """This machine in plain words."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in cpuinfo if line.startswith("model name")), platform.machine())
    cores = sum(line.startswith("processor") for line in cpuinfo)
    kilobytes = int(Path("/proc/meminfo").read_text().split()[1])
    return f"{cores} cores of {model.strip()}, {kilobytes / 2**20:.0f} GiB of memory"


WIDTH, NAMES, BAR, GAP = 720, 150, 16, 6


def plot(results: Sequence[Result]) -> str:
    """Images a second as bars, a group for each network; the line is the ceiling."""
    parts, y = [], 10.0
    for result in results:
        ceiling, mine = result.ceiling, sorted(result.entries, key=lambda e: (e.table, -e.rate(PLOTTED)))
        scale = (WIDTH - NAMES - 60) / max(ceiling.rate, *(entry.rate(PLOTTED) for entry in mine))
        parts.append(f'<text x="0" y="{y + 12:.0f}" font-weight="bold">{escape(result.network)}</text>')
        top = y = y + 20
        for entry in mine:
            parts.append(_bar(entry, scale, y))
            y += BAR + GAP
        x = NAMES + ceiling.rate * scale
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.0f}" y2="{y - GAP:.0f}" stroke="#888" stroke-dasharray="4 3"/>')
        y += 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:.0f}" font-family="sans-serif" font-size="12" role="img" '
        f'aria-label="Images a second at {PLOTTED} connections"><rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _bar(entry: Entry, scale: float, y: float) -> str:
    rate = entry.rate(PLOTTED)
    name = entry.server + (", quickstart" if entry.table == QUICKSTART else "")
    colour = "#1b6e53" if entry.server == OURS else "#c9ced4" if entry.table == QUICKSTART else "#8aa0b8"
    return (
        f'<text x="{NAMES - 6}" y="{y + 12:.0f}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{NAMES}" y="{y:.0f}" width="{rate * scale:.1f}" height="{BAR}" fill="{colour}"/>'
        f'<text x="{NAMES + rate * scale + 5:.1f}" y="{y + 12:.0f}">{rate:.0f}</text>'
    )
