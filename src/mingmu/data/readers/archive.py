"""Zip and tar archives as trees of files. Nothing is ever written under a name that an archive chose.

A zip is read in place; a tar, which can only be read from front to back, goes to a temporary folder under numbers.
"""

from __future__ import annotations

import re
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from mingmu.core.errors import BadRequest, BodyTooLarge, NotFound
from mingmu.data.finding import Finding
from mingmu.data.readers.tree import Tree, clean_name, is_outside

TAR_SUFFIXES = {".tar": "r|", ".tar.gz": "r|gz", ".tgz": "r|gz", ".tar.bz2": "r|bz2"}
_CHUNK = 2**20
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, OverflowError, RuntimeError, struct.error)  # what zipfile raises
_ENTRY = struct.Struct("<6xBxH18xHHH12x")  # of a zip's directory: version, flags, lengths of name, extra, comment (APPNOTE.TXT 4.3.12)
_UTF8 = 0x800  # the flag that says that the name is UTF-8


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an archive may contain."""

    max_files: int = 250_000
    max_file_bytes: int = 2**30
    max_total_bytes: int = 64 * 2**30
    max_ratio: int = 100  # unpacked to packed, of the whole; photos are near 1, annotations near 20
    ratio_from: int = 100 * 2**20  # unpacked bytes below which the ratio does not matter
    max_header_bytes: int = 2**20  # of one name

    def check(self, files: int, total: int, packed: int) -> None:
        """Raises BodyTooLarge."""
        if files > self.max_files:
            raise BodyTooLarge(f"the archive has more than {self.max_files} files; split it")
        if total > self.max_total_bytes:
            raise BodyTooLarge(f"the archive unpacks to more than {self.max_total_bytes / 2**30:.4g} GiB; split it")
        if total > max(self.ratio_from, packed * self.max_ratio):
            raise BodyTooLarge(f"the archive unpacks to more than {self.max_ratio} times its size: this is no archive of photos")


DEFAULT_LIMITS = ArchiveLimits()


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith((".zip", *TAR_SUFFIXES))


@contextmanager
def opened(path: Path, limits: ArchiveLimits = DEFAULT_LIMITS) -> Iterator[Tree]:
    """The files of an archive. Raises BadRequest, BodyTooLarge."""
    name = path.name.lower()
    try:
        if name.endswith(".zip"):
            with path.open("rb") as file, _unpacked(file, limits) as archive:
                yield ZipTree(archive, path.stat().st_size, limits)
        else:
            mode = next(mode for suffix, mode in TAR_SUFFIXES.items() if name.endswith(suffix))
            with tempfile.TemporaryDirectory(prefix="mingmu-") as spool:
                yield TarTree(path, mode, Path(spool), limits)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, struct.error) as error:
        raise BadRequest(f"{path.name} is damaged or cut short: {error}") from error


class ZipTree:
    """The files of an open zip."""

    def __init__(self, archive: zipfile.ZipFile, packed: int, limits: ArchiveLimits) -> None:
        members = archive.infolist()
        limits.check(len(members), sum(member.file_size for member in members), packed)
        if any(member.flag_bits & 0x1 for member in members):
            raise BadRequest("the zip is encrypted; pack it again without a password")
        self._archive, self._members, self.findings = archive, {}, []
        folders = []
        for member in members:
            name = _zip_name(member)
            if problem := _zip_problem(member, name):
                self.findings.append(problem)
            elif clean := clean_name(name):
                if member.is_dir():
                    folders.append(clean)
                else:
                    self._members[clean] = member
        self.names: Sequence[str] = sorted(self._members)
        self.folders: Sequence[str] = sorted(folders)

    _members: dict[str, zipfile.ZipInfo]
    findings: list[Finding]

    def read(self, name: str, limit: int) -> bytes:
        if name not in self._members:
            raise NotFound(f"there is no file {name} in the archive")
        member = self._members[name]
        if member.file_size > limit:  # zipfile never gives more than this, whatever the stream holds
            raise BodyTooLarge(f"{name} has {member.file_size} bytes; the limit is {limit}")
        try:
            return self._archive.read(member)
        except _BROKEN as error:
            raise BadRequest(f"{name} is damaged in the archive: {error}") from error


class TarTree:
    """The files of a tar, spooled to a folder under numbers."""

    def __init__(self, path: Path, mode: str, spool: Path, limits: ArchiveLimits) -> None:
        self._spooled: dict[str, Path] = {}
        self.findings: list[Finding] = []
        folders: list[str] = []
        packed, total, count = path.stat().st_size, 0, 0
        with tarfile.open(path, mode, tarinfo=_member_class(limits)) as archive:  # type: ignore[call-overload]
            for count, member in enumerate(archive, start=1):
                total += member.size  # of all: what is passed over is unpacked as well
                limits.check(count, total, packed)
                archive.members = []  # they would be kept, a hundred thousand of them
                if problem := _tar_problem(member, limits):
                    self.findings.append(problem)
                elif clean := clean_name(member.name):
                    if member.isdir():
                        folders.append(clean)
                        continue
                    self._spooled[clean] = spool / str(count)
                    _spool(archive.extractfile(member), self._spooled[clean])
        if not count:
            raise BadRequest(f"{path.name} has no files in it")
        self.names: Sequence[str] = sorted(self._spooled)
        self.folders: Sequence[str] = sorted(folders)

    def read(self, name: str, limit: int) -> bytes:
        if name not in self._spooled:
            raise NotFound(f"there is no file {name} in the archive")
        path = self._spooled[name]
        if path.stat().st_size > limit:
            raise BodyTooLarge(f"{name} has {path.stat().st_size} bytes; the limit is {limit}")
        return path.read_bytes()


def _spool(source: IO[bytes] | None, target: Path) -> None:
    """Copy a file out in pieces."""
    with target.open("wb") as file:
        while source and (chunk := source.read(_CHUNK)):
            file.write(chunk)


def _member_class(limits: ArchiveLimits) -> type[tarfile.TarInfo]:
    """Tar headers whose names have a limit: tarfile itself reads a long name of any size into memory.

    And the end of the archive must be there."""

    class Member(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Member:
            if len(buf) < tarfile.BLOCKSIZE:  # tarfile takes this for the end; the end is marked by blocks of zeros
                raise BadRequest("the tar is cut short: it has no end mark; pack it again")
            member = super().frombuf(buf, encoding, errors)
            if not (member.isreg() or member.isdir()) and member.size > limits.max_header_bytes:
                raise BodyTooLarge(f"the archive has a name of {member.size} bytes; the limit is {limits.max_header_bytes}")
            return member

    return Member


def _tar_problem(member: tarfile.TarInfo, limits: ArchiveLimits) -> Finding | None:
    name = _printable(member.name)
    if is_outside(member.name):
        return Finding.of("path-outside", name)
    if not (member.isreg() or member.isdir()) or member.issparse():
        return Finding.of("special-file", name)
    if member.size > limits.max_file_bytes:
        return Finding.of("unreadable", name, detail=f"{member.size} bytes; the limit is {limits.max_file_bytes}")
    return None


def _zip_problem(member: zipfile.ZipInfo, name: str) -> Finding | None:
    if is_outside(name):
        return Finding.of("path-outside", name)
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        return Finding.of("special-file", name)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # LZMA's memory is the archive's choice
        return Finding.of("unreadable", name, detail=f"packed by method {member.compress_type}; only stored and deflated are read")
    return None


def _zip_name(member: zipfile.ZipInfo) -> str:
    """The name as it was meant: many programs write UTF-8 or GBK and do not say so, and zipfile takes it for code page 437."""
    if member.flag_bits & 0x800 or member.filename.isascii():
        return member.filename
    raw = member.filename.encode("cp437", "replace")
    if _is_decodable(raw, "utf-8"):
        return raw.decode("utf-8")
    if re.fullmatch(rb"(?:[\x00-\x7f]|[\xa1-\xf7][\xa1-\xfe])*", raw) and _is_decodable(raw, "gbk"):
        return raw.decode("gbk")
    return member.filename


def _is_decodable(raw: bytes | bytearray, encoding: str) -> bool:
    return "�" not in raw.decode(encoding, "replace")


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _unpacked(file: BinaryIO, limits: ArchiveLimits) -> zipfile.ZipFile:
    """Open a zip. One false word about a member does not keep the others from being read. Raises BadZipFile, BadRequest, BodyTooLarge."""
    try:
        _check_directory(file, limits)
        try:
            return zipfile.ZipFile(file)
        except (UnicodeDecodeError, NotImplementedError):
            return zipfile.ZipFile(_Mended(file))
    except _BROKEN as error:
        raise zipfile.BadZipFile(str(error)) from error


class _Mended:
    """A zip whose directory is mended when it is read, once: zipfile reads none with a word in it that it does not understand."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self.seekable, self.close = file.seek, file.tell, file.seekable, file.close
        self._file = file
        self._mended = False

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        if self._mended or not data.startswith(b"PK\1\2"):
            return data
        self._mended = True
        return _mended(data)


def _mended(directory: bytes) -> bytes:
    """A zip's directory whose names are said to be UTF-8 only where they are, and that asks for no later version than we know."""
    data, at = bytearray(directory), 0
    while at + _ENTRY.size <= len(data):
        version, flags, *lengths = _ENTRY.unpack_from(data, at)
        name = at + _ENTRY.size
        if flags & _UTF8 and not _is_decodable(data[name : name + lengths[0]], "utf-8"):
            flags &= ~_UTF8
        struct.pack_into("<BxH", data, at + 6, min(version, zipfile.MAX_EXTRACT_VERSION), flags)
        at = name + sum(lengths)
    return bytes(data)


def _check_directory(file: IO[bytes], limits: ArchiveLimits) -> None:
    """Refuse a zip whose list of files is absurd, before zipfile makes an object of each (APPNOTE.TXT 4.3.14 to 4.3.16)."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 65_557))  # the end record and the longest comment
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0:
        raise BadRequest("this is no zip archive, or it is cut short")
    directory: int = struct.unpack_from("<L", tail, at + 12)[0]
    locator = tail.rfind(b"PK\6\7", 0, at)
    if locator >= 0:
        file.seek(struct.unpack_from("<Q", tail, locator + 8)[0])
        directory = max(directory, struct.unpack_from("<Q", file.read(56), 40)[0]) if directory == 0xFFFFFFFF else directory
    file.seek(0)
    if directory > limits.max_files * 512:
        raise BodyTooLarge(f"the archive lists more than {limits.max_files} files; split it")
