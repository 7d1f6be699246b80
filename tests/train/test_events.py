"""Event files are read back here by their specification; TensorBoard itself is not needed."""

from __future__ import annotations

import struct
from pathlib import Path

from mingmu.train.events import EventFile, crc32c


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of the polynomial
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, appendix B.4


def records(data: bytes) -> list[bytes]:
    """The records of a file; each must carry its masked checksums."""
    found = []
    while data:
        (length,) = struct.unpack_from("<Q", data)
        event = data[12 : 12 + length]
        assert struct.unpack_from("<I", data, 8)[0] == masked(data[:8])
        assert struct.unpack_from("<I", data, 12 + length)[0] == masked(event)
        found.append(event)
        data = data[16 + length :]
    return found


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_a_file_holds_its_version_and_a_record_for_each_step(tmp_path: Path) -> None:
    log = EventFile(tmp_path / "events")
    log.add(1, {"loss": 0.5})
    log.add(300, {"loss": 0.25, "accuracy": 0.75})
    (file,) = (tmp_path / "events").iterdir()
    assert ".tfevents." in file.name
    version, first, second = records(file.read_bytes())
    assert version.endswith(b"brain.Event:2")
    assert b"\x10\x01" in first[9:]
    assert struct.pack("<f", 0.5) in first
    assert b"\x10\xac\x02" in second[9:]  # 300 as a varint
    assert second.index(b"loss") < second.index(struct.pack("<f", 0.25)) < second.index(b"accuracy")


def test_what_goes_on_keeps_the_steps_before_and_what_begins_keeps_none(tmp_path: Path) -> None:
    first = EventFile(tmp_path)
    for step in (1, 2, 300):
        first.add(step, {"loss": step / 4})
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-3])  # cut short by a power cut
    before = records(first_whole(file))
    EventFile(tmp_path, after=1)
    assert [*tmp_path.iterdir()] == [file]  # until there is something to write
    EventFile(tmp_path, after=1).add(2, {"loss": 7.0})
    (file,) = tmp_path.iterdir()
    _, kept, added = records(file.read_bytes())
    assert kept == before[1]
    assert struct.pack("<f", 7.0) in added
    EventFile(tmp_path).add(1, {"loss": 8.0})
    (file,) = tmp_path.iterdir()
    assert len(records(file.read_bytes())) == 2


def first_whole(file: Path) -> bytes:
    """The version and the first two steps."""
    data, end = file.read_bytes(), 0
    for _ in range(3):
        end += 16 + struct.unpack_from("<Q", data, end)[0]
    return data[:end]
