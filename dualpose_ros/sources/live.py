"""Cameras and streams that are live: a device, a stream of the network, a GStreamer pipeline.

Where one stops it is opened again, with longer and longer pauses, for as long as it takes.
"""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from dualpose_ros.arrays import RgbImage
from dualpose_ros.sources.source import DEFAULT_FPS, FrameSource, SourceError, SourceInfo
from dualpose_ros.sources.video import Decoder, VideoFile

_TIMEOUT_S = (10.0, 5.0)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 5.0
# RTSP over TCP: over UDP a packet that is lost smears the picture. Nothing is read ahead.
_OPTIONS = {"rtsp_transport": "tcp", "fflags": "nobuffer", "flags": "low_delay"}


class Reader(Protocol):
    """What is open now."""

    @property
    def fps(self) -> float:
        """Frames a second, as stated."""

    def read(self) -> RgbImage | None:
        """The next image, None where there is none."""

    def close(self) -> None:
        """Release it."""


class LiveSource:
    """Images as they come; what breaks off is opened again."""

    file = ""

    def __init__(self, name: str, open_reader: Callable[[], Reader]) -> None:
        """SourceError where it gives no image at first."""
        self._name, self._open = name, open_reader
        self._pause_s = _FIRST_PAUSE_S
        self.time_ns = self.number = 0
        self._reader: Reader | None = open_reader()
        first = self._reader.read()
        if first is None:
            self._reader.close()
            raise SourceError(f"{name} cannot be read: it gives no image")
        self._first: RgbImage | None = first
        fps = self._reader.fps
        fps = fps if np.isfinite(fps) and 0 < fps <= 1000 else DEFAULT_FPS
        self.info = SourceInfo(first.shape[1], first.shape[0], fps, None, True)

    def read(self) -> RgbImage | None:
        """The next image; SourceError where there is none, after a pause before the next attempt."""
        image, self._first = self._first, None
        if image is not None:
            return image
        try:
            if self._reader is None:
                self._reader = self._open()
            image = self._reader.read()
        except SourceError:
            image = None
        if image is not None:
            self._pause_s = _FIRST_PAUSE_S
            return image
        self.close()
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, _LONGEST_PAUSE_S)
        time.sleep(pause_s)
        raise SourceError(f"{self._name} gives no more images: it is opened again")

    def rewind(self) -> None:
        """It just goes on."""

    def close(self) -> None:
        """Release it."""
        if self._reader is not None:
            self._reader.close()
        self._reader = None


class _Capture:
    """What OpenCV has open."""

    def __init__(self, name: str, capture: cv2.VideoCapture) -> None:
        if not capture.isOpened():
            raise SourceError(f"{name} cannot be read: OpenCV can't open it")
        self._capture = capture
        self.fps = float(capture.get(cv2.CAP_PROP_FPS))

    def read(self) -> RgbImage | None:
        good, frame = self._capture.read()
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8) if good else None

    def close(self) -> None:
        self._capture.release()


def open_device(device: str) -> FrameSource:
    """A camera by its index or path. SourceError where it gives no image."""
    name = f"camera device {device}"
    which = int(device) if device.isdecimal() else device
    try:
        return LiveSource(name, lambda: _Capture(name, cv2.VideoCapture(which)))
    except SourceError as error:
        # A folder of pictures may be called 2024.
        hint = (
            f"; the file or folder of that name is ./{device}" if device.isdecimal() and Path(device).exists() else ""
        )
        raise SourceError(f"{error}{hint}") from None


def open_pipeline(pipeline: str) -> FrameSource:
    """A GStreamer pipeline that ends in an appsink, where OpenCV was built with GStreamer. SourceError elsewhere."""
    if not re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()):
        raise SourceError(
            "this OpenCV was built without GStreamer, as pip's are: use the distribution's (python3-opencv), "
            "or name the stream itself (rtsp://...)"
        )
    return LiveSource("the pipeline", lambda: _Capture("the pipeline", cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)))


def open_stream(url: str) -> FrameSource:
    """What a server sends: live, or a film of some length. SourceError where it can't be had; it hides passwords."""
    shown = re.sub(r"//[^/@]*@", "//", url)

    def connect() -> Decoder:
        options = _OPTIONS if url.lower().startswith(("rtsp", "rtp", "udp")) else {}
        try:
            return Decoder(url, timeout_s=_TIMEOUT_S, options=options)
        except SourceError as error:
            raise SourceError(str(error).replace(url, shown)) from None

    decoder = connect()
    if url.lower().startswith("http") and not decoder.is_endless:
        return VideoFile(url, decoder)
    opened: list[Decoder] = [decoder]
    return LiveSource(f"stream {shown}", lambda: opened.pop() if opened else connect())
