"""Reads request bodies, within limits of size, memory and time, and finds the images in them."""

from __future__ import annotations

import asyncio
import binascii
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.types import Receive

from mingmu.core.errors import BadRequest, BodyTooLarge, DeadlineExceeded, QueueFull, SlowBody, UnsupportedBody
from mingmu.serve.attendance import ClientGone
from mingmu.serve.forms import files_in_form
from mingmu.settings import Settings

JSON = "application/json"
BODIES_IN_MEMORY = 8  # largest bodies that all requests together may hold
MAX_TOP = 1000
MAX_JSON_VALUES = 10_000

Take = Callable[[int], None]


class Budget:
    """The memory that all request bodies may take together."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    @contextmanager
    def hold(self) -> Iterator[Take]:
        """A function that takes bytes; it raises QueueFull when there are none left. They are given back at the end."""
        taken = 0

        def take(count: int) -> None:
            nonlocal taken
            if count > self._left:
                raise QueueFull("the requests in work take up all memory set aside for bodies; try again")
            self._left -= count
            taken += count

        try:
            yield take
        finally:
            self._left += taken


async def read_body(receive: Receive, headers: Mapping[str, str], settings: Settings, take: Take, deadline: float) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as it is known to be, SlowBody, DeadlineExceeded, UnsupportedBody, ClientGone."""
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedBody(f"the content encoding {headers['content-encoding']!r} is not read; send the body as it is")
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > settings.max_body_bytes:
        raise _too_large(settings)
    try:
        async with asyncio.timeout(max(0.0, min(settings.body_timeout, deadline - time.monotonic()))):
            return await _drain(receive, settings, take)
    except TimeoutError:
        if time.monotonic() >= deadline:
            raise DeadlineExceeded("the request's deadline passed before its body had arrived") from None
        raise SlowBody(f"the body did not arrive within {settings.body_timeout:g} s (settings: body_timeout)") from None


async def _drain(receive: Receive, settings: Settings, take: Take) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        if len(body) + len(chunk) > settings.max_body_bytes:
            raise _too_large(settings)
        take(len(chunk))
        if not message.get("more_body") and not body:
            return chunk  # the usual case: it came in one piece
        body += chunk
        if not message.get("more_body"):
            return bytes(body)


def _too_large(settings: Settings) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {settings.max_body_bytes} bytes (settings: max_body_bytes)")


@dataclass(frozen=True, slots=True)
class Url:
    """An image that is to be fetched."""

    address: str


Source = bytes | Url


@dataclass(frozen=True, slots=True)
class Wanted:
    """The images of one request, and what it says about the answer."""

    images: list[Source]
    top: int | None = None


class ImageJson(BaseModel):
    """One image: its bytes in base64, or where to fetch them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    base64: str | None = Field(None, description="The image file in standard base64.")
    url: str | None = Field(None, max_length=4096, description="A public http or https address (only where the operator allows it).")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.base64 is None) == (self.url is None):
            raise ValueError("an image has either base64 or url")
        return self


class ImagesJson(BaseModel):
    """A request in JSON."""

    model_config = ConfigDict(extra="forbid", strict=True)

    images: list[ImageJson] = Field(min_length=1)
    top: int | None = Field(None, ge=1, le=MAX_TOP, description="How many labels to name, the surest first.")


def media_type_of(content_type: str) -> str:
    """A content type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def images_in(body: bytes, content_type: str, max_images: int) -> Wanted:
    """The images in a body; raises BadRequest, or UnsupportedBody for a content type that is not read."""
    media_type = media_type_of(content_type)
    if not body:
        raise BadRequest("the body is empty; it should hold an image")
    if media_type.startswith("image/") or media_type in ("application/octet-stream", ""):
        return Wanted([body])
    if media_type == "multipart/form-data":
        return Wanted([*files_in_form(body, content_type, max_images)])
    if media_type == JSON:
        return _images_in_json(body, max_images)
    hint = " (curl: add -H 'Content-Type: image/jpeg')" if media_type == "application/x-www-form-urlencoded" else ""
    readable = "image/*, application/octet-stream, multipart/form-data, application/json"
    raise UnsupportedBody(f"the content type {media_type[:100]!r} is not read; send one of {readable}{hint}")


def _images_in_json(body: bytes, max_images: int) -> Wanted:
    check_json(body, MAX_JSON_VALUES)
    try:
        wanted = ImagesJson.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadRequest(f"JSON: {where + ': ' if where else ''}{first['msg']}") from None
    if len(wanted.images) > max_images:
        raise BadRequest(f"{len(wanted.images)} images; the limit is {max_images} (settings: max_images, max_queue)")
    return Wanted([_source(i, image) for i, image in enumerate(wanted.images)], wanted.top)


def _source(index: int, image: ImageJson) -> Source:
    return from_base64(image.base64, f"images.{index}.base64") if image.base64 is not None else Url(image.url or "")


def check_json(body: bytes, most: int) -> None:
    """Raise BadRequest if JSON may hold more values than `most`; to parse millions of them would hold up everyone else.

    Each value but the first follows a comma or a bracket. Those within texts are counted too, which does no harm:
    base64 has none.
    """
    if sum(body.count(mark) for mark in b"[{,") > most:
        raise BadRequest(f"JSON: more than {most} values; large tensors are sent as binary data")


def from_base64(text: str, where: str) -> bytes:
    """Bytes from standard base64; raises BadRequest, naming the place."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        hint = "; leave out the data: prefix" if text.startswith("data:") else ""
        raise BadRequest(f"{where} is not base64: {error}{hint}") from None
