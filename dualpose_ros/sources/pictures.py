"""Pictures as files and messages hold them, decoded to 8 bits."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dualpose_ros.arrays import AnyArray, RgbImage, UInt8s
from dualpose_ros.sources.source import SourceError, printable
from dualpose_ros.sources.stated_size import is_animated, overstates, stated_size

HOLDS_FILM = "holds a film: write it as MP4, or name it itself as the source where it is PNG, GIF or AVIF"
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


def read_picture(path: Path, intensities: IntensityRange | None = None, page: int = 0) -> RgbImage:
    """The picture of a file, turned as its EXIF says; SourceError where there is none, or a damaged or absurd one.

    intensities: of the stream that it belongs to; page: of a TIFF file, which picture.
    """
    # Not cv2.imread: a name that is no UTF-8 ends the process.
    try:
        # Of pages OpenCV reads the file itself.
        data = np.fromfile(path, dtype=np.uint8, count=_HEADER_BYTES if page else -1)
    except OSError as error:
        raise SourceError(f"image {printable(path)} cannot be read: {error.strerror}") from None
    head = data[:_HEADER_BYTES].tobytes()
    size = stated_size(head)
    if size is not None and size[0] * size[1] > _MOST_PIXELS:
        raise SourceError(f"image {printable(path)} says that it has {size[0]}x{size[1]} pixels, which is absurd")
    if is_animated(head):
        raise SourceError(f"image {printable(path)} {HOLDS_FILM}")
    try:
        image = _rgb(_read_page(path, page), intensities) if page else decode_picture(data, intensities)
    except SourceError as error:
        raise SourceError(f"image {printable(path)} {error}") from None
    if image is None:
        raise SourceError(f"image {printable(path)} cannot be decoded")
    return image


def holds_film(path: Path) -> bool:
    """Whether a PNG or WebP file says that it is animated; not where it can't be read."""
    try:
        with path.open("rb") as file:
            return is_animated(file.read(_HEADER_BYTES))
    except OSError:
        return False


def decode_picture(data: UInt8s, intensities: IntensityRange | None = None, flags: int = 0) -> RgbImage | None:
    """The picture in the bytes of a file, None where they are none or damaged; SourceError where its numbers are no
    intensities.

    intensities: of the stream that it belongs to; flags: further ones of cv2.imdecode.
    """
    if not data.size or overstates(data):
        return None
    try:
        return _rgb(cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | flags), intensities)
    except cv2.error:
        return None


def _read_page(path: Path, page: int) -> Any:
    """A page of a TIFF file as OpenCV has it, None where it can't be had, or the file's name is no UTF-8."""
    name = str(path)
    if name != printable(path):
        return None
    try:
        pages = cv2.imreadmulti(name, page, 1, flags=cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)[1]
    except cv2.error:
        return None
    return pages[0] if pages else None


def _rgb(bgr: Any, intensities: IntensityRange | None) -> RgbImage | None:
    if bgr is None:
        return None
    if bgr.dtype == np.uint16:
        bgr = (intensities or IntensityRange()).eight_bit(bgr)
    elif bgr.dtype != np.uint8:
        low, high = float(bgr.min()), float(bgr.max())
        if bgr.dtype.kind != "f" or not (low >= 0 and high <= 1):
            raise SourceError(
                f"holds {bgr.dtype} from {low:g} to {high:g}; intensities are floats in 0..1, or of 8 or 16 bits"
            )
        bgr = np.rint(bgr * 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
