"""Event files as TensorBoard reads them, written without it.

A file is a row of records: length (uint64), its checksum, the bytes, their checksum; each is an `Event` of TensorFlow's
`event.proto`, of which time, step and scalar values are written here. Little-endian; checksums are masked CRC-32C.
Source: tensorflow/core/util/event.proto and lib/io/record_writer.h.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

CASTAGNOLI = 0x82F63B78


class EventFile:
    """One file of scalars, in a folder that `tensorboard --logdir` is given. Each line is on disk when `add` returns."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / f"events.out.tfevents.{time.time_ns()}.mingmu"
        self._write(_field(3, b"brain.Event:2"))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write values of a step, each under its name."""
        scalars = b"".join(_field(1, _field(1, name.encode()) + struct.pack("<Bf", 2 << 3 | 5, value)) for name, value in values.items())
        self._write(_varint(2 << 3) + _varint(step) + _field(5, scalars))

    def _write(self, event: bytes) -> None:
        event = struct.pack("<Bd", 1 << 3 | 1, time.time()) + event
        length = struct.pack("<Q", len(event))
        with self._file.open("ab") as file:
            file.write(length + _checksum(length) + event + _checksum(event))


def _field(number: int, data: bytes) -> bytes:
    """A field of bytes in the protocol buffers' wire format."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _checksum(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def crc32c(data: bytes) -> int:
    """CRC-32 with Castagnoli's polynomial (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _table()[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    def entry(value: int) -> int:
        for _ in range(8):
            value = value >> 1 ^ (CASTAGNOLI if value & 1 else 0)
        return value

    return tuple(map(entry, range(256)))
