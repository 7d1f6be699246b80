"""Holds the recognizers that are being served, and runs images through them."""

from __future__ import annotations

import asyncio
import math
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from mingmu.core.answers import Answer
from mingmu.core.artifact import Artifact
from mingmu.core.cpus import cpu_count
from mingmu.core.drawing import draw
from mingmu.core.errors import BadRequest, DeadlineExceeded, NotExplainable
from mingmu.core.network import Network
from mingmu.core.pipeline import Done, Look, Road, advance
from mingmu.core.pixels import Frame, Limits, encode_png, is_light
from mingmu.core.recognizer import Reading, Recognizer
from mingmu.core.runtime import MAP
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.serve.attendance import together
from mingmu.serve.batcher import Batcher, Crew, IsAlone
from mingmu.serve.cache import Cache, key_of
from mingmu.serve.company import Company
from mingmu.serve.galleries import Searched
from mingmu.serve.repertoire import Repertoire
from mingmu.serve.repertoire import Served as Served
from mingmu.settings import Settings
from mingmu.tasks.saliency import overlay

MOST_DRAWN = 2048  # pixels a side of a picture that is drawn on
ROADS = 2  # that are gone at a time, for each batch: every one holds a picture as it is, and what was cut out of it

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a recognizer made of one image."""

    frame: Frame | None  # None: it was seen before, and is remembered
    reading: Reading
    feature_map: NDArray[np.float32] | None  # [F, h, w], where it was asked for
    decoded: float  # seconds from bytes to pixels
    waited: float  # seconds in the queue
    ran: float  # seconds in the network
    batch: int  # images that ran together; 0: none, it is remembered
    parts: Mapping[str, float] = field(default_factory=dict)  # of a chain: seconds that each part was waited for, by what it does


@dataclass(frozen=True, slots=True)
class _Work:
    """An image on its way to a network: encoded, or as pixels already."""

    name: str
    recognizer: Recognizer
    image: bytes | Decoded
    deadline: float
    explain: bool


class Decoded(NamedTuple):
    """Pixels, and the seconds it took to make them."""

    frame: Frame
    seconds: float


class _Row(NamedTuple):
    """What a batch gives for one image."""

    decoded: Decoded
    reading: Reading
    feature_map: NDArray[np.float32] | None
    ran: float


_Batchers = dict[tuple[int, int], Batcher[_Work, _Row]]
"""Those of one network, by the size of the pixels. A batcher does not know its network, so it goes when nothing uses that any more."""


class Host:
    """The recognizers of one data folder, and the threads that they run on."""

    def __init__(self, settings: Settings, company: Company | None = None) -> None:
        company = company or Company()
        self.settings = settings
        self.store = Store.of(settings)
        self.ready = False
        threads = settings.threads or cpu_count()
        self._limits = Limits(settings.max_image_bytes, settings.max_image_pixels, settings.max_image_side)
        self._parallel = max(1, threads // company.size)  # batches at a time; one that is alone in the company gets all processors
        self._library = Library(self.store, threads=threads, calls=self._parallel, limits=self._limits)
        self._turns = 2 * threads
        self._decoders = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._workers = ThreadPoolExecutor(self._parallel, thread_name_prefix="network")
        self._crew = Crew(self._workers, company)
        self._roads = asyncio.Semaphore(ROADS * self._parallel)
        self._loaders = ThreadPoolExecutor(threads, thread_name_prefix="load")
        self._repertoire = Repertoire(self._library, self._loaders, most=settings.max_loaded)
        self._batchers: weakref.WeakKeyDictionary[Network, _Batchers] = weakref.WeakKeyDictionary()
        self._cache = Cache(settings.cache_bytes) if settings.cache_bytes else None
        self.galleries = Searched(self.store.galleries, self._loaders)
        self._watchers: list[asyncio.Task[None]] = []

    async def start(self, *references: str) -> None:
        """Load and prove these recognizers (the proof is a real inference), then watch the data folder."""
        for reference in references:
            await self.served(reference)
        self._watchers = [asyncio.create_task(each.watch(self.settings.reload_interval)) for each in (self._repertoire, self.galleries)]
        self.ready = True

    async def stop(self) -> None:
        """Let go of the threads; everyone who was in has been answered."""
        self.ready = False
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for pool in (self._decoders, self._workers, self._loaders):
            pool.shutdown(wait=False, cancel_futures=True)

    def waiting(self) -> Counter[str]:
        """How many images wait for a network, by the name of their recognizer."""
        with self._crew.lock:  # this is asked on other threads
            batchers = [batcher for of_network in self._batchers.values() for batcher in of_network.values()]
        return Counter(work.name for batcher in batchers for work in batcher.waiting())

    async def served(self, reference: str) -> Served:
        """The recognizer that `name` or `name@version` means, loaded if need be; raises NotFound, BadArtifact or Unproven."""
        return await self._repertoire.served(reference)

    def running(self, reference: str, artifact: Artifact) -> dict[str, JsonValue]:
        """How a recognizer's network runs here (None: it is not loaded), and what was measured before that was chosen."""
        known, head = self.known(reference), artifact.manifest.head
        tuning = self._library.tunings.get(head.backbone if head else artifact.digest)
        return {
            "runs": known.recognizer.network.runtime.name if known else None,
            "tuning": tuning.model_dump(mode="json") if tuning else None,
        }

    def known(self, reference: str) -> Served | None:
        """The recognizer that a reference means, if it is loaded."""
        return self._repertoire.known(reference)

    @property
    def problems(self) -> Mapping[str, str]:
        """Why the newest version of a reference is not served, where that is so."""
        return self._repertoire.problems

    def forget(self, name: str) -> None:
        """Drop a recognizer from memory, in all its versions; whoever asks for it again loads it again."""
        self._repertoire.forget(name)

    def turns(self) -> asyncio.Semaphore:
        """What the images of one request share, so that they never keep the machine from others for long."""
        return asyncio.Semaphore(self._turns)

    async def look_up(self, call: Callable[..., T], *args: object) -> T:
        """Ask the store something on the loaders' threads."""
        return await self._in(self._loaders, call, *args)

    async def see(
        self, served: Served, image: bytes, *, deadline: float = math.inf, explain: bool = False, turns: asyncio.Semaphore | None = None
    ) -> Seen:
        """Run one encoded image through a recognizer, or remember it; `deadline` is a time of `time.monotonic()`.

        A light image is decoded by the thread that runs the network; one that may take long is decoded aside, so that those
        who share its batch need not wait for it. Images that share `turns` wait for one another, not for a place in the queue.
        """
        async with turns or nullcontext():
            if self._cache is None or explain:
                return await self._look(served, image, deadline, explain)
            key = await key_of(served, image)  # who shares the work may have more time than this one
            return await self._cache.see(key, lambda: self._look(served, image, math.inf, explain))

    async def _look(self, served: Served, image: bytes, deadline: float, explain: bool) -> Seen:
        if served.recognizer.chain:
            return await self._see_all(served, image, deadline)
        if is_light(image):
            return await self._see(served, image, deadline, explain)
        decoded = await self._in(self._decoders, self._decode, served.recognizer, image, deadline)
        return await self._see(served, decoded, deadline, explain)

    async def see_pixels(self, served: Served, pixels: NDArray[np.uint8], *, deadline: float = math.inf) -> Seen:
        """Run uint8 [H, W, 3] pixels of exactly the recognizer's size through it."""
        width, height = served.recognizer.manifest.pixels.size
        if pixels.shape != (height, width, 3):
            raise BadRequest(f"pixels have the shape {list(pixels.shape)}; this recognizer takes [{height}, {width}, 3]")
        decoded = Decoded(Frame(pixels, (width, height), (0.0, 0.0, float(width), float(height))), 0.0)
        if served.recognizer.chain:
            return await self._see_all(served, decoded, deadline)
        return await self._see(served, decoded, deadline, explain=False)

    async def _see_all(self, served: Served, image: bytes | Decoded, deadline: float) -> Seen:
        """What a chain makes of a picture. Its own looks take turns, too, but not those of the request: each image holds one of these."""
        asked = time.monotonic()
        async with self._roads:
            waited = time.monotonic() - asked
            if isinstance(image, bytes):
                image = await self._in(self._decoders, self._decode, served.recognizer, image, deadline)
            began = time.monotonic()
            spent: dict[str, float] = {}
            reading = await self._follow(served.recognizer.road(image.frame), deadline, self.turns(), spent)
        does = _does(served.recognizer)
        parts = {part: sum(seconds for digest, seconds in spent.items() if does[digest] == part) for part in served.recognizer.parts}
        return Seen(image.frame, reading, None, image.seconds, waited, time.monotonic() - began, 1, parts)

    async def follow(self, road: Road[T], *, deadline: float, turns: asyncio.Semaphore) -> T:
        """Go a road to its end: its own work is done by the decoders, and what it looks at joins the batches of its networks."""
        async with self._roads:
            return await self._follow(road, deadline, turns, {})

    async def _follow(self, road: Road[T], deadline: float, turns: asyncio.Semaphore, spent: dict[str, float]) -> T:
        """Adds up the seconds that looks took, by the digest of who looked."""
        at: Look | Done[T] = await self._in(self._decoders, self._advance, road, None, deadline)
        while isinstance(at, Look):
            began, who = time.monotonic(), at.recognizer.digest
            readings = await together([self._read(at.recognizer, frame, deadline, turns) for frame in at.frames])
            spent[who] = spent.get(who, 0.0) + time.monotonic() - began
            at = await self._in(self._decoders, self._advance, road, readings, deadline)
        return at.value

    def _advance(self, road: Road[T], readings: list[Reading] | None, deadline: float) -> Look | Done[T]:
        if time.monotonic() > deadline:
            raise DeadlineExceeded("the request's deadline passed before its answer was ready")
        with self._crew.busy():
            return advance(road, readings)

    async def _read(self, recognizer: Recognizer, frame: Frame, deadline: float, turns: asyncio.Semaphore) -> Reading:
        work = _Work(recognizer.manifest.name, recognizer, Decoded(frame, 0.0), deadline, explain=False)
        async with turns:
            return (await self._batcher(recognizer, frame.view.size).submit(work, deadline=deadline)).value.reading

    async def explain(self, served: Served, seen: Seen) -> bytes:
        """A PNG of the frame, with what speaks for the top class marked on it."""
        return await self._in(self._decoders, _explain, served.recognizer, seen)

    async def draw(self, image: bytes, answer: Answer) -> bytes:
        """A JPEG of an image with its answer drawn on it."""
        return await self._in(self._decoders, partial(draw, limits=self._limits, most=MOST_DRAWN), image, answer)

    def _decode(self, recognizer: Recognizer, image: bytes, deadline: float) -> Decoded:
        with self._crew.busy():
            return _decode(recognizer, image, deadline)

    async def _see(self, served: Served, image: bytes | Decoded, deadline: float, explain: bool) -> Seen:
        if explain and not served.recognizer.explainable:
            raise NotExplainable(f"{served.version.name} keeps no feature map to explain its scores with")
        work = _Work(served.version.name, served.recognizer, image, deadline, explain)
        outcome = await self._batcher(served.recognizer, served.recognizer.manifest.pixels.size).submit(work, deadline=deadline)
        row = outcome.value
        return Seen(row.decoded.frame, row.reading, row.feature_map, row.decoded.seconds, outcome.waited, row.ran, outcome.batch)

    def _batcher(self, recognizer: Recognizer, size: tuple[int, int]) -> Batcher[_Work, _Row]:
        network = recognizer.network
        try:
            return self._batchers[network][size]
        except KeyError:
            limits = self.settings
            new = Batcher(_run, self._crew, workers=self._parallel, max_batch=limits.max_batch, max_queue=limits.max_queue)
            with self._crew.lock:
                return self._batchers.setdefault(network, {}).setdefault(size, new)

    async def _in(self, pool: ThreadPoolExecutor, call: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, call, *args)


def _decode(recognizer: Recognizer, image: bytes, deadline: float) -> Decoded:
    started = time.monotonic()
    if started > deadline:
        raise DeadlineExceeded("the request's deadline passed before its image was decoded")
    return Decoded(recognizer.frame(image), time.monotonic() - started)


def _run(works: Sequence[_Work], is_alone: IsAlone) -> list[_Row | Exception]:
    """Decode what is not yet, run it through the network that all share, and each row through its own recognizer's head."""
    found = [_decoded(work) for work in works]
    good = [(work, each) for work, each in zip(works, found, strict=True) if isinstance(each, Decoded)]
    rows = iter(_run_decoded(works[0].recognizer.network, good, is_alone) if good else ())
    return [next(rows) if isinstance(each, Decoded) else each for each in found]


def _decoded(work: _Work) -> Decoded | Exception:
    """The pixels of an image, or what is wrong with it: a bad one fails alone."""
    if isinstance(work.image, Decoded):
        return work.image
    try:
        return _decode(work.recognizer, work.image, work.deadline)
    except Exception as error:  # noqa: BLE001 - it is raised where the image is waited for
        return error


def _run_decoded(network: Network, works: Sequence[tuple[_Work, Decoded]], is_alone: IsAlone) -> list[_Row]:
    names = {name: None for work, _ in works for name in work.recognizer.wants}  # a dict keeps the order
    if any(work.explain for work, _ in works):
        names[MAP] = None
    pixels = [decoded.frame.pixels for _, decoded in works]
    started = time.monotonic()
    outputs = network.runtime(pixels[0][None] if len(works) == 1 else np.stack(pixels), [*names], alone=is_alone())
    ran = time.monotonic() - started
    readings: dict[int, Reading] = {}
    for recognizer in {work.recognizer.digest: work.recognizer for work, _ in works}.values():
        mine = [i for i, (work, _) in enumerate(works) if work.recognizer.digest == recognizer.digest]
        own = recognizer.readings_from({name: outputs[name][mine] for name in recognizer.wants}, [works[i][1].frame for i in mine])
        readings |= dict(zip(mine, own, strict=True))
    return [_Row(decoded, readings[i], outputs[MAP][i] if work.explain else None, ran) for i, (work, decoded) in enumerate(works)]


def _does(chain: Recognizer) -> dict[str, str]:
    """What those who look do for a chain, by their digests; within a part that is a chain, all do what that does."""
    found: dict[str, str] = {}
    for does in reversed([*chain.parts]):  # who looks first is named first, should it do several things
        part = chain.parts[does]
        found |= dict.fromkeys(_does(part), does) if part.parts else {part.digest: does}
    return found


def _explain(recognizer: Recognizer, seen: Seen) -> bytes:
    if seen.feature_map is None or seen.frame is None:
        raise NotExplainable("the image was not run with explain")
    activation = recognizer.activation(seen.feature_map, int(seen.reading.scores.argmax()))
    return encode_png(overlay(seen.frame.pixels, activation))
