"""The recognizers in memory: loaded at first use, proven, and swapped when a newer version has proven itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cache, partial
from typing import TypeVar

from mingmu.core.errors import BadArtifact, MingmuError
from mingmu.core.recognizer import Recognizer
from mingmu.registry.library import Library
from mingmu.registry.store import Version
from mingmu.serve.problems import KINDS

log = logging.getLogger("mingmu.serve")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Served:
    """A proven recognizer under the name and version it is served as."""

    version: Version
    recognizer: Recognizer
    chosen: Mapping[str, str]  # when it was loaded: by the digest of each that looks, that of the network that it was to run on here


class Repertoire:
    """Recognizers by the references that requests write. Of more than `most`, the one unused longest makes room."""

    def __init__(self, library: Library, loaders: Executor, *, most: int) -> None:
        self.problems: dict[str, str] = {}  # reference -> why its newest version is not served
        self._library = library
        self._loaders = loaders
        self._most = most
        self._served: dict[str, asyncio.Future[Served]] = {}  # the first is the one unused longest
        self._changes = (-1, -1)

    def __len__(self) -> int:
        """How many are in memory, or on their way there."""
        return len(self._served)

    async def served(self, reference: str) -> Served:
        """The recognizer that a reference means, loaded if need be; raises NotFound, BadArtifact or Unproven."""
        loading = self._served.pop(reference, None)
        if loading is None:
            loading = asyncio.ensure_future(self._in_loaders(self._open, reference))
            loading.add_done_callback(partial(self._settle, reference))
        self._served[reference] = loading
        return await asyncio.shield(loading)

    def known(self, reference: str) -> Served | None:
        """The recognizer that a reference means, if it is loaded."""
        loading = self._served.get(reference)
        return loading.result() if loading and _succeeded(loading) else None

    def forget(self, name: str) -> None:
        """Drop a recognizer from memory, in all its versions; whoever asks for it again loads it again."""
        for reference in [each for each, served in self._loaded().items() if served.version.name == name]:
            del self._served[reference]

    async def watch(self, interval: float) -> None:
        """Look for changes every `interval` seconds, for ever."""
        while True:
            await asyncio.sleep(interval)
            try:
                changes = await self._in_loaders(self._library.changes)
                if changes != self._changes and await self._refresh(changes):
                    self._changes = changes
            except Exception as error:
                log.error("the data folder cannot be watched", exc_info=error, extra={"problem": str(error)})

    def _loaded(self) -> dict[str, Served]:
        return {reference: loading.result() for reference, loading in self._served.items() if _succeeded(loading)}

    def _open(self, reference: str) -> Served:
        version = self._library.store.resolve(reference)
        chosen = self._library.chosen(version.digest)  # before it is loaded: a choice that is made meanwhile must not be missed
        return Served(version, self._library.open(version.digest), chosen)

    def _settle(self, reference: str, done: asyncio.Future[Served]) -> None:
        """Forget what failed. Only what was loaded takes a place: names that do not exist push nobody out."""
        if not _succeeded(done):
            self._served.pop(reference, None)
        elif len(self._served) > self._most:
            del self._served[next(iter(self._served))]

    async def _refresh(self, changes: tuple[int, int]) -> bool:
        """Bring what is loaded to its newest version, and to the networks it is to run on; new versions first.

        What does not prove itself leaves the old in place. False if not everything could be judged for now: it is worth
        another try.
        """
        loaded = self._loaded()
        judged = len(loaded) == len(self._served)  # what is being loaded may have looked before the change
        wanted = await self._in_loaders(self._wanted, loaded)
        for reference in loaded.keys() - wanted.keys():
            self._put(reference, loaded[reference], None)
        replaced = {reference for reference, (version, _) in wanted.items() if version != loaded[reference].version}
        moved = {reference for reference, (_, chosen) in wanted.items() if chosen != loaded[reference].chosen} - replaced
        self.problems = {reference: problem for reference, problem in self.problems.items() if reference in replaced | moved}
        for reference in replaced:
            judged &= await self._renew(reference, loaded[reference])
        for reference in moved:
            if await self._in_loaders(self._library.changes) != changes:
                return False  # a newer version need not wait until all run on another network
            judged &= await self._renew(reference, loaded[reference])
        return judged

    def _wanted(self, loaded: Mapping[str, Served]) -> dict[str, tuple[Version, dict[str, str]]]:
        """The version that each reference means now, and the networks it is to run on; without those that mean nothing any more."""
        tuning_of = cache(self._library.tunings.get)  # many heads share a network

        def chosen(looker: Recognizer) -> str:
            network = looker.network.backbone
            return tuning.runs(looker.digest) if (tuning := tuning_of(network)) else network

        versions = self._library.store.resolve_all(loaded)
        lookers = {reference: loaded[reference].recognizer.lookers for reference in versions}
        return {each: (versions[each], {looker.digest: chosen(looker) for looker in those}) for each, those in lookers.items()}

    async def _renew(self, reference: str, old: Served) -> bool:
        """Put what a reference means now in the place of what it meant; false if that could not be judged for now."""
        try:
            fresh = await self._in_loaders(self._open, reference)
        except Exception as error:
            self.problems[reference] = str(error) if isinstance(error, MingmuError) else KINDS["internal"].meaning
            log.error("not swapped", exc_info=error, extra={"recognizer": reference, "problem": str(error)})
            return isinstance(error, BadArtifact)
        self.problems.pop(reference, None)
        self._put(reference, old, fresh)
        log.info("swapped", extra={"recognizer": reference, "version": fresh.version.version, "digest": fresh.version.digest})
        return True

    def _put(self, reference: str, old: Served, fresh: Served | None) -> None:
        """Serve another in the place of one, or none, unless that has made room meanwhile."""
        if self.known(reference) is not old:
            return
        if fresh is None:
            del self._served[reference]
        else:
            self._served[reference] = asyncio.get_running_loop().create_future()
            self._served[reference].set_result(fresh)

    async def _in_loaders(self, call: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._loaders, call, *args)


def _succeeded(loading: asyncio.Future[Served]) -> bool:
    return loading.done() and not loading.cancelled() and loading.exception() is None
