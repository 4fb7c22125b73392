"""What a picture's file states of itself, before any memory is taken for it: its size, its pages, whether it moves."""

import re
import struct
from typing import Any, BinaryIO

_PNG = b"\x89PNG\r\n\x1a\n"
_CHUNK_BYTES = 12
"""Of a PNG's chunk beside its content: length, kind, checksum."""

_SHORT, _TIFF_SIDES, _TIFF_KIND, _SMALL_OR_MASK = 3, (256, 257), 254, 1 | 4
_MOST_TAGS, _MOST_PAGES = 1 << 12, 1 << 20

_PNM = re.compile(rb"P[1-6]\s(?:\s|#[^\n]*\n)*(\d{1,9})\s(?:\s|#[^\n]*\n)*(\d{1,9})\s")


def stated_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels by the header of a PNG, JPEG, BMP, PNM or WebP file; None for anything else.

    data: the beginning of the file; JPEG may have 64 kB and more before it.
    """
    if data.startswith(_PNG):
        return (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")) if len(data) >= 24 else None
    if data.startswith(b"BM") and len(data) >= 26:
        width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (18, 22))
        return abs(width), abs(height)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP" and len(data) >= 30:
        return _webp_size(data)
    if pnm := _PNM.match(data):
        return int(pnm[1]), int(pnm[2])
    return _jpeg_size(data) if data.startswith(b"\xff\xd8") else None


def is_animated(data: bytes) -> bool:
    """Whether a PNG or WebP file says that it holds a film.

    data: the beginning of the file.
    """
    if data.startswith(_PNG):
        return int.from_bytes(data.partition(b"IDAT")[0].partition(b"acTL")[2][:4], "big") > 1
    return data.startswith(b"RIFF") and data[8:16] == b"WEBPVP8X" and data[20] & 2 != 0


def tiff_pages(file: BinaryIO) -> list[int]:
    """Which of the pictures in a TIFF file are pages: those of the first one's size; others are small copies of them.

    Masks are none. Of what is no TIFF, or damaged, what could be read.
    """
    found: list[dict[int, int]] = []
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2], "<")
    is_big = head[2:4] in (b"+\0", b"\0+")
    count_of, offset, entry_bytes = ("Q", "Q", 20) if is_big else ("H", "I", 12)
    offset = order + offset
    begins = set[int]()
    try:
        (at,) = struct.unpack_from(offset, head, 8 if is_big else 4)
        while at and at not in begins and len(begins) < _MOST_PAGES:
            begins.add(at)
            file.seek(at)
            (count,) = struct.unpack(order + count_of, file.read(struct.calcsize(order + count_of)))
            table = file.read(min(count, _MOST_TAGS) * entry_bytes + struct.calcsize(offset))
            values = {}
            for start in range(0, count * entry_bytes, entry_bytes):
                tag, kind = struct.unpack_from(f"{order}HH", table, start)
                form = order + ("H" if kind == _SHORT else "I")
                values[tag] = struct.unpack_from(form, table, start + (12 if is_big else 8))[0]
            found.append(values)
            (at,) = struct.unpack_from(offset, table, count * entry_bytes)
    except (struct.error, OverflowError):
        pass

    def is_page(values: dict[int, int]) -> bool:
        sizes = {tuple(one.get(tag) for tag in _TIFF_SIDES) for one in (values, found[0])}
        return len(sizes) == 1 and not values.get(_TIFF_KIND, 0) & _SMALL_OR_MASK

    return [page for page, values in enumerate(found) if not page or is_page(values)]


def overstates(data: Any) -> bool:
    """Whether a PNG has a chunk that says it is longer than the file: OpenCV would take that memory, 4 GB at the most.

    data: the whole file, as bytes or an array of them.
    """
    at, end = len(_PNG), len(data)
    if end < at or bytes(data[:at]) != _PNG:
        return False
    while at + _CHUNK_BYTES <= end:
        (length,) = struct.unpack_from(">I", data, at)
        if length > end - at - _CHUNK_BYTES:
            return True
        at += _CHUNK_BYTES + length
    return False


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        both = int.from_bytes(data[21:25], "little")
        return (both & 0x3FFF) + 1, (both >> 14 & 0x3FFF) + 1
    width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    return (width, height) if kind == b"VP8 " else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        # A frame's header (SOF), of any of JPEG's kinds; not DHT, JPG or DAC, which lie among them.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        # Fill bytes have no length.
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
