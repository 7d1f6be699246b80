"""Ask a Mingmu service from Python, at once or with `await`; both give the same answers and raise the same errors.

What to send and how to read what comes back is written once, below; `Client` and `AsyncClient` only carry it.
"""

from __future__ import annotations

import asyncio
import io
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Generic, Protocol, Self, TypeAlias, TypeVar, runtime_checkable
from urllib.parse import quote

import httpx

from mingmu.core.answers import Answer, Label, Labels
from mingmu.core.errors import BadImage, BadRequest, DeadlineExceeded, MingmuError, Overloaded, Unreachable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

URL = "http://127.0.0.1:8600"
TIMEOUT = 30.0  # seconds without an answer
RETRIES = 4
FIRST_PAUSE = 0.2  # seconds; doubled with each retry
LONGEST_PAUSE = 30.0  # seconds
LONGEST_PATIENCE = 600_000  # milliseconds that a service may be asked to spend on a request
PORTION_IMAGES = 16  # images in one request of `recognize_many`
PORTION_BYTES = 16 * 2**20

T = TypeVar("T")


@runtime_checkable
class Picture(Protocol):
    """What a PIL image can do, as far as it is needed here."""

    @property
    def mode(self) -> str: ...
    def getexif(self) -> Any: ...
    def convert(self, mode: str) -> Any: ...
    def save(self, fp: IO[bytes], format: str | None = None, **options: Any) -> None: ...


Image: TypeAlias = "str | os.PathLike[str] | bytes | Picture | NDArray[np.uint8]"
ACCEPTED = "a path, the bytes of an image file, a PIL image, or uint8 [H, W, 3] RGB pixels"


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a service said about one image, and which recognizer said it."""

    recognizer: str
    version: int
    digest: str
    answer: Answer
    timing_ms: Mapping[str, float]  # of the whole request, by stage


@dataclass(frozen=True, slots=True)
class Listed:
    """A recognizer that a service offers, at its newest version."""

    name: str
    version: int
    digest: str
    created: str  # ISO 8601, UTC


class Client:
    """A connection to a service; safe to share between threads. Usable in a `with` statement.

    Every call raises the error that the service named (`mingmu.MingmuError` and its children), Unreachable where
    none answers, DeadlineExceeded after `timeout` seconds. A busy or restarting service is asked again up to
    `retries` times, each time after a longer pause or the one that the service asked for.
    """

    def __init__(self, url: str = URL, key: str | None = None, *, timeout: float = TIMEOUT, retries: int = RETRIES) -> None:
        self._http = httpx.Client(base_url=url, headers=_headers(key, timeout), timeout=timeout)
        self._retries = retries

    def recognize(self, image: Image, recognizer: str = "general", *, top: int = 5) -> Recognition:
        """What one image shows; `recognizer` may carry a version, as in `flowers@3`."""
        return self._ask(_one(image, recognizer, top))

    def recognize_many(self, images: Iterable[Image], recognizer: str = "general", *, top: int = 5) -> list[Recognition | MingmuError]:
        """An answer for each image, or the error that it alone met; sent several to a request."""
        answers: list[Recognition | MingmuError] = []
        for call in _portions(images, recognizer, top):
            portion = self._ask(call)
            answers += portion
        return answers

    def recognizers(self) -> list[Listed]:
        """What the service offers."""
        return self._ask(_listing())

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

    def _ask(self, call: _Call[T]) -> T:
        attempt = 0
        while True:
            try:
                return call.read(self._http.request(**call.request))
            except (Overloaded, httpx.TransportError) as error:
                time.sleep(_pause(error, attempt, self._retries, self._http.base_url))
            attempt += 1


class AsyncClient:
    """`Client` for asyncio: the same calls, awaited. Usable in an `async with` statement."""

    def __init__(self, url: str = URL, key: str | None = None, *, timeout: float = TIMEOUT, retries: int = RETRIES) -> None:
        self._http = httpx.AsyncClient(base_url=url, headers=_headers(key, timeout), timeout=timeout)
        self._retries = retries

    async def recognize(self, image: Image, recognizer: str = "general", *, top: int = 5) -> Recognition:
        return await self._ask(await asyncio.to_thread(_one, image, recognizer, top))

    async def recognize_many(
        self, images: Iterable[Image], recognizer: str = "general", *, top: int = 5
    ) -> list[Recognition | MingmuError]:
        answers: list[Recognition | MingmuError] = []
        portions = _portions(images, recognizer, top)
        while call := await asyncio.to_thread(next, portions, None):  # reading and encoding would hold up the loop
            portion = await self._ask(call)
            answers += portion
        return answers

    async def recognizers(self) -> list[Listed]:
        return await self._ask(_listing())

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

    async def _ask(self, call: _Call[T]) -> T:
        attempt = 0
        while True:
            try:
                return call.read(await self._http.request(**call.request))
            except (Overloaded, httpx.TransportError) as error:
                await asyncio.sleep(_pause(error, attempt, self._retries, self._http.base_url))
            attempt += 1


@dataclass(frozen=True, slots=True)
class _Call(Generic[T]):
    """One question: the arguments of httpx's `request`, and how to read the response."""

    request: dict[str, Any]
    read: Callable[[httpx.Response], T]


def _headers(key: str | None, timeout: float) -> dict[str, str]:
    patience = min(LONGEST_PATIENCE, max(1, round(timeout * 1000)))  # the service drops what nobody waits for any more
    return {"X-Request-Timeout-Ms": str(patience)} | ({"Authorization": f"Bearer {key}"} if key else {})


def _one(image: Image, recognizer: str, top: int) -> _Call[Recognition]:
    def read(response: httpx.Response) -> Recognition:
        answer = _recognitions(_document(response))[0]
        if isinstance(answer, MingmuError):
            raise answer
        return answer

    body = {"content": _encoded(image), "headers": {"Content-Type": "application/octet-stream"}}
    return _Call(_recognize(recognizer, top) | body, read)


def _portions(images: Iterable[Image], recognizer: str, top: int) -> Iterator[_Call[list[Recognition | MingmuError]]]:
    """Requests that together hold all images, each small enough for any service."""
    portion: list[bytes] = []
    for data in map(_encoded, images):
        if portion and (len(portion) == PORTION_IMAGES or sum(map(len, portion)) + len(data) > PORTION_BYTES):
            yield _several(portion, recognizer, top)
            portion = []
        portion.append(data)
    if portion:
        yield _several(portion, recognizer, top)


def _several(images: list[bytes], recognizer: str, top: int) -> _Call[list[Recognition | MingmuError]]:
    def read(response: httpx.Response) -> list[Recognition | MingmuError]:
        try:
            return _recognitions(_document(response))
        except BadImage as error:
            if len(images) > 1:
                raise
            return [error]  # a request of one image fails as a whole

    files = [("image", (str(number), data, "application/octet-stream")) for number, data in enumerate(images)]
    return _Call(_recognize(recognizer, top) | {"files": files}, read)


def _recognize(recognizer: str, top: int) -> dict[str, Any]:
    return {"method": "POST", "url": f"/v1/recognizers/{quote(recognizer, safe='@')}/recognize", "params": {"top": top}}


def _listing() -> _Call[list[Listed]]:
    def read(response: httpx.Response) -> list[Listed]:
        rows = _document(response)["recognizers"]
        return [Listed(row["name"], row["version"], row["digest"], row["created"]) for row in rows]

    return _Call({"method": "GET", "url": "/v1/recognizers"}, read)


def _encoded(image: Image) -> bytes:
    """The bytes of an image file; pixels become a PNG. Raises OSError for a path that cannot be read."""
    if isinstance(image, bytes):
        return image
    if isinstance(image, (str, os.PathLike)):
        return Path(image).read_bytes()
    return _png_of_picture(image) if isinstance(image, Picture) else _png_of_pixels(image)


def _png_of_picture(picture: Picture) -> bytes:
    kept = picture if picture.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else picture.convert("RGB")
    file = io.BytesIO()
    kept.save(file, "PNG", exif=picture.getexif(), compress_level=1)  # the EXIF says which side is up
    return file.getvalue()


def _png_of_pixels(pixels: Any) -> bytes:
    from mingmu.core.pixels import encode_png

    shape, dtype = [*getattr(pixels, "shape", ())], getattr(pixels, "dtype", None)
    if len(shape) != 3 or shape[2] != 3 or dtype != "uint8":
        raise BadRequest(f"an image is {ACCEPTED}; this is {type(pixels).__name__} {dtype or ''} {shape or ''}".rstrip())
    return encode_png(pixels)


def _document(response: httpx.Response) -> dict[str, Any]:
    """The JSON of a response; raises the error that it stands for."""
    try:
        document = response.json()
    except ValueError:
        document = None
    if response.is_success and isinstance(document, dict):
        return document
    if not isinstance(document, dict) or "kind" not in document:
        document = {"kind": "overloaded" if response.status_code in (429, 503) else "internal"}
        document["detail"] = f"{response.url} answered {response.status_code} and nothing that Mingmu would say: {response.text[:200]!r}"
    raise _error(document, response.headers.get("Retry-After", ""))


def _recognitions(document: dict[str, Any]) -> list[Recognition | MingmuError]:
    said_by = document["recognizer"], document["version"], document["digest"]
    timing = document["timing_ms"]
    return [_error(row["error"]) if "error" in row else Recognition(*said_by, _labels(row), timing) for row in document["answers"]]


def _labels(row: dict[str, Any]) -> Labels:
    labels = tuple(Label(label["label"], label["score"], label.get("id")) for label in row["labels"])
    return Labels(labels, row.get("abstain", False))


def _error(problem: Mapping[str, Any], retry_after: str = "") -> MingmuError:
    """The exception that a problem document stands for; a kind that is not known here is a plain MingmuError."""
    detail = str(problem.get("detail", ""))
    error = _by_kind(MingmuError).get(problem["kind"], MingmuError)
    if issubclass(error, Overloaded):
        return error(detail, retry_after=float(retry_after) if retry_after.isdecimal() else 0.0)
    return error(detail)


def _by_kind(error: type[MingmuError]) -> dict[str, type[MingmuError]]:
    found = {error.kind: error}
    for child in error.__subclasses__():
        found |= _by_kind(child)
    return found


def _pause(error: Overloaded | httpx.TransportError, attempt: int, retries: int, url: httpx.URL) -> float:
    """Seconds until the next attempt, with jitter so that many clients do not return together; raises when none is left."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        raise DeadlineExceeded(f"{url} gave no answer in time ({type(error).__name__}); give the client a longer timeout") from error
    if attempt >= retries:
        if isinstance(error, Overloaded):
            raise error
        raise Unreachable(f"no service answers at {url} ({error}); start one with: mingmu serve") from error
    asked = error.retry_after if isinstance(error, Overloaded) else 0.0
    backoff = FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.0)
    return float(min(LONGEST_PAUSE, max(asked, backoff)))
