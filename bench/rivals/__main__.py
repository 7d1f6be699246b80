"""Mingmu beside other servers: `make bench-rivals`, or `python -m bench.rivals [--quick] [--networks …] [--servers …] [--write]`.

Needs wrk, the extra `demo` and, to make the networks, torch. The first run makes a virtual environment for each rival below
--cache, from the package index that pip is set up with. What was seen on a network is kept there, too, so that long contests can
be held one network at a time; with --write the page docs/rivals.md and its plot are written, of the last contest on each network.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

from bench.load import allow_connections, photos
from bench.rivals.contenders import BATCHING, MINGMU, QUICKSTART, ROOT, Contender, interpreter, version
from bench.rivals.contest import add_options, contest_on
from bench.rivals.networks import NETWORKS
from bench.rivals.results import CONNECTIONS, KEPT, Ceiling, Entry, Result, page, plot, section

PAGE, PLOT = ROOT / "docs/rivals.md", ROOT / "docs/rivals.svg"


def chosen(options: argparse.Namespace) -> list[tuple[str, Contender]]:
    """The contenders with their tables."""
    ours = replace(MINGMU, command=(*MINGMU.command, *shlex.split(options.mingmu)))
    everyone = [("batching", ours), *(("batching", each) for each in BATCHING[1:]), *(("quickstart", each) for each in QUICKSTART)]
    return [
        (table, contender)
        for table, contender in everyone
        if (not options.servers or contender.name.lower() in options.servers) and options.table in (table, "both")
    ]


def parse() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="one round of a second a row: only shows that all run")
    options.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    options.add_argument("--servers", nargs="+", type=str.lower, default=(), help="by name; all if none is given")
    options.add_argument("--table", choices=("batching", "quickstart", "both"), default="both")
    add_options(options)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=int, default=6)
    options.add_argument("--write", action="store_true", help="write docs/rivals.md and docs/rivals.svg")
    return options.parse_args()


def contest(given: argparse.Namespace, network: str) -> Result:
    """All rounds on one network."""
    seconds, rounds = (1, 1) if given.quick else (given.seconds, given.rounds)
    match = contest_on(network, given, photos(), seconds)
    found, entries = Ceiling(network), []
    for table, contender in chosen(given):
        python = interpreter(contender, contender.terms(match.terms), given.cache)
        entries.append((contender, Entry(network, table, contender.name, version(contender, python))))
    for number in range(rounds):  # all take turns in every round, so that a noisy machine disturbs all alike
        match.ceiling(found)
        for contender, entry in entries:
            entry.visits.append(match.visit(contender))
            rates = " / ".join(f"{entry.visits[-1].loads[count].rate:.0f}" for count in CONNECTIONS)
            print(f"{network}, round {number + 1}: {entry.server} ({entry.table}) {rates} images/s", flush=True)
    how = f"rounds: {rounds}, {seconds} s a row; {given.runtime} {given.precision}; batches of up to {given.batch} for the rivals"
    return Result(found, [entry for _, entry in entries], f"On {date.today():%d %B %Y}; {how}.")


def main() -> None:
    given = parse()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    allow_connections()
    kept: Path = given.cache / "results"
    kept.mkdir(parents=True, exist_ok=True)
    for network in given.networks:
        result = contest(given, network)
        (kept / f"{network}.json").write_bytes(KEPT.dump_json(result))
        print(section(result), flush=True)
    if given.write:
        files = [kept / f"{network}.json" for network in NETWORKS]
        results = [KEPT.validate_json(file.read_bytes()) for file in files if file.exists()]
        PAGE.write_text(page(results, PLOT.name))
        PLOT.write_text(plot(results))


if __name__ == "__main__":
    main()
