"""The two clients: one that waits, one that is awaited. They only carry what the other modules here ask and read."""

from __future__ import annotations

import asyncio
import os
import pathlib
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Self, TypeVar, Unpack

import httpx

from mingmu.client import batching, faces, teaching
from mingmu.client.archive import Archive
from mingmu.client.batching import Batched, Download
from mingmu.client.calls import Call, Page, headers_for, pause
from mingmu.client.faces import Export
from mingmu.client.images import Image
from mingmu.client.progress import Progress, shown
from mingmu.client.recognizing import Listed, Recognition, one, portions, recognizers
from mingmu.client.teaching import Following, Job, Measured, Taught
from mingmu.core.answers import Wished
from mingmu.core.batching import Asked as AskedOfBatch
from mingmu.core.errors import MingmuError, Overloaded
from mingmu.core.teaching import Asked, TeachOptions
from mingmu.core.training import AskedOfTraining, TrainOptions

URL = "http://127.0.0.1:8600"
TIMEOUT = 30.0  # seconds without an answer
RETRIES = 4
LONGEST_SILENCE = 30.0  # seconds between two signs of life of a job

T = TypeVar("T")
Path = str | os.PathLike[str]


class Client:
    """A connection to a service; safe to share between threads. Usable in a `with` statement.

    Every call raises the error that the service named (`mingmu.MingmuError` and its children), Unreachable where
    none answers, DeadlineExceeded after `timeout` seconds. A busy or restarting service is asked again up to
    `retries` times, each time after a longer pause or the one that the service asked for.
    """

    def __init__(self, url: str = URL, key: str | None = None, *, timeout: float = TIMEOUT, retries: int = RETRIES) -> None:
        self._http = httpx.Client(base_url=url, headers=headers_for(key, timeout), timeout=timeout)
        self._retries = retries
        self._patience = httpx.Timeout(timeout, read=max(timeout, LONGEST_SILENCE))

    def recognize(self, image: Image, recognizer: str = "general", **wished: Unpack[Wished]) -> Recognition:
        """What one image shows; `recognizer` may carry a version, as in `flowers@3`.

        Labels are the five surest, or as many as `top`, or with `coverage` those among which the true one is that often. Of boxes
        come those whose score is at least `threshold`, and which share less than `overlap` with a surer one of their label.
        """
        return self._ask(one(image, recognizer, wished))

    def recognize_many(
        self, images: Iterable[Image], recognizer: str = "general", **wished: Unpack[Wished]
    ) -> list[Recognition | MingmuError]:
        """An answer for each image, or the error that it alone met; sent several to a request."""
        answers: list[Recognition | MingmuError] = []
        for call in portions(images, recognizer, wished):
            portion = self._ask(call)
            answers += portion
        return answers

    def recognizers(self) -> Iterator[Listed]:
        """What the service offers, by name, each at its newest version; listings are asked for page by page, as you go through them."""
        return self._each(recognizers())

    def versions(self, name: str) -> Iterator[Listed]:
        """The versions of a recognizer, the oldest first."""
        return self._each(teaching.versions(name))

    def datasets(self) -> Iterator[Listed]:
        """The datasets of the service, by name, each at its newest version."""
        return self._each(teaching.datasets())

    def teach(
        self, source: Path, *, name: str, test: Path | None = None, progress: Progress | None = None, **options: Unpack[Asked]
    ) -> Taught:
        """Teach the service what labelled images show: a folder, with one folder for each label in it, or an archive of one.

        The images become a version of the dataset `name`; those of `test`, which measure, of the dataset `name-test`. Waits until
        the recognizer `name` is ready; a bar shows how far it is, or `progress` is told the step and its share. The other options
        are `backbone`, `effort`, `head`, `seed` and `add`, as `mingmu teach` has them. What is given back is the very version that
        was made, whoever else teaches. Raises what the service found wrong, and Conflict if somebody cancels.
        """
        chosen = teaching.checked(options, TeachOptions)
        with shown(progress) as tell:
            taught, tested = self._send(source, name, tell), self._send(test, f"{name}-test", tell) if test else None
            return teaching.taught(self.follow(self._ask(teaching.lesson(name, taught, tested, chosen)).id, tell))

    def train(self, source: Path, *, name: str, progress: Progress | None = None, **options: Unpack[AskedOfTraining]) -> Taught:
        """Let the service train a network of its own for the recognizer `name`, on images as `teach` takes them; minutes to hours.

        The options are `recipe` (`fast`, `accurate`, or the text of a recipe), `net`, `size`, `epochs` and `seconds`, as `mingmu train`
        has them. Raises MissingExtra where the service cannot train, and what `teach` raises.
        """
        chosen = teaching.checked(options, TrainOptions)
        with shown(progress) as tell:
            return teaching.taught(self.follow(self._ask(teaching.training(name, self._send(source, name, tell), chosen)).id, tell))

    def _send(self, source: Path, name: str, tell: Progress) -> Job:
        return self.follow(self._ask(teaching.upload(Archive.of(source, tell), name)).id, tell)

    def batch(
        self,
        source: Path | None = None,
        *,
        out: Path,
        recognizer: str = "general",
        dataset: str | None = None,
        url: str | None = None,
        progress: Progress | None = None,
        **options: Unpack[AskedOfBatch],
    ) -> Batched:
        """Let the service look at all images of a folder or archive, which is sent, and write a row about each into `out`.

        Or at those of a `dataset` that it has, or below a `url` that its operator allows. The ending of `out` says the format: .parquet,
        .csv or .jsonl. The options are `top` and `coverage`, as `mingmu batch` has them. Images that cannot be read become rows with an
        error. A bar shows how far it is, or `progress` is told the step and its share. Raises Conflict if somebody cancels.
        """
        batching.check_source(source, dataset, url)
        out = pathlib.Path(out)
        question = batching.asked(recognizer, out, options)
        with shown(progress) as tell:
            named = batching.of_named(question, dataset, url)
            call = named if source is None else batching.of_archive(Archive.of(source, tell), question)
            download = Download(self.follow(self._ask(call).id, tell), out, tell)
            self._download(download)
            return download.batched()

    def _download(self, download: Download | Export) -> None:
        attempt = 0
        while not download.over:
            try:
                with self._http.stream(**download.request) as response:
                    if not response.is_success:
                        response.read()
                    with download.begin(response) as file:
                        for piece in response.iter_bytes():
                            file.write(piece)
                            download.report(file)
                            attempt = 0 if download.resumes else attempt
                download.pause()
            except (Overloaded, httpx.TransportError) as error:
                time.sleep(pause(error, attempt, self._retries, self._http.base_url))
            attempt += 1

    def add_example(self, name: str, image: Image, label: str, *, teach: bool = False) -> Job:
        """Tell the recognizer `name` what an image shows; it knows when it is taught again, at once with `teach`. Gives the job."""
        return self._ask(teaching.example(name, image, label, teach))

    def verify_faces(self, a: Image, b: Image, *, false_match_rate: float | None = None) -> dict[str, Any]:
        """Whether two photos show the same person: `same`, `similarity`, `threshold`, `false_match_rate`, and the faces that were taken."""
        return self._ask(faces.verify(a, b, false_match_rate))

    def enrol(self, gallery: str, person: str, *photos: Image, force: bool = False) -> dict[str, Any]:
        """Add a person to a gallery, which is made if it is not there; all photos, or none. Gives how many `faces` of the person it has."""
        return self._ask(faces.enrol(gallery, person, photos, force))

    def identify(self, gallery: str, photo: Image, *, false_match_rate: float | None = None, draw: bool = False) -> dict[str, Any]:
        """Whose `faces` a photo shows, the largest first; the `person` of a stranger is None.

        With `draw`, `drawn` is the photo with boxes and names, a JPEG in base64.
        """
        return self._ask(faces.identify(gallery, photo, false_match_rate, draw))

    def remove_person(self, gallery: str, person: str) -> None:
        """Delete a person from a gallery, and from the disk of the service."""
        self._ask(faces.remove_person(gallery, person))

    def galleries(self) -> Iterator[dict[str, Any]]:
        """The galleries of the service, by name."""
        return self._each(faces.galleries())

    def people(self, gallery: str) -> Iterator[dict[str, Any]]:
        """Who is in a gallery, by name, with the number of faces; asked for page by page, as you go through them."""
        return self._each(faces.people(gallery))

    def export_gallery(self, gallery: str, out: Path, *, person: str | None = None) -> None:
        """Write all that a gallery holds, or all of one person, into a file, JSON, that only you may read."""
        self._download(Export(gallery, person, pathlib.Path(out)))

    def upload(self, source: Path, *, name: str, progress: Progress | None = None) -> str:
        """Send labelled images, which become the newest version of the dataset `name`; gives that version, as in `flowers@3`."""
        with shown(progress) as tell:
            return teaching.uploaded(self._send(source, name, tell))

    def dataset(self, name: str) -> dict[str, Any]:
        """What a dataset holds: its images and labels, and the findings of its last audit, or else of its reading."""
        return self._ask(teaching.dataset(name))

    def audit(self, dataset: str, *, backbone: str = "general", progress: Progress | None = None) -> dict[str, Any]:
        """Let the service find what is wrong with a dataset that it has; gives what `dataset` gives, once that is done."""
        with shown(progress) as tell:
            return self.dataset(teaching.uploaded(self.follow(self._ask(teaching.audit(dataset, backbone)).id, tell)))

    def evaluate(self, name: str, dataset: str, *, progress: Progress | None = None) -> dict[str, Any]:
        """Let the service measure a recognizer on a dataset that it has; gives the report, which `report` gives later, too."""
        with shown(progress) as tell:
            return self._ask(teaching.evaluated(self.follow(self._ask(teaching.evaluation(name, dataset)).id, tell)))

    def set_alias(self, name: str, alias: str, version: int) -> Listed:
        """Let `name@alias` mean a version."""
        return self._ask(teaching.set_alias(name, alias, version))

    def rollback(self, name: str, alias: str) -> Listed:
        """Let `name@alias` mean what it meant before; gives that."""
        return self._ask(teaching.rollback(name, alias))

    def remove(self, name: str, *, force: bool = False) -> None:
        """Forget a recognizer, `name@3` alone, or the alias `name@prod`; what is served only if forced."""
        self._ask(teaching.remove(name, force))

    def remove_dataset(self, name: str, *, force: bool = False) -> None:
        """Forget a dataset, or `name@3` alone; what a recognizer was taught on only if forced."""
        self._ask(teaching.remove_dataset(name, force))

    def report(self, name: str, dataset: str | None = None) -> dict[str, Any]:
        """What was measured of a recognizer when it was taught; or later, on another dataset, by its digest or name."""
        return self._ask(teaching.report(name, dataset))

    def reports(self, name: str) -> Iterator[Measured]:
        """Which reports there are of a recognizer."""
        return self._each(teaching.reports(name))

    def jobs(self) -> Iterator[Job]:
        """The jobs of the service, the newest first."""
        return self._each(teaching.jobs())

    def cancel(self, job: int) -> Job:
        """Ask that a job ends."""
        return self._ask(teaching.cancel(job))

    def follow(self, job: int, progress: Progress | None = None) -> Job:
        """Wait for a job and give it as it ended. Raises its error if it failed, Conflict if it was cancelled."""
        following, attempt = Following(job, progress), 0
        while not following.over:
            try:
                with self._http.stream(**following.request, timeout=self._patience) as response:
                    if not response.is_success:
                        response.read()
                    following.begin(response)
                    for line in response.iter_lines():
                        following.read(line)
                        attempt = 0
                following.pause()
            except (Overloaded, httpx.TransportError) as error:
                time.sleep(pause(error, attempt, self._retries, self._http.base_url))
            attempt += 1
        return following.ended()

    def ready(self) -> bool:
        """Whether the service answers and is ready to recognize; asked once."""
        try:
            return self._http.get("/v2/health/ready").is_success
        except httpx.TransportError:
            return False

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _each(self, call: Call[Page[T]]) -> Iterator[T]:
        following: Call[Page[T]] | None = call
        while following:
            page = self._ask(following)
            yield from page.entries
            following = page.next

    def _ask(self, call: Call[T]) -> T:
        attempt = 0
        while True:
            try:
                return call.read(self._http.request(**call.request))
            except (Overloaded, httpx.TransportError) as error:
                time.sleep(pause(error, attempt, self._retries, self._http.base_url))
            attempt += 1


class AsyncClient:
    """`Client` for asyncio: the same calls, awaited. Usable in an `async with` statement."""

    def __init__(self, url: str = URL, key: str | None = None, *, timeout: float = TIMEOUT, retries: int = RETRIES) -> None:
        self._http = httpx.AsyncClient(base_url=url, headers=headers_for(key, timeout), timeout=timeout)
        self._retries = retries
        self._patience = httpx.Timeout(timeout, read=max(timeout, LONGEST_SILENCE))

    async def recognize(self, image: Image, recognizer: str = "general", **wished: Unpack[Wished]) -> Recognition:
        return await self._ask(await asyncio.to_thread(one, image, recognizer, wished))

    async def recognize_many(
        self, images: Iterable[Image], recognizer: str = "general", **wished: Unpack[Wished]
    ) -> list[Recognition | MingmuError]:
        answers: list[Recognition | MingmuError] = []
        calls = portions(images, recognizer, wished)
        while call := await asyncio.to_thread(next, calls, None):  # reading and encoding would hold up the loop
            portion = await self._ask(call)
            answers += portion
        return answers

    def recognizers(self) -> AsyncIterator[Listed]:
        return self._each(recognizers())

    def versions(self, name: str) -> AsyncIterator[Listed]:
        return self._each(teaching.versions(name))

    def datasets(self) -> AsyncIterator[Listed]:
        return self._each(teaching.datasets())

    async def teach(
        self, source: Path, *, name: str, test: Path | None = None, progress: Progress | None = None, **options: Unpack[Asked]
    ) -> Taught:
        chosen = teaching.checked(options, TeachOptions)
        with shown(progress) as tell:
            taught, tested = await self._send(source, name, tell), await self._send(test, f"{name}-test", tell) if test else None
            return teaching.taught(await self.follow((await self._ask(teaching.lesson(name, taught, tested, chosen))).id, tell))

    async def train(self, source: Path, *, name: str, progress: Progress | None = None, **options: Unpack[AskedOfTraining]) -> Taught:
        chosen = teaching.checked(options, TrainOptions)
        with shown(progress) as tell:
            call = teaching.training(name, await self._send(source, name, tell), chosen)
            return teaching.taught(await self.follow((await self._ask(call)).id, tell))

    async def _send(self, source: Path, name: str, tell: Progress) -> Job:
        return await self.follow((await self._ask(teaching.upload(await asyncio.to_thread(Archive.of, source, tell), name))).id, tell)

    async def batch(
        self,
        source: Path | None = None,
        *,
        out: Path,
        recognizer: str = "general",
        dataset: str | None = None,
        url: str | None = None,
        progress: Progress | None = None,
        **options: Unpack[AskedOfBatch],
    ) -> Batched:
        batching.check_source(source, dataset, url)
        out = pathlib.Path(out)
        question = batching.asked(recognizer, out, options)
        with shown(progress) as tell:
            if source is None:
                call = batching.of_named(question, dataset, url)
            else:
                call = batching.of_archive(await asyncio.to_thread(Archive.of, source, tell), question)
            download = Download(await self.follow((await self._ask(call)).id, tell), out, tell)
            await self._download(download)
            return await asyncio.to_thread(download.batched)

    async def _download(self, download: Download | Export) -> None:
        attempt = 0
        while not download.over:
            try:
                async with self._http.stream(**download.request) as response:
                    if not response.is_success:
                        await response.aread()
                    with download.begin(response) as file:
                        async for piece in response.aiter_bytes():
                            await asyncio.to_thread(file.write, piece)
                            download.report(file)
                            attempt = 0 if download.resumes else attempt
                download.pause()
            except (Overloaded, httpx.TransportError) as error:
                await asyncio.sleep(pause(error, attempt, self._retries, self._http.base_url))
            attempt += 1

    async def add_example(self, name: str, image: Image, label: str, *, teach: bool = False) -> Job:
        return await self._ask(await asyncio.to_thread(teaching.example, name, image, label, teach))

    async def verify_faces(self, a: Image, b: Image, *, false_match_rate: float | None = None) -> dict[str, Any]:
        return await self._ask(await asyncio.to_thread(faces.verify, a, b, false_match_rate))

    async def enrol(self, gallery: str, person: str, *photos: Image, force: bool = False) -> dict[str, Any]:
        return await self._ask(await asyncio.to_thread(faces.enrol, gallery, person, photos, force))

    async def identify(self, gallery: str, photo: Image, *, false_match_rate: float | None = None, draw: bool = False) -> dict[str, Any]:
        return await self._ask(await asyncio.to_thread(faces.identify, gallery, photo, false_match_rate, draw))

    async def remove_person(self, gallery: str, person: str) -> None:
        await self._ask(faces.remove_person(gallery, person))

    def galleries(self) -> AsyncIterator[dict[str, Any]]:
        return self._each(faces.galleries())

    def people(self, gallery: str) -> AsyncIterator[dict[str, Any]]:
        return self._each(faces.people(gallery))

    async def export_gallery(self, gallery: str, out: Path, *, person: str | None = None) -> None:
        await self._download(Export(gallery, person, pathlib.Path(out)))

    async def upload(self, source: Path, *, name: str, progress: Progress | None = None) -> str:
        with shown(progress) as tell:
            return teaching.uploaded(await self._send(source, name, tell))

    async def dataset(self, name: str) -> dict[str, Any]:
        return await self._ask(teaching.dataset(name))

    async def audit(self, dataset: str, *, backbone: str = "general", progress: Progress | None = None) -> dict[str, Any]:
        with shown(progress) as tell:
            return await self.dataset(teaching.uploaded(await self.follow((await self._ask(teaching.audit(dataset, backbone))).id, tell)))

    async def evaluate(self, name: str, dataset: str, *, progress: Progress | None = None) -> dict[str, Any]:
        with shown(progress) as tell:
            job = await self.follow((await self._ask(teaching.evaluation(name, dataset))).id, tell)
            return await self._ask(teaching.evaluated(job))

    async def set_alias(self, name: str, alias: str, version: int) -> Listed:
        return await self._ask(teaching.set_alias(name, alias, version))

    async def rollback(self, name: str, alias: str) -> Listed:
        return await self._ask(teaching.rollback(name, alias))

    async def remove(self, name: str, *, force: bool = False) -> None:
        await self._ask(teaching.remove(name, force))

    async def remove_dataset(self, name: str, *, force: bool = False) -> None:
        await self._ask(teaching.remove_dataset(name, force))

    async def report(self, name: str, dataset: str | None = None) -> dict[str, Any]:
        return await self._ask(teaching.report(name, dataset))

    def reports(self, name: str) -> AsyncIterator[Measured]:
        return self._each(teaching.reports(name))

    def jobs(self) -> AsyncIterator[Job]:
        return self._each(teaching.jobs())

    async def cancel(self, job: int) -> Job:
        return await self._ask(teaching.cancel(job))

    async def follow(self, job: int, progress: Progress | None = None) -> Job:
        following, attempt = Following(job, progress), 0
        while not following.over:
            try:
                async with self._http.stream(**following.request, timeout=self._patience) as response:
                    if not response.is_success:
                        await response.aread()
                    following.begin(response)
                    async for line in response.aiter_lines():
                        following.read(line)
                        attempt = 0
                following.pause()
            except (Overloaded, httpx.TransportError) as error:
                await asyncio.sleep(pause(error, attempt, self._retries, self._http.base_url))
            attempt += 1
        return following.ended()

    async def ready(self) -> bool:
        try:
            return (await self._http.get("/v2/health/ready")).is_success
        except httpx.TransportError:
            return False

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _each(self, call: Call[Page[T]]) -> AsyncIterator[T]:
        following: Call[Page[T]] | None = call
        while following:
            page = await self._ask(following)
            for entry in page.entries:
                yield entry
            following = page.next

    async def _ask(self, call: Call[T]) -> T:
        attempt = 0
        while True:
            try:
                return call.read(await self._http.request(**_awaitable(call.request)))
            except (Overloaded, httpx.TransportError) as error:
                await asyncio.sleep(pause(error, attempt, self._retries, self._http.base_url))
            attempt += 1


def _awaitable(request: dict[str, Any]) -> dict[str, Any]:
    """A request whose archive is read aside."""
    content = request.get("content")
    return request | {"content": content.aside()} if isinstance(content, Archive) else request
