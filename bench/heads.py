"""What thousands of recognizers on one backbone cost: `python bench/heads.py [--quick] [--heads N] [--data-dir DIR]` (extra `demo`).

Seals N heads of ten labels each on `general` (kept in --data-dir for the next run), then sends the same photo through the
service's own `Host`, 32 requests at a time, spread over 1, 100 and all heads, in turn. Prints images/s and the ratio to
one head, the memory that a loaded head takes, and how long a head's first answer takes beside a warm one.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data

from mingmu import verbs
from mingmu.core.manifest import HeadSpec, Manifest, Origin
from mingmu.core.network import Network
from mingmu.core.sealing import seal_head
from mingmu.registry.store import Store
from mingmu.serve.host import Host
from mingmu.settings import Settings

AT_ONCE = 32
LABELS = tuple(f"label-{number}" for number in range(10))
COLD = 50  # heads whose first answer is timed


def seal_heads(store: Store, network: Network, count: int) -> None:
    """Publish `head-0` … with random weights, as far as they are not there."""
    random = np.random.default_rng(0)
    there = set(store.names())
    width = network.width("features")
    for number in range(count):
        name = f"head-{number}"
        weight = (random.standard_normal((width, len(LABELS))) / width**0.5).astype(np.float32)
        if name in there:
            continue
        manifest = Manifest(
            kind="head",
            name=name,
            task="classify",
            pixels=network.artifact.manifest.pixels,
            labels=LABELS,
            head=HeadSpec(backbone=network.artifact.digest),
            origin=Origin(source="random", licence="Apache-2.0"),
        )
        bias = np.zeros(len(LABELS), np.float32)
        sealed = store.add(lambda folder, m=manifest, w=weight, b=bias: seal_head(folder, m, w, b, network))  # type: ignore[misc]
        store.publish(name, sealed.digest)


async def rate(host: Host, photo: bytes, heads: int, seconds: float) -> float:
    """Images a second, requests spread evenly over the first heads."""
    done = 0
    stop = time.perf_counter() + seconds

    async def client(number: int) -> None:
        nonlocal done
        turn = number
        while time.perf_counter() < stop:
            await host.see(await host.served(f"head-{turn % heads}"), photo)
            turn += AT_ONCE
            done += 1

    start = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(AT_ONCE)))
    return done / (time.perf_counter() - start)


def resident() -> float:
    """This process's memory, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


async def milliseconds(host: Host, photo: bytes, name: str) -> float:
    start = time.perf_counter()
    await host.see(await host.served(name), photo)
    return (time.perf_counter() - start) * 1e3


async def run(settings: Settings, heads: int, seconds: float, rounds: int) -> None:
    photo = (Path(skimage.data.__file__).parent / "coffee.png").read_bytes()
    host = Host(settings)
    await host.start("head-0")
    spread = sorted({1, min(100, heads), heads})
    cold = [await milliseconds(host, photo, f"head-{heads - 1 - number}") for number in range(min(COLD, heads // 2))]
    warm = [await milliseconds(host, photo, "head-0") for _ in range(len(cold))]
    before = resident()
    for number in range(heads):
        await host.served(f"head-{number}")
    per_head = (resident() - before) / max(1, heads - len(cold) - 1)
    rates: dict[int, list[float]] = {count: [] for count in spread}
    for _ in range(rounds):
        for count in spread:
            rates[count].append(await rate(host, photo, count, seconds))
    await host.stop()
    one = statistics.median(rates[1])
    print(f"{heads} heads of {len(LABELS)} labels on one backbone, {rounds} rounds of {seconds:g} s")
    for count in spread:
        found = statistics.median(rates[count])
        print(f"  spread over {count:6} heads: {found:7.1f} images/s, {found / one:.2f} of one head")
    print(f"  memory of a loaded head: {per_head / 1024:.0f} KiB")
    print(f"  first answer of a head: {statistics.median(cold):.1f} ms (a warm one's: {statistics.median(warm):.1f} ms)")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="200 heads, one round")
    options.add_argument("--heads", type=int, default=10_000)
    options.add_argument("--data-dir", type=Path)
    given = options.parse_args()
    heads, seconds, rounds = (200, 3.0, 1) if given.quick else (given.heads, 10.0, 3)
    with tempfile.TemporaryDirectory() as scratch:
        settings = Settings(data_dir=given.data_dir or Path(scratch), max_loaded=heads + 1)
        opened = verbs.open_recognizer(settings, "general")
        seal_heads(Store.of(settings), opened.recognizer.network, heads)
        asyncio.run(run(settings, heads, seconds, rounds))


if __name__ == "__main__":
    main()
