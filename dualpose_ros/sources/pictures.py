"""Pictures as files and messages hold them, decoded to 8 bits."""

from pathlib import Path

import cv2
import numpy as np

from dualpose_ros.arrays import AnyArray, RgbImage, UInt8s
from dualpose_ros.sources.source import SourceError, printable
from dualpose_ros.sources.stated_size import overstates, stated_size

_HEADER_BYTES, _MOST_PIXELS = 1 << 18, 1 << 27
_TWELVE_BITS, _SIXTEEN_BITS = (1 << 12) - 1, (1 << 16) - 1


class IntensityRange:
    """What the 16-bit intensities of a stream mean: 12 bits of a sensor, which would come out dark, until one has more.

    By each image alone, one of 16 bits in the dark would flash up.
    """

    def __init__(self) -> None:
        self._full = _TWELVE_BITS

    def eight_bit(self, values: AnyArray) -> UInt8s:
        """The next image's intensities in 8 bits."""
        if self._full == _TWELVE_BITS and values.max(initial=0) > _TWELVE_BITS:
            self._full = _SIXTEEN_BITS
        return np.asarray((values.astype(np.uint32) * 255 + self._full // 2) // self._full, dtype=np.uint8)


def read_picture(path: Path, intensities: IntensityRange | None = None) -> RgbImage:
    """The picture of a file, turned as its EXIF says; SourceError where there is none, or a damaged or absurd one.

    intensities: of the stream that it belongs to.
    """
    # Not cv2.imread: a name that is no UTF-8 ends the process.
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise SourceError(f"image {printable(path)} cannot be read: {error.strerror}") from None
    size = stated_size(data[:_HEADER_BYTES].tobytes())
    if size is not None and size[0] * size[1] > _MOST_PIXELS:
        raise SourceError(f"image {printable(path)} says that it has {size[0]}x{size[1]} pixels, which is absurd")
    image = decode_picture(data, intensities)
    if image is None:
        raise SourceError(f"image {printable(path)} cannot be decoded")
    return image


def decode_picture(data: UInt8s, intensities: IntensityRange | None = None, flags: int = 0) -> RgbImage | None:
    """The picture in the bytes of a file, None where they are none or damaged.

    intensities: of the stream that it belongs to; flags: further ones of cv2.imdecode.
    """
    if not data.size or overstates(data):
        return None
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | flags)
        if bgr is not None and bgr.dtype == np.uint16:
            bgr = (intensities or IntensityRange()).eight_bit(bgr)
        elif bgr is not None and bgr.dtype != np.uint8:
            bgr = cv2.imdecode(data, cv2.IMREAD_COLOR | flags)
    except cv2.error:
        return None
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
