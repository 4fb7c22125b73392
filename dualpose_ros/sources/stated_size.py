"""The size that a picture's file states, before any memory is taken for it."""

import re
import struct
from typing import Any

_PNG = b"\x89PNG\r\n\x1a\n"
_CHUNK_BYTES = 12
"""Of a PNG's chunk beside its content: length, kind, checksum."""

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
