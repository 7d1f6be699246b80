"""What an image file says about itself, read before any codec runs and before any memory is spent.

Pure functions over bytes, without a codec. Each container is also cut down to what makes its first picture:
profiles, texts, thumbnails, further pages and private tags are dropped, so that none of them can reach a codec.
Sources: JPEG T.81 annex B, PNG 3rd edition, GIF89a, TIFF 6.0, RFC 9649 (WebP), ISO 23008-12 (AVIF), Exif 2.32.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from mingmu.core.errors import BadImage, UnsupportedImage

MAX_SCANS = 64  # of a progressive JPEG; encoders write about ten, and each costs a pass over the whole image
MAX_TAG_VALUES = 65_536  # of one TIFF tag: a 16384x16384 image in 64x64 tiles


@dataclass(frozen=True, slots=True)
class Header:
    """The format of an image file, its stored size and how to turn it upright."""

    kind: str  # one of the keys of READERS
    size: tuple[int, int]  # width, height as stored, before the orientation is applied
    orientation: int  # Exif 1..8; WebP and AVIF say theirs only through the codec, here they are 1
    data: bytes  # the file, cut down to what makes the first picture


def read_header(data: bytes) -> Header:
    """Tell what kind of image this is and how large. Raises BadImage, UnsupportedImage."""
    kind = _kind(data)
    if kind not in READERS:
        hint = "permissively licensed decoders do not exist; " if kind == "HEIC" else ""
        raise UnsupportedImage(f"{kind} images are not supported ({hint}convert it to JPEG or PNG); supported: {', '.join(READERS)}")
    try:
        size, orientation, reduced = READERS[kind](data)
    except (struct.error, IndexError, ValueError) as error:
        raise BadImage(f"{kind} header is cut short or damaged ({len(data)} bytes)") from error
    if min(size) < 1:
        raise BadImage(f"{kind} image is {size[0]}x{size[1]}: it has no pixels")
    return Header(kind, size, orientation, reduced)


def exif_orientation(exif: bytes) -> int:
    """How to turn the image upright, 1..8; 1 where the Exif block does not say or makes no sense."""
    try:
        order, entries = _directory(exif.removeprefix(b"Exif\0\0"))
    except (struct.error, ValueError):
        return 1
    return _orientation(order, entries)


_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "BigTIFF"),
    (b"MM\0+", "BigTIFF"),
    (b"%PDF", "PDF"),
    (b"%!PS", "EPS"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"8BPS", "PSD"),
    (b"\0\0\1\0", "ICO"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
)
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def _kind(data: bytes) -> str:
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        length = int.from_bytes(data[:4], "big")
        brands = {data[at : at + 4] for at in range(8, min(length, 256), 4)}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        if brands & _HEIC_BRANDS:
            return "HEIC"
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<svg") or (start.startswith((b"<?xml", b"<!")) and b"<svg" in start):
        return "SVG"
    if data[:1] == b"P" and data[1:2] in b"1234567" and data[2:3].isspace():
        return "PNM"
    begins = f"; it begins with {data[:8].hex(' ')}" if data else ""
    raise BadImage(f"this is no image that we know ({len(data)} bytes{begins})")


Parts = tuple[tuple[int, int], int, bytes]  # size, orientation, reduced file


def _jpeg(data: bytes) -> Parts:
    """Markers up to the first scan; of the application segments only JFIF's and Adobe's say how to decode."""
    kept, size, planes, orientation, at = [data[:2]], (0, 0), 0, 0, 2
    while True:
        at = data.index(b"\xff", at)  # bytes between segments are junk that every decoder skips
        marker = data[at + 1]
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8:
            at += 1
            continue
        if marker in (0xD9, 0xDA):
            break
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if marker == 0xE1 and not orientation and data[at + 4 : at + 10] == b"Exif\0\0":
            orientation = exif_orientation(data[at + 10 : end])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width, planes = struct.unpack_from(">HHB", data, at + 5)
            size = width, height
            planes = 0 if marker in (0xC2, 0xC6, 0xCA, 0xCE) else planes  # progressive: no scan is the only one
        if not (0xE1 <= marker <= 0xED or marker in (0xEF, 0xFE)):
            kept.append(data[at:end])
        at = end
    if data[at + 4] != planes and data.count(b"\xff\xda", at) > MAX_SCANS:
        raise BadImage(f"JPEG has more than {MAX_SCANS} scans; the limit guards against files that take minutes to decode")
    return size, orientation or 1, b"".join(kept) + data[at:]


def _png(data: bytes) -> Parts:
    """The chunks that make the default image, and the orientation."""
    width, height, depth = struct.unpack_from(">IIB", data, 16)
    wanted = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
    if depth < 16:
        wanted.add(b"tRNS")  # the codec reads 16-bit samples as 8-bit ones: a 16-bit colour key would hit the wrong colours
    kept, orientation, at = [data[:8]], 1, 8
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name in wanted:
            kept.append(data[at : at + 12 + length])
        elif name == b"eXIf":
            orientation = exif_orientation(data[at + 8 : at + 8 + length])
        if name == b"IEND":
            break
        at += 12 + length
    return (width, height), orientation, b"".join(kept)


def _gif(data: bytes) -> Parts:
    """The logical screen, grown to hold the first frame as viewers do."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while data[at] != 0x2C:
        if data[at] == 0x3B:
            raise BadImage("GIF has no frame")
        at += 1
        if data[at - 1] != 0x21:
            continue
        at += 1  # the extension's label
        while data[at]:
            at += 1 + data[at]
        at += 1
    left, top, across, down = struct.unpack_from("<HHHH", data, at + 1)
    return (max(width, left + across), max(height, top + down)), 1, data


def _bmp(data: bytes) -> Parts:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        return struct.unpack_from("<HH", data, 18), 1, data
    width, height = struct.unpack_from("<ii", data, 18)
    return (width, abs(height)), 1, data  # a negative height means: the top row first


def _webp(data: bytes) -> Parts:
    chunk = data[12:16]
    if chunk == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif chunk == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif chunk == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise BadImage(f"WebP holds no picture ({len(data)} bytes)")
    return (width, height), 1, data


def _avif(data: bytes) -> Parts:
    """The largest of the extents it declares; its rotation is a property of the picture, so Exif has no say."""
    head, mark, rest = data.partition(b"mdat")
    sizes, at = [(0, 0)], head.find(b"ispe")
    while at >= 0:
        sizes.append(struct.unpack_from(">II", head, at + 8))
        at = head.find(b"ispe", at + 4)
    return max(sizes, key=lambda size: size[0] * size[1]), 1, head.replace(b"Exif", b"none") + mark + rest


_SCALAR_TAGS = {256, 257, 259, 262, 266, 277, 278, 284, 292, 293, 317, 322, 323, 512, 513, 514, 531}
_ARRAY_TAGS = {258, 273, 279, 320, 324, 325, 338, 339, 347, 519, 520, 521, 529, 530, 532}
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
Entry = tuple[int, int, int, bytes]  # tag, type, count, value or its offset


def _tiff(data: bytes) -> Parts:
    """The first page, its directory rewritten with nothing but the tags that make pixels."""
    order, entries = _directory(data)
    kept = [entry for entry in entries if entry[0] in _SCALAR_TAGS | _ARRAY_TAGS]
    outside = 0
    for tag, form, count, value in kept:
        length = _TYPE_BYTES.get(form, 0) * count
        if not length or count > (1 if tag in _SCALAR_TAGS else MAX_TAG_VALUES):
            raise BadImage(f"TIFF tag {tag} holds {count} values of type {form}")
        if length > 4:
            outside += length
            if struct.unpack(order + "I", value)[0] + length > len(data) or outside > len(data):
                raise BadImage(f"TIFF tag {tag} points outside the file ({len(data)} bytes)")
    if len({entry[0] for entry in kept}) != len(kept):
        raise BadImage("TIFF page names a tag twice")
    at = len(data) + len(data) % 2  # directories begin at even offsets
    page = struct.pack(order + "H", len(kept)) + b"".join(struct.pack(order + "HHI4s", *entry) for entry in kept) + bytes(4)
    size = _number(order, kept, 256), _number(order, kept, 257)
    return size, _orientation(order, entries), data[:4] + struct.pack(order + "I", at) + data[8:].ljust(at - 8, b"\0") + page


def _directory(data: bytes) -> tuple[str, list[Entry]]:
    """The byte order and the first directory of a TIFF structure. Raises struct.error, ValueError."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        raise ValueError("no TIFF structure")
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    return order, [struct.unpack_from(order + "HHI4s", data, at + 2 + 12 * index) for index in range(count)]


def _number(order: str, entries: list[Entry], tag: int) -> int:
    """The value of a one-number tag; 0 where it is missing."""
    for name, form, _, value in entries:
        if name == tag and form in (3, 4):
            number: int = struct.unpack_from(order + ("H" if form == 3 else "I"), value)[0]
            return number
    return 0


def _orientation(order: str, entries: list[Entry]) -> int:
    turn = _number(order, entries, 274)
    return turn if 1 <= turn <= 8 else 1


READERS: dict[str, Callable[[bytes], Parts]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WebP": _webp,
    "GIF": _gif,
    "BMP": _bmp,
    "TIFF": _tiff,
    "AVIF": _avif,
}
