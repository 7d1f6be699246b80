"""Questions about faces. The answers are those of the service, as its JSON has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from mingmu.client.calls import Call, document_of
from mingmu.client.images import Image, encoded

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


def identify(gallery: str, photo: Image, rate: float | None) -> Said:
    request = {"method": "POST", "url": f"{_path(gallery)}/identify", "params": _rate(rate), "content": encoded(photo)}
    return Call(request | {"headers": {"Content-Type": FILE}}, document_of)


def remove_person(gallery: str, person: str) -> Said:
    return Call({"method": "DELETE", "url": f"{_path(gallery)}/people", "params": {"person": person}}, document_of)


def _path(gallery: str) -> str:
    return f"/v1/faces/galleries/{quote(gallery, safe='')}"


def _rate(rate: float | None) -> dict[str, str]:
    return {} if rate is None else {"false_match_rate": f"{rate:g}"}
