"""Questions about faces. The answers are those of the service, as its JSON has them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import httpx

from mingmu.client.calls import Call, Page, document_of, listing
from mingmu.client.images import Image, encoded
from mingmu.core.disk import private_file

Said = Call[dict[str, Any]]
FILE = "application/octet-stream"


def verify(a: Image, b: Image, rate: float | None) -> Said:
    files = {name: (name, encoded(image), FILE) for name, image in (("a", a), ("b", b))}
    return Call({"method": "POST", "url": "/v1/faces/verify", "params": _rate(rate), "files": files}, document_of)


def enrol(gallery: str, person: str, photos: Sequence[Image], force: bool) -> Said:
    files = [("image", (str(number), encoded(photo), FILE)) for number, photo in enumerate(photos)]
    return Call(
        {"method": "POST", "url": f"{_path(gallery)}/people", "params": {"person": person, "force": force}, "files": files}, document_of
    )


def identify(gallery: str, photo: Image, rate: float | None, draw: bool) -> Said:
    params = _rate(rate) | ({"draw": "true"} if draw else {})
    request = {"method": "POST", "url": f"{_path(gallery)}/identify", "params": params, "content": encoded(photo)}
    return Call(request | {"headers": {"Content-Type": FILE}}, document_of)


def galleries() -> Call[Page[dict[str, Any]]]:
    return listing("/v1/faces/galleries", "galleries", dict)


def people(gallery: str) -> Call[Page[dict[str, Any]]]:
    return listing(f"{_path(gallery)}/people", "people", dict)


class Export:
    """Fetches an export into a file that only its owner may read; `out` is there as a whole or not at all."""

    resumes = False  # each connection begins anew

    def __init__(self, gallery: str, person: str | None, out: Path) -> None:
        self.request: dict[str, Any] = {"method": "GET", "url": f"{_path(gallery)}/export", "params": {"person": person} if person else {}}
        self.over = False
        self._out = out

    def begin(self, response: httpx.Response) -> AbstractContextManager[IO[bytes]]:
        """Where the bytes of a response go, which has all of it; raises the error that it stands for."""
        if not response.is_success:
            document_of(response)
        return private_file(self._out)

    def report(self, _file: IO[bytes]) -> None:
        """How long it will be is not known."""

    def pause(self) -> None:
        """The stream came to its end, and so is all there."""
        self.over = True


def remove_person(gallery: str, person: str) -> Said:
    return Call({"method": "DELETE", "url": f"{_path(gallery)}/people", "params": {"person": person}}, document_of)


def _path(gallery: str) -> str:
    return f"/v1/faces/galleries/{quote(gallery, safe='')}"


def _rate(rate: float | None) -> dict[str, str]:
    return {} if rate is None else {"false_match_rate": f"{rate:g}"}
