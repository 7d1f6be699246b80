"""Whether memory stays where it is: `python -m bench.soak [--quick] [--minutes 60] [--cycles 100]` (extra `demo`).

Soak: for an hour (or --minutes) a service gets good photos, damaged ones, text, empty bodies and unknown names, and clients that
hang up while it works. Printed is the memory it has gained since the warm-up, the first tenth of the time.

Cycles: one name is published anew a hundred times (or --cycles), in turn a head on one backbone and a head on another, so that the
service loads, proves and drops a head and its backbone each time. Printed is the memory that it has gained, in the same way.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
import uvloop

from bench.load import Lines, Post, Service, photos, resident, service
from mingmu import verbs
from mingmu.core.artifact import GRAPH
from mingmu.core.manifest import HeadSpec, Manifest, Origin
from mingmu.core.network import Network
from mingmu.core.sealing import seal_head, seal_network
from mingmu.registry.store import Store
from mingmu.settings import Settings

CLIENTS = 6
MEGABYTE = 1e6
SAMPLES = 200  # looks at the memory in a soak
NAME = "cycled"
PATIENCE = 60.0  # seconds in which a new version must be served


@dataclass(frozen=True)
class Kind:
    """A sort of request of the mix."""

    name: str
    share: int  # of 20
    requests: tuple[bytes, ...]
    leave_after: float | None = None  # seconds after which the client hangs up


def mix(address: str, images: Sequence[bytes]) -> list[Kind]:
    """What the service gets: most of it good, the rest what the world sends."""
    url = f"{address}/v1/recognizers/general/recognize"
    good = Post(url, tuple(images)).requests()
    damaged = Post(url, tuple(image[: len(image) // share] for share, image in enumerate(images, start=2))).requests()
    return [
        Kind("good", 12, tuple(good)),
        Kind("cut short", 2, tuple(damaged)),
        Kind("text", 1, tuple(Post(url, (b"no image at all",), "text/plain").requests())),
        Kind("empty", 1, tuple(Post(url, (b"",)).requests())),
        Kind("unknown name", 1, tuple(Post(f"{address}/v1/recognizers/nobody/recognize", (images[0],)).requests())),
        Kind("left at once", 1, tuple(good), 0.002),
        Kind("left while it ran", 1, tuple(good), 0.02),
        Kind("left in mid-body", 1, tuple(request[: len(request) // 2] for request in good), 0.01),
    ]


async def soak(server: Service, images: Sequence[bytes], seconds: float) -> tuple[Counter[tuple[str, int]], list[float]]:
    """Keep the service busy; how often each kind of request got which status (0: none), and samples of the memory in MB."""
    kinds = mix(server.address, images)
    turns = np.repeat(np.arange(len(kinds)), [kind.share for kind in kinds])
    np.random.default_rng(0).shuffle(turns)
    seen: Counter[tuple[str, int]] = Counter()
    samples: list[float] = []
    stop = time.monotonic() + seconds

    async def client(number: int) -> None:
        lines = Lines(*Post(server.address, ()).address)
        turn = number
        while time.monotonic() < stop:
            kind = kinds[turns[turn % len(turns)]]
            seen[kind.name, await lines.ask(kind.requests[turn % len(kind.requests)], leave_after=kind.leave_after)] += 1
            turn += CLIENTS
        lines.hang_up()

    async def watch() -> None:
        while time.monotonic() < stop:
            samples.append(resident(server.process) / MEGABYTE)
            await asyncio.sleep(seconds / SAMPLES)

    await asyncio.gather(watch(), *(client(number) for number in range(CLIENTS)))
    return seen, samples


def growth(samples: Sequence[float]) -> str:
    """How the memory went, in words: the median of each tenth of the time, and what it gained after the first, the warm-up."""
    bounds = [len(samples) * tenth // 10 for tenth in range(11)]
    tenths = [statistics.median(samples[low : max(high, low + 1)]) for low, high in pairwise(bounds)]
    gained, most = tenths[-1] - tenths[1], max(samples)
    shown = " ".join(f"{each:.0f}" for each in tenths)
    return f"memory by tenths, MB: {shown}; {most:.0f} at most; gained {gained:+.1f} MB = {gained / tenths[1]:+.2%} since the second"


def heads_on_two_backbones(store: Store, network: Network) -> list[str]:
    """Digests of two heads, one on the network and one on a twin of it under another name."""
    manifest = network.artifact.manifest.model_copy(update={"name": "twin"})
    sealed = store.add(lambda folder: seal_network(folder, manifest, network.artifact.read(GRAPH)))
    return [_head(store, each) for each in (network, Network.open(sealed))]


def _head(store: Store, network: Network) -> str:
    width, labels = network.width("features"), tuple(f"label-{number}" for number in range(10))
    weight = np.random.default_rng(0).standard_normal((width, len(labels))).astype(np.float32) / np.float32(width**0.5)
    manifest = Manifest(
        kind="head",
        name=NAME,
        task="classify",
        pixels=network.artifact.manifest.pixels,
        labels=labels,
        head=HeadSpec(backbone=network.artifact.digest),
        origin=Origin(source="random", licence="Apache-2.0"),
    )
    return store.add(lambda folder: seal_head(folder, manifest, weight, np.zeros(len(labels), np.float32), network)).digest


def cycle(settings: Settings, images: Sequence[bytes], cycles: int) -> list[float]:
    """Publish and serve that many versions; the memory after each, in MB."""
    store = Store.of(settings)
    digests = heads_on_two_backbones(store, verbs.open_recognizer(settings, "general").recognizer.network)
    samples = []
    store.publish(NAME, digests[-1])
    with service(settings.data_dir, reload_interval=0.05, log_level="error") as server, httpx.Client(timeout=PATIENCE) as client:
        url = f"{server.address}/v1/recognizers/{NAME}/recognize"
        for number in range(cycles):
            digest = digests[number % 2]
            store.publish(NAME, digest)
            give_up = time.monotonic() + PATIENCE
            while client.post(url, content=images[number % len(images)]).raise_for_status().json()["digest"] != digest:
                if time.monotonic() > give_up:
                    raise TimeoutError(f"version {number + 1} is not served after {PATIENCE:g} s")
                time.sleep(0.02)
            samples.append(resident(server.process) / MEGABYTE)
    return samples


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="20 seconds and 10 cycles: only shows that it runs")
    options.add_argument("--minutes", type=float, default=60.0)
    options.add_argument("--cycles", type=int, default=100)
    given = options.parse_args()
    seconds, cycles = (20.0, 10) if given.quick else (60 * given.minutes, given.cycles)
    images = photos()
    with tempfile.TemporaryDirectory() as scratch:
        settings = Settings(data_dir=Path(scratch))
        verbs.open_recognizer(settings, "general")
        with service(settings.data_dir, log_level="error") as server:
            seen, samples = uvloop.run(soak(server, images, seconds))
        print(f"{sum(seen.values())} requests in {seconds / 60:.1f} minutes; {growth(samples)}")
        for (kind, status), count in sorted(seen.items()):
            print(f"  {count:7} {kind}: {status or 'no answer'}")
        loaded = cycle(settings, images, cycles)
    print(f"{cycles} versions loaded and dropped; {growth(loaded)}")


if __name__ == "__main__":
    main()
