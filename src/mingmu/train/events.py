"""Event files as TensorBoard reads them, written without it.

A file is a row of records: length (uint64), its checksum, the bytes, their checksum; each is an `Event` of TensorFlow's
`event.proto`, of which time, step and scalar values are written here. Little-endian; checksums are masked CRC-32C.
Source: tensorflow/core/util/event.proto and lib/io/record_writer.h.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

CASTAGNOLI = 0x82F63B78


class EventFile:
    """One file of scalars, in a folder that `tensorboard --logdir` is given. Each line is on disk when `add` returns.

    Whatever is in the folder goes at the first `add`, but for the steps up to `after`: it is of a training that was cut short, and goes
    on from there, or that is over.
    """

    def __init__(self, folder: Path, after: int = 0) -> None:
        self._folder = folder
        self._after = after
        self._file: Path | None = None

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write values of a step, each under its name."""
        scalars = b"".join(_field(1, _field(1, name.encode()) + struct.pack("<Bf", 2 << 3 | 5, value)) for name, value in values.items())
        self._file = self._file or self._begun()
        with self._file.open("ab") as file:
            file.write(_record(_STEP + _varint(step) + _field(5, scalars)))

    def _begun(self) -> Path:
        """A new file, with what remains of those before it, in their place."""
        self._folder.mkdir(parents=True, exist_ok=True)
        old = sorted(self._folder.glob("events.out.tfevents.*"))
        kept = [record for file in old for record in _records(file.read_bytes()) if 0 < _step_of(record) <= self._after]
        new = self._folder / f"events.out.tfevents.{time.time_ns()}.mingmu"
        new.write_bytes(b"".join([_record(_field(3, b"brain.Event:2")), *kept]))
        for file in old:
            file.unlink()
        return new


_STEP = bytes([2 << 3])  # the tag of a step, behind the 9 bytes of the time


def _record(event: bytes) -> bytes:
    event = struct.pack("<Bd", 1 << 3 | 1, time.time()) + event
    length = struct.pack("<Q", len(event))
    return length + _checksum(length) + event + _checksum(event)


def _records(data: bytes) -> Iterator[bytes]:
    """Whole records, one after the other; the last may have been cut short."""
    while len(data) >= 12:
        end = 16 + struct.unpack_from("<Q", data)[0]
        if len(data) < end:
            return
        yield data[:end]
        data = data[end:]


def _step_of(record: bytes) -> int:
    """The step of a record; 0 for one that has none."""
    event = record[21:-4]
    if not event.startswith(_STEP):
        return 0
    step = 0
    for at, byte in enumerate(event[1:]):
        step |= (byte & 0x7F) << 7 * at
        if byte < 0x80:
            break
    return step


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
