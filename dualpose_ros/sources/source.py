"""What every source of images is: images one after the other, each with its time.

Images are RGB (H, W, 3) uint8 with square pixels.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dualpose_ros.arrays import RgbImage

DEFAULT_FPS = 30.0
"""Frames a second of a source that states none, such as a folder of images."""


class SourceError(ValueError):
    """A source that gives no images."""


@dataclass(frozen=True)
class SourceInfo:
    """Size of the first image in pixels, frames a second, number of frames (None: unknown), whether it is live."""

    width: int
    height: int
    fps: float
    count: int | None
    live: bool


class FrameSource(Protocol):
    """A sequence of images, as a rule of one size."""

    info: SourceInfo
    time_ns: int
    """When the last image is to be shown, from the first one on, in nanoseconds; of no meaning where it is live."""
    number: int
    """The last image's place in the source, from 0 on, counting those that could not be had; of no meaning likewise."""
    file: str
    """The name of the last image's own file; empty where all images are of one file, or of none."""

    def read(self) -> RgbImage | None:
        """The next image, None at the end; SourceError if it can't be had, and the one after it may be."""

    def rewind(self) -> None:
        """Start again at the first image."""

    def close(self) -> None:
        """Release the file or device."""


def ends_early(source: FrameSource) -> bool:
    """Whether a file that has come to its end says that it is longer, by more than a tenth, in frames and in time.

    AVI counts frames, too, that were left out as it was filmed, and the last frame may be shown for long.
    """
    count, last = source.info.count, max(source.number, source.time_ns * 1e-9 * source.info.fps)
    return count is not None and last + 1 < 0.9 * count


def printable(name: str | Path) -> str:
    """A file's name for messages; bytes of it that are no UTF-8 are shown as question marks."""
    return os.fsencode(name).decode("utf-8", errors="replace")
