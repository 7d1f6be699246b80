"""Finds the files in a multipart/form-data body."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from mingmu.core.errors import BadRequest


def files_in_form(body: bytes, content_type: str, max_files: int) -> list[bytes]:
    """The files of a form, in order; raises BadRequest for anything but 1 to `max_files` files."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise BadRequest("the content type of a form names its boundary; this one has none")
    form = _Form(max_files)
    try:
        MultipartParser(boundary, form.callbacks()).write(body)  # type: ignore[arg-type]
    except FormParserError as error:
        raise BadRequest(f"the form is damaged: {error}") from None
    if not form.complete:
        raise BadRequest("the form is cut short: its closing boundary is missing")
    if not form.files:
        raise BadRequest("the form holds no file")
    return [bytes(file) for file in form.files]


@dataclass(slots=True)
class _Form:
    """What the parser has seen so far."""

    max_files: int
    files: list[bytearray] = field(default_factory=list)
    complete: bool = False
    _name: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _disposition: bytes = b""

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_headers_finished": self._headers,
            "on_part_data": lambda data, start, end: self.files[-1].extend(memoryview(data)[start:end]),
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.files) == self.max_files:
            raise BadRequest(f"the form holds more than {self.max_files} images (settings: max_images)")
        self._disposition = b""

    def _header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _headers(self) -> None:
        options = parse_options_header(self._disposition)[1]
        if b"filename" not in options:
            name = options.get(b"name", b"").decode("utf-8", "replace")
            raise BadRequest(f"the form field {name[:100]!r} is not a file; parameters go into the query")
        self.files.append(bytearray())

    def _end(self) -> None:
        self.complete = True
