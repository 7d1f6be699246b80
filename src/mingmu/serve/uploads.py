"""Takes in archives that are larger than memory: they go to the disk as they come."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from pathlib import Path
from typing import BinaryIO

from starlette.requests import Request

from mingmu.core.errors import BadRequest, BodyTooLarge, SlowBody, UnsupportedBody
from mingmu.serve.attendance import ClientGone
from mingmu.settings import Settings

MEDIA_TYPES = (
    "application/zip", "application/x-zip-compressed", "application/x-tar", "application/gzip", "application/x-gzip", "application/x-bzip2",
    "application/octet-stream",
)  # fmt: skip
SIGNATURES = ((0, b"PK", ".zip"), (0, b"\x1f\x8b", ".tar.gz"), (0, b"BZh", ".tar.bz2"), (257, b"ustar", ".tar"))
PIECE = 2**20  # bytes that are written at a time
SLOWEST = 16 * 1024  # bytes per second; an upload may take as long as this would, and body_timeout


async def save(request: Request, aside: Path, settings: Settings) -> Path:
    """Write the body of a request into a new folder in `aside`; gives the file, named for what it is.

    Nothing stays if it fails: the client begins anew. Raises BadRequest, BodyTooLarge, SlowBody, UnsupportedBody, ClientGone.
    """
    _check_head(request, settings)
    folder = aside / f"upload-{secrets.token_hex(8)}"  # a folder: those that are forgotten are swept after a day
    folder.mkdir()
    try:
        part = folder / "part"
        with part.open("wb") as file:
            await _write(request, file, settings)
        whole = folder / f"dataset{_suffix(part)}"
        return part.rename(whole)
    except BaseException:
        discard(folder / "part")
        raise


def discard(upload: Path) -> None:
    """Remove what `save` wrote."""
    shutil.rmtree(upload.parent, ignore_errors=True)


def _check_head(request: Request, settings: Settings) -> None:
    if (encoding := request.headers.get("content-encoding", "identity")).strip().lower() != "identity":
        raise UnsupportedBody(f"the content encoding {encoding[:50]!r} is not read; send the archive as it is")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        hint = "curl: -H 'Content-Type: application/zip' --data-binary @photos.zip"
        raise UnsupportedBody(f"the content type {media_type[:100]!r} is not read; send a zip or tar archive ({hint})")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > settings.max_upload_bytes:
        raise _too_large(settings)


async def _write(request: Request, file: BinaryIO, settings: Settings) -> None:
    started, size, piece = time.monotonic(), 0, bytearray()
    while True:
        patience = started + settings.body_timeout + size / SLOWEST - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, min(settings.body_timeout, patience))):
                message = await request.receive()
        except TimeoutError:
            raise SlowBody(f"after {size} bytes the archive came too slowly (settings: body_timeout); send it again") from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > settings.max_upload_bytes:
            raise _too_large(settings)
        piece += chunk
        last = not message.get("more_body")
        if last or len(piece) >= PIECE:
            await asyncio.to_thread(file.write, bytes(piece))
            piece.clear()
        if last:
            return


def _suffix(file: Path) -> str:
    with file.open("rb") as opened:
        head = opened.read(512)
    if not head:
        raise BadRequest("the body is empty; it should hold an archive")
    for at, signature, suffix in SIGNATURES:
        if head[at:].startswith(signature):
            return suffix
    raise UnsupportedBody("the body is no archive that is read here; send a zip, tar, tar.gz or tar.bz2")


def _too_large(settings: Settings) -> BodyTooLarge:
    return BodyTooLarge(f"the archive is larger than {settings.max_upload_bytes} bytes (settings: max_upload_bytes)")
