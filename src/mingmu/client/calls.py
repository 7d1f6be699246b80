"""One question to a service, and how its answer is read; nothing here sends anything."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx

from mingmu.core.errors import DeadlineExceeded, MingmuError, Overloaded, Unreachable

FIRST_PAUSE = 0.2  # seconds; doubled with each retry
LONGEST_PAUSE = 30.0  # seconds
LONGEST_PATIENCE = 600_000  # milliseconds that a service may be asked to spend on a request

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One question: the arguments of httpx's `request`, and how to read the response."""

    request: dict[str, Any]
    read: Callable[[httpx.Response], T]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a listing, and the question that gives the next one."""

    entries: list[T]
    next: Call[Page[T]] | None


def listing(url: str, what: str, entry: Callable[[Mapping[str, Any]], T], after: str | None = None) -> Call[Page[T]]:
    """The entries of a listing, a page at a time."""

    def read(response: httpx.Response) -> Page[T]:
        document = document_of(response)
        more = document.get("next")
        return Page([entry(row) for row in document[what]], listing(url, what, entry, more) if more else None)

    return Call({"method": "GET", "url": url, "params": {"after": after} if after else {}}, read)


def headers_for(key: str | None, timeout: float) -> dict[str, str]:
    patience = min(LONGEST_PATIENCE, max(1, round(timeout * 1000)))  # the service drops what nobody waits for any more
    return {"X-Request-Timeout-Ms": str(patience)} | ({"Authorization": f"Bearer {key}"} if key else {})


def document_of(response: httpx.Response) -> dict[str, Any]:
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
    raise error_of(document, response.headers.get("Retry-After", ""))


def error_of(problem: Mapping[str, Any], retry_after: str = "") -> MingmuError:
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


def pause(error: Overloaded | httpx.TransportError, attempt: int, retries: int, url: httpx.URL) -> float:
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
