from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from mingmu.core.errors import BadRequest, BodyTooLarge
from mingmu.data.readers.archive import ArchiveLimits
from mingmu.data.reading import read
from tests.data.memory import MemoryBlobs, png


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, files: dict[str, bytes], *odd: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for member in odd:
            archive.addfile(member)
    return path


CLASSES = {"pears/1.png": png(1), "pears/2.png": png(2), "äpfel 红/1.png": png(3)}


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz"])
def test_an_archive_reads_like_the_folder_it_holds(tmp_path: Path, name: str) -> None:
    make = zipped if name.endswith(".zip") else tarred
    reading = read(make(tmp_path / name, {f"wrap/{path}": data for path, data in CLASSES.items()}), MemoryBlobs())
    assert reading.dataset.labels == ("pears", "äpfel 红")
    assert len(reading.dataset) == 3
    assert reading.findings == ()


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png", "C:\\evil.png", "pears/../../evil.png"])
@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_a_path_that_leads_out_is_reported_and_nothing_is_written_there(tmp_path: Path, name: str, suffix: str) -> None:
    make = zipped if suffix == ".zip" else tarred
    reading = read(make(tmp_path / f"a{suffix}", {**CLASSES, name: png(9)}), MemoryBlobs())
    assert [finding.kind for finding in reading.findings] == ["path-outside"]
    assert len(reading.dataset) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}"]


def test_links_and_devices_of_a_tar_are_reported(tmp_path: Path) -> None:
    odd = []
    for name, kind in (("pears/link.png", tarfile.SYMTYPE), ("pears/hard.png", tarfile.LNKTYPE), ("pears/null.png", tarfile.CHRTYPE)):
        odd.append(tarfile.TarInfo(name))
        odd[-1].type, odd[-1].linkname = kind, "/etc/passwd"
    reading = read(tarred(tmp_path / "a.tar", CLASSES, *odd), MemoryBlobs())
    assert sorted(finding.where[0] for finding in reading.findings) == ["pears/hard.png", "pears/link.png", "pears/null.png"]
    assert {finding.kind for finding in reading.findings} == {"special-file"}


def test_a_link_in_a_zip_is_reported(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", CLASSES)
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("pears/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert [finding.kind for finding in read(path, MemoryBlobs()).findings] == ["special-file"]


@pytest.mark.parametrize(
    "limits",
    [
        ArchiveLimits(max_files=2),
        ArchiveLimits(max_total_bytes=1000),
        ArchiveLimits(ratio_from=1000, max_ratio=1),
    ],
)
@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_an_archive_over_a_limit_is_refused_as_a_whole(tmp_path: Path, limits: ArchiveLimits, suffix: str) -> None:
    make = zipped if suffix == ".zip" else tarred
    path = make(tmp_path / f"a{suffix}", {**CLASSES, "pears/zeros.png": bytes(100_000)})
    with pytest.raises(BodyTooLarge, match=r"archive|times"):
        read(path, MemoryBlobs(), archive_limits=limits)


def test_a_tar_with_a_name_of_two_megabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar.gz", {"x" * 2_000_000 + ".png": png(1)})
    with pytest.raises(BodyTooLarge, match="name"):
        read(path, MemoryBlobs())


def test_an_encrypted_zip_is_refused_with_a_hint(tmp_path: Path) -> None:
    data = bytearray(zipped(tmp_path / "a.zip", CLASSES).read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(BadRequest, match="without a password"):
        read(tmp_path / "a.zip", MemoryBlobs())


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_what_is_no_archive_or_cut_short_is_refused(tmp_path: Path, suffix: str) -> None:
    make = zipped if suffix == ".zip" else tarred
    whole = make(tmp_path / f"a{suffix}", CLASSES).read_bytes()
    for data in (b"", b"hello", whole[: len(whole) // 2]):
        (tmp_path / f"a{suffix}").write_bytes(data)
        with pytest.raises(BadRequest):
            read(tmp_path / f"a{suffix}", MemoryBlobs())


def test_a_damaged_member_is_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", CLASSES)
    data = bytearray(path.read_bytes())
    at = data.index(b"pears/1.png") + 40
    data[at : at + 20] = bytes(20)
    path.write_bytes(data)
    reading = read(path, MemoryBlobs())
    assert [(finding.kind, finding.where) for finding in reading.findings] == [("unreadable", ("pears/1.png",))]
    assert len(reading.dataset) == 2


@pytest.mark.parametrize("bit", [0x20, 0x40])
def test_a_member_that_is_packed_as_nobody_packs_is_reported_and_the_rest_is_read(tmp_path: Path, bit: int) -> None:
    reading = read(zip_with(tmp_path / "a.zip", b"PK\1\2", {8: bit}), MemoryBlobs())
    assert [(finding.kind, finding.where) for finding in reading.findings] == [("unreadable", ("pears/1.png",))]
    assert len(reading.dataset) == 2


def test_a_member_whose_two_names_do_not_agree_is_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    reading = read(zip_with(tmp_path / "a.zip", b"PK\3\4", {7: 0x08, 30 + 6: 0xFF}), MemoryBlobs())
    assert [(finding.kind, finding.where) for finding in reading.findings] == [("unreadable", ("pears/1.png",))]
    assert len(reading.dataset) == 2


def test_a_name_that_is_said_to_be_utf8_and_is_not_keeps_no_image_from_being_read(tmp_path: Path) -> None:
    zip_with(tmp_path / "a.zip", b"PK\3\4", {30 + 6: 0xFF})
    reading = read(zip_with(tmp_path / "a.zip", b"PK\1\2", {9: 0x08, 46 + 6: 0xFF}, anew=False), MemoryBlobs())
    assert (reading.findings, len(reading.dataset)) == ((), 3)
    assert reading.dataset.labels == ("pears", "äpfel 红")


def test_a_member_that_asks_for_a_reader_of_the_future_is_read_by_ours(tmp_path: Path) -> None:
    assert len(read(zip_with(tmp_path / "a.zip", b"PK\1\2", {6: 250}), MemoryBlobs()).dataset) == 3


def test_a_zip_whose_directory_is_said_to_lie_beyond_all_disks_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", CLASSES)
    data = path.read_bytes()
    at = data.index(b"PK\5\6")
    path.write_bytes(data[:at] + b"PK\6\7" + bytes(4) + b"\xff" * 8 + bytes(4) + data[at:])
    with pytest.raises(BadRequest, match="damaged"):
        read(path, MemoryBlobs())


def zip_with(path: Path, header: bytes, changes: dict[int, int], *, anew: bool = True) -> Path:
    """A zip with bits set in a header of its first member."""
    data = bytearray((zipped(path, CLASSES) if anew else path).read_bytes())
    at = data.index(header)
    for offset, bits in changes.items():
        data[at + offset] |= bits
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_chinese_names_are_read_where_the_zip_does_not_say_their_encoding(tmp_path: Path, encoding: str) -> None:
    placeholder = "x" * len("苹果".encode(encoding))
    raw = zipped(tmp_path / "a.zip", {f"{placeholder}/1.png": png(1), "pears/1.png": png(2)}).read_bytes()
    (tmp_path / "a.zip").write_bytes(raw.replace(placeholder.encode(), "苹果".encode(encoding)))
    assert read(tmp_path / "a.zip", MemoryBlobs()).dataset.labels == ("pears", "苹果")


def test_what_is_passed_over_in_a_tar_counts_as_well(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar.gz", {**CLASSES, "pears/.hidden": bytes(100_000), ".other": bytes(100_000)})
    with pytest.raises(BodyTooLarge, match="times"):
        read(path, MemoryBlobs(), archive_limits=ArchiveLimits(ratio_from=150_000, max_ratio=1))
