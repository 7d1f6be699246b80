"""What becomes of requests that do not wait for each other: `python -m bench.storm [--quick] [--networks …] [--servers …]` (needs wrk).

Open loop: requests come at random times (Poisson), at 50, 70 and 90 % of what the bare machine can do; latency counts from when a
request was due. Storm: three times as many come as the bare machine can do, every one on a connection of its own; then all who
still wait hang up, and a second later one photo is sent: it should be answered as if nothing had been. The servers are those of
`python -m bench.rivals`, Mingmu alone unless others are named. Answers are checked before anything is timed.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import uvloop

from bench.load import Post, Reply, allow_connections, arrivals, lua, offer, percentile, photos, resident, wrk
from bench.rivals.ceiling import arrangements, rate
from bench.rivals.contenders import BATCHING, MINGMU, Running, calm, interpreter, running
from bench.rivals.contest import Contest, add_options, contest_on
from bench.rivals.networks import NETWORKS

SHARES = (0.5, 0.7, 0.9)
OVERLOAD = 3.0
CALM = 1.0  # seconds between the end of the storm and the photo that must be answered at once
LONE = 20  # photos sent one after another, before and after


@dataclass
class Memory:
    """What a server's processes hold while something goes on."""

    samples: list[int] = field(default_factory=list)

    @contextmanager
    def watching(self, process: int, every: float = 0.5) -> Iterator[None]:
        done = threading.Event()

        def watch() -> None:
            while not done.wait(every):
                self.samples.append(resident(process))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def lone(post: Post, count: int) -> float:
    """Median milliseconds of photos sent one after another."""
    return percentile([one(post)[1] for _ in range(count)], 50)


def one(post: Post) -> tuple[int, float]:
    """The status that a photo gets, and after how many milliseconds."""
    began = time.perf_counter()
    status = httpx.post(post.url, content=post.bodies[0], headers={"Content-Type": post.content_type}, timeout=60).status_code
    return status, 1e3 * (time.perf_counter() - began)


def open_loop(server: Running, per_second: float, seconds: float, lone_ms: float) -> None:
    replies = uvloop.run(offer(server.post, arrivals(per_second, seconds)))
    answered = [1e3 * reply.seconds for reply in replies if reply.status == 200]
    p50, p99 = percentile(answered, 50), percentile(answered, 99)
    print(
        f"  {per_second:6.1f}/s: {len(answered)} of {len(replies)} answered, {refusals(replies)}; "
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms = {p99 / lone_ms:.1f} lone requests; {lateness(replies)}"
    )


def storm(server: Running, per_second: float, seconds: float, most: float, lone_ms: float) -> None:
    before, memory = resident(server.process), Memory()
    with memory.watching(server.process):
        replies = uvloop.run(offer(server.post, arrivals(per_second, seconds), patience=0))
    ended = time.monotonic()
    in_time = sum(reply.status == 200 for reply in replies) / seconds
    refused = [1e3 * reply.seconds for reply in replies if reply.status not in (0, 200)]
    print(f"  {per_second:6.1f}/s: {in_time:.1f} good answers a second = {in_time / most:.2f} of the most; {refusals(replies)}")
    print(f"    refusals: p50 {percentile(refused, 50):.1f} ms, p99 {percentile(refused, 99):.1f} ms; {lateness(replies)}")
    time.sleep(max(0.0, ended + CALM - time.monotonic()))
    (status, first), later = one(server.post), lone(server.post, LONE)
    print(f"    {CALM:g} s after it a photo gets {status} in {first:.1f} ms = {first / lone_ms:.1f} lone requests; then {later:.1f} ms")
    after, megabyte = resident(server.process), 1e6
    peak = max([before, after, *memory.samples])
    print(f"    memory: {before / megabyte:.0f} MB before, {peak / megabyte:.0f} at most, {after / megabyte:.0f} after")


def refusals(replies: Sequence[Reply]) -> str:
    """How the others fared, by HTTP status."""
    others = Counter(reply.status for reply in replies if reply.status != 200)
    words = [f"{count} {'had no answer' if status == 0 else f'got {status}'}" for status, count in sorted(others.items())]
    return ", ".join(words) or "none refused, none lost"


def lateness(replies: Sequence[Reply]) -> str:
    """Whether this client kept up with its timetable."""
    return f"sent {percentile([1e3 * (reply.sent - reply.due) for reply in replies], 99):.1f} ms late (p99)"


def weather(match: Contest, servers: Sequence[str], more: str, seconds: int) -> None:
    """All servers on one network."""
    top = max(rate(match.terms, match.images, each, max(1.0, seconds / 4)) for each in arrangements(match.terms.workers))
    print(f"{match.terms.network.name}: ceiling in process {top:.1f} images/s")
    ours = replace(MINGMU, command=(*MINGMU.command, *shlex.split(more)))
    for contender in (ours, *BATCHING[1:]):
        if contender.name.lower() not in servers:
            continue
        python = interpreter(contender, match.terms, match.cache)
        with (
            tempfile.TemporaryDirectory() as scratch,
            running(contender, python, match.terms, match.data_dir, match.images, *match.expected(contender)) as server,
        ):
            script = lua(Path(scratch), server.post.bodies, server.post.content_type)
            most = wrk(server.post.url, script, 64, max(2, seconds // 2)).rate
            calm(server.post)
            alone = lone(server.post, LONE)
            print(f" {contender.name}: {most:.1f} images/s at 64 connections, a lone request {alone:.1f} ms")
            for share in SHARES:
                calm(server.post)
                open_loop(server, share * top, seconds, alone)
            calm(server.post)
            storm(server, OVERLOAD * top, seconds, most, alone)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="three seconds a row")
    options.add_argument("--seconds", type=int, default=20)
    options.add_argument("--networks", nargs="+", choices=NETWORKS, default=("general",))
    options.add_argument("--servers", nargs="+", type=str.lower, default=("mingmu",), help="by name")
    add_options(options)
    given = options.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    allow_connections()
    for network in given.networks:
        seconds = 3 if given.quick else given.seconds
        weather(contest_on(network, given, photos(), seconds), given.servers, given.mingmu, seconds)


if __name__ == "__main__":
    main()
