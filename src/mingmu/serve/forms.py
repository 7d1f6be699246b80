"""Finds the files in a multipart/form-data body (RFC 7578).

The body is in memory, so it is cut at its boundary by one search in C: no input can make that slow.
"""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message

from mingmu.core.errors import BadRequest

MAX_HEAD_BYTES = 8192  # of one part


def files_in_form(body: bytes, content_type: str, max_files: int) -> list[bytes]:
    """The files of a form, in order; raises BadRequest for anything but 1 to `max_files` files."""
    return [file for _, file in named_files_in_form(body, content_type, max_files)]


def named_files_in_form(body: bytes, content_type: str, max_files: int) -> list[tuple[str, bytes]]:
    """The same, each with the name of its field."""
    delimiter = b"\r\n--" + _boundary(content_type)
    _, *parts = (b"\r\n" + body).split(delimiter, max_files + 2)
    files: list[tuple[str, bytes]] = []
    for part in parts:
        if part.startswith(b"--"):
            return _not_empty(files)
        if len(files) == max_files:
            raise BadRequest(f"the form holds more than {max_files} images (settings: max_images, max_queue)")
        files.append(_file(part))
    raise BadRequest("the form is cut short, or its boundary is not the one in the content type")


def _boundary(content_type: str) -> bytes:
    head = Message()
    head["content-type"] = content_type
    boundary = head.get_boundary()
    if not boundary or not boundary.isascii() or len(boundary) > 70:
        raise BadRequest("the content type of a form names its boundary, 1 to 70 characters")
    return boundary.encode()


def _file(part: bytes) -> tuple[str, bytes]:
    """The name of one part and what it holds; raises BadRequest if it is not a file."""
    end = part.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
    if end < 0:
        raise BadRequest(f"a part of the form has no headers that end within {MAX_HEAD_BYTES} bytes")
    head = message_from_bytes(part[:end].lstrip())
    name = head.get_param("name", header="content-disposition")
    if head.get_param("filename", header="content-disposition") is None:
        raise BadRequest(f"the form field {str(name)[:100]!r} is not a file; parameters go into the query")
    return str(name), part[end + 4 :]


def _not_empty(files: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    if not files:
        raise BadRequest("the form holds no file")
    return files
