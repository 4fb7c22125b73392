"""Where images come from: a video file, a directory of images, or a camera device.

Images are RGB (H, W, 3) uint8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from natsort import natsorted

from dualpose_ros.arrays import RgbImage

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
DIRECTORY_FPS = 30.0
"""Frames a second of a directory of images, which states none."""


class SourceError(ValueError):
    """A source that gives no images."""


@dataclass(frozen=True)
class SourceInfo:
    """Size in pixels, frames a second, number of frames (None: unknown), whether it is a live device."""

    width: int
    height: int
    fps: float
    count: int | None
    live: bool


class FrameSource(Protocol):
    """A sequence of images of one size."""

    info: SourceInfo

    def read(self) -> RgbImage | None:
        """The next image, None at the end; SourceError if it cannot be decoded."""

    def rewind(self) -> None:
        """Start again at the first image."""

    def close(self) -> None:
        """Release the file or device."""


def open_source(source: str) -> FrameSource:
    """Open a video file, a directory of images, or a device (index such as "0", or /dev/videoN).

    SourceError says what is wrong with anything that gives no image.
    """
    if not source:
        raise SourceError("no source given: name a video file, a directory of images or a device index")
    if re.fullmatch(r"\d+", source) or source.startswith("/dev/"):
        return VideoSource(source, live=True)
    path = Path(source).expanduser()
    if not path.exists():
        raise SourceError(f"source {source} does not exist")
    return ImageDirectory(path) if path.is_dir() else VideoSource(str(path), live=False)


class VideoSource:
    """Frames of a video file or a camera device through OpenCV."""

    def __init__(self, source: str, live: bool) -> None:
        self._source, self._live = source, live
        self._capture = self._open()
        first = self._next()
        if first is None:
            what = "camera device" if live else "video"
            raise SourceError(f"{what} {source} cannot be read: OpenCV finds no frame in it")
        self._first: RgbImage | None = first
        fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.info = SourceInfo(
            width=first.shape[1],
            height=first.shape[0],
            fps=fps if np.isfinite(fps) and 0 < fps <= 1000 else DIRECTORY_FPS,
            count=count if count > 0 and not live else None,
            live=live,
        )

    def _open(self) -> cv2.VideoCapture:
        digits = re.fullmatch(r"\d+", self._source) is not None and self._live
        return cv2.VideoCapture(int(self._source)) if digits else cv2.VideoCapture(self._source)

    def _next(self) -> RgbImage | None:
        good, frame = self._capture.read()
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8) if good else None

    def read(self) -> RgbImage | None:
        """The next image, None at the end."""
        if self._first is not None:
            image, self._first = self._first, None
            return image
        return self._next()

    def rewind(self) -> None:
        """Start again at the first frame; a device just goes on."""
        if not self._live:
            # Reopened, not sought: seeking to frame 0 is inexact in some containers.
            self._capture.release()
            self._capture = self._open()
            self._first = None

    def close(self) -> None:
        """Release the file or device."""
        self._capture.release()


class ImageDirectory:
    """The images of a directory, in natural order of their names (2 before 10)."""

    def __init__(self, path: Path) -> None:
        self._paths = natsorted((p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES), key=lambda p: p.name)
        if not self._paths:
            raise SourceError(f"directory {path} holds no images ({', '.join(IMAGE_SUFFIXES)})")
        self._next = 0
        first = _read_image(self._paths[0])
        self.info = SourceInfo(first.shape[1], first.shape[0], DIRECTORY_FPS, len(self._paths), False)

    def read(self) -> RgbImage | None:
        """The next image, None at the end; SourceError for one that is unreadable or of another size."""
        if self._next >= len(self._paths):
            return None
        path = self._paths[self._next]
        self._next += 1
        image = _read_image(path)
        if image.shape[:2] != (self.info.height, self.info.width):
            raise SourceError(
                f"image {path} is {image.shape[1]}x{image.shape[0]}; the first one is "
                f"{self.info.width}x{self.info.height}, and one calibration serves one size"
            )
        return image

    def rewind(self) -> None:
        """Start again at the first image."""
        self._next = 0

    def close(self) -> None:
        """Nothing is held open."""


def _read_image(path: Path) -> RgbImage:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SourceError(f"image {path} cannot be decoded")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
