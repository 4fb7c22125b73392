"""Pictures as files and messages hold them, decoded to 8 bits."""

from pathlib import Path

import cv2
import numpy as np

from dualpose_ros.arrays import AnyArray, RgbImage, UInt8s
from dualpose_ros.sources.source import SourceError, printable
from dualpose_ros.sources.stated_size import overstates, stated_size

_HEADER_BYTES, _MOST_PIXELS = 1 << 18, 1 << 27
_TWELVE_BITS, _SIXTEEN_BITS = (1 << 12) - 1, (1 << 16) - 1


def read_picture(path: Path) -> RgbImage:
    """The picture of a file, turned as its EXIF says; SourceError where there is none, or a damaged or absurd one."""
    # Not cv2.imread: a name that is no UTF-8 ends the process.
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise SourceError(f"image {printable(path)} cannot be read: {error.strerror}") from None
    size = stated_size(data[:_HEADER_BYTES].tobytes())
    if size is not None and size[0] * size[1] > _MOST_PIXELS:
        raise SourceError(f"image {printable(path)} says that it has {size[0]}x{size[1]} pixels, which is absurd")
    image = decode_picture(data)
    if image is None:
        raise SourceError(f"image {printable(path)} cannot be decoded")
    return image


def decode_picture(data: UInt8s, flags: int = 0) -> RgbImage | None:
    """The picture in the bytes of a file, None where they are none or damaged; flags: further ones of cv2.imdecode."""
    if not data.size or overstates(data):
        return None
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | flags)
        if bgr is not None and bgr.dtype == np.uint16:
            bgr = eight_bit(bgr)
        elif bgr is not None and bgr.dtype != np.uint8:
            bgr = cv2.imdecode(data, cv2.IMREAD_COLOR | flags)
    except cv2.error:
        return None
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def eight_bit(values: AnyArray) -> UInt8s:
    """16-bit intensities in 8 bits. Where all fit in 12, they are those of a sensor of 12, and would come out dark."""
    full = _TWELVE_BITS if values.max(initial=0) <= _TWELVE_BITS else _SIXTEEN_BITS
    return np.asarray((values.astype(np.uint32) * 255 + full // 2) // full, dtype=np.uint8)
