from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from bench.load import Load
from bench.rivals.results import (
    BATCHING,
    CONNECTIONS,
    KEPT,
    QUICKSTART,
    Ceiling,
    Entry,
    Result,
    Visit,
    page,
    plot,
    ratios,
    section,
    span,
    table,
)


def entry(server: str, rates: tuple[float, ...], kind: str = BATCHING, failures: int = 0) -> Entry:
    visits = [Visit(2.0, 300_000_000, {count: Load(rate, 10.0, 20.0, failures) for count in CONNECTIONS}) for rate in rates]
    return Entry("general", kind, server, "1.2", visits)


@pytest.fixture
def ceiling() -> Ceiling:
    return Ceiling("general", "processes: 2", [100.0, 110.0, 90.0], [12.0])


def test_a_figure_is_the_median_with_the_least_and_the_most() -> None:
    assert span([3, 1, 2]) == "2 (1–3)"
    assert span([2.04], 1) == "2.0"


def test_the_table_has_the_fastest_first_with_shares_of_the_ceiling(ceiling: Ceiling) -> None:
    lines = table(ceiling, [entry("slow", (40,)), entry("fast", (90, 95, 100), failures=1)]).splitlines()
    assert lines[0].startswith("| server | images/s at 1 |")
    assert lines[2].startswith("| fast 1.2 | 95 (90–100) |")
    assert "0.95 / 0.95 / 0.95 / 0.95" in lines[2]
    assert "| 12 | 300 | 2.0 |" in lines[2]  # failures, memory, start
    assert lines[3].startswith("| slow 1.2 | 40 |")


def test_mingmu_is_compared_with_the_best_rival_and_the_median_quickstart() -> None:
    entries = [entry("Mingmu", (90,)), entry("a", (60,)), entry("b", (45,)), *(entry("c", (rate,), QUICKSTART) for rate in (10, 30, 90))]
    assert ratios(entries) == (
        "Mingmu to the best rival: 1.50 / 1.50 / 1.50 / 1.50; Mingmu to the median quickstart: 3.00 / 3.00 / 3.00 / 3.00"
    )


def test_nothing_is_compared_where_mingmu_or_its_rivals_did_not_run(ceiling: Ceiling) -> None:
    assert ratios([entry("a", (60,))]) == ratios([entry("Mingmu", (60,))]) == ""
    assert "### general, their quickstarts" not in section(Result(ceiling, [entry("a", (60,))], "3 rounds."))


def test_the_page_names_the_machine_and_shows_the_plot(ceiling: Ceiling) -> None:
    result = Result(ceiling, [entry("Mingmu", (90,))], "3 rounds.")
    text = page([KEPT.validate_json(KEPT.dump_json(result))], "rivals.svg")
    assert text.startswith("# Beside the rivals\n")
    assert "cores of" in text
    assert "](rivals.svg)" in text
    assert "## general\n\n3 rounds. Ceiling in process: 100 (90–110) images/s" in text


def test_the_plot_is_well_formed_and_no_bar_leaves_it(ceiling: Ceiling) -> None:
    drawn = ElementTree.fromstring(plot([Result(ceiling, [entry("<a> & b", (120,)), entry("c", (10,), QUICKSTART)], "")]))
    bars = [element for element in drawn.iter("{http://www.w3.org/2000/svg}rect") if element.get("x")]
    assert len(bars) == 2
    assert all(float(bar.attrib["x"]) + float(bar.attrib["width"]) <= 720 for bar in bars)
