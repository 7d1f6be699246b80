"""What several workers give and cost: `python -m bench.workers [--quick]` (needs wrk and the extra `demo`; Linux only).

The service with one process and with several, each under wrk on kept-alive connections. Beside the speed: the processor time
of a request, in all and in the event loop's thread alone. Only one processor can work on one event loop, so one process
cannot give more than 1 / (the loop's time) answers a second, and needs no company before it has all / loop processors.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

import httpx

from bench.load import Load, Service, family, lua, photos, service, wrk
from mingmu import verbs
from mingmu.core.cpus import cpu_count
from mingmu.settings import Settings

TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1024  # KiB


@dataclass(frozen=True)
class Cost:
    """Processor time, in seconds: of processes as a whole, and of the threads that run their event loops."""

    whole: float
    loops: float

    @classmethod
    def of(cls, processes: Sequence[int]) -> Cost:
        return cls(sum(_used(f"/proc/{one}/stat") for one in processes), sum(_used(f"/proc/{one}/task/{one}/stat") for one in processes))


def _used(stat: str) -> float:
    fields = Path(stat).read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(process: int) -> dict[str, int]:
    """Memory of a process in MiB: all it sees, its share of what it shares with others, and what is its own alone."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    kib = {name: int(value) for name, value in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}
    return {"RSS": kib["Rss"] // MIB, "PSS": kib["Pss"] // MIB, "own": (kib["Private_Clean"] + kib["Private_Dirty"]) // MIB}


def servers(running: Service, workers: int) -> list[int]:
    """The processes that answer."""
    return [running.process] if workers == 1 else sorted(family(running.process).keys() - {running.process})


def measure(running: Service, workers: int, path: str, script: Path, connections: int, seconds: int) -> tuple[Load, Cost]:
    """One round of load, and what a request cost."""
    processes = servers(running, workers)
    before = Cost.of(processes)
    seen = wrk(running.address + path, script, connections, seconds)
    after, requests = Cost.of(processes), seen.rate * seconds
    return seen, Cost((after.whole - before.whole) / requests, (after.loops - before.loops) / requests)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="three seconds a round, one round")
    options.add_argument("--name", default="general")
    options.add_argument("--data-dir", type=Path)
    options.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options.add_argument("--connections", type=int, default=32)
    given = options.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    with tempfile.TemporaryDirectory() as scratch:
        data_dir = given.data_dir or Path(scratch) / "data"
        verbs.open_recognizer(Settings(data_dir=data_dir), given.name)
        run(given, data_dir, Path(scratch), *((3, 1) if given.quick else (8, 3)))


def run(given: argparse.Namespace, data_dir: Path, scratch: Path, seconds: int, rounds: int) -> None:
    script, path = lua(scratch, photos()), f"/v1/recognizers/{given.name}/recognize"
    found: dict[int, list[tuple[Load, Cost]]] = {workers: [] for workers in given.workers}
    with ExitStack() as stack:
        running = {workers: stack.enter_context(service(data_dir, workers=workers, job_workers=0)) for workers in given.workers}
        for workers, one in running.items():
            for _ in range(3 * workers):  # each worker loads it
                httpx.post(one.address + path, content=photos()[0], timeout=60).raise_for_status()
        for _ in range(rounds):  # in turn, so that a noisy machine disturbs all alike
            for workers, one in running.items():
                found[workers].append(measure(one, workers, path, script, given.connections, seconds))
        held = {workers: [memory(process) for process in servers(one, workers)] for workers, one in running.items()}
    print(f"{given.name}, {cpu_count()} cores, {given.connections} connections, {rounds} rounds of {seconds} s, photos 500x375")
    print("workers  images/s  p50 ms  p99 ms  failures  CPU ms a request (event loop)  memory of each, MiB: RSS, PSS, own")
    for workers, rows in found.items():
        loads, costs = zip(*rows, strict=True)
        rate, p50, p99 = (median(getattr(load, name) for load in loads) for name in ("rate", "p50", "p99"))
        cost = f"{median(cost.whole for cost in costs) * 1e3:17.2f} {f'({median(cost.loops for cost in costs) * 1e3:.2f})':12}"
        each = ", ".join(f"{mean(one[name] for one in held[workers]):.0f}" for name in ("RSS", "PSS", "own"))
        print(f"{workers:7} {rate:9.1f} {p50:7.1f} {p99:7.1f} {sum(load.failures for load in loads):9}  {cost}  {each}")
    alone = [cost for _, cost in found[min(found)]]
    loop, whole = median(cost.loops for cost in alone), median(cost.whole for cost in alone)
    print(f"one process: at most {1 / loop:.0f} answers a second, reached with {whole / loop:.0f} processors like these")


if __name__ == "__main__":
    main()
