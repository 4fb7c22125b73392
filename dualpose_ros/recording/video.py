"""H.264 video from frames with stamps: each frame is shown from its stamp until the next one's."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np

from dualpose_ros.arrays import RgbImage

_TICKS = 90_000


class VideoWriter:
    """Encodes RGB frames into an MP4 with a variable frame rate; `close` makes the file playable.

    All frames take the size of the first, rounded down to even numbers as H.264 with 4:2:0 needs.
    """

    def __init__(self, path: Path, *, quality: int = 24, preset: str = "veryfast", threads: int = 2) -> None:
        self._container = av.open(str(path), "w", options={"movflags": "+faststart"})
        self._options = {"crf": str(quality), "preset": preset}
        self._threads = threads
        self._stream: av.VideoStream | None = None
        self._first_ns = 0
        self._last_tick = -1
        self._last_duration = 0

    def write(self, image: RgbImage, stamp_ns: int) -> None:
        """Append an RGB frame (H, W, 3); a stamp not after the last one is moved just behind it."""
        height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
        if self._stream is None:
            self._stream = self._open_stream(width, height)
            self._first_ns = stamp_ns
        if (height, width) != (self._stream.height, self._stream.width):
            raise ValueError(
                f"frame of {width}x{height} in a video of {self._stream.width}x{self._stream.height}: "
                "all frames of a video have one size"
            )
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
        frame.time_base = Fraction(1, _TICKS)
        frame.pts = max((stamp_ns - self._first_ns) * _TICKS // 10**9, self._last_tick + 1)
        self._last_duration = frame.pts - self._last_tick
        self._last_tick = frame.pts
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Flush the encoder and finish the file."""
        if self._stream is not None:
            packets = self._stream.encode(None)
            for packet in packets:
                # Without it the last frame has no length, and players read a frame rate that is too high.
                packet.duration = max(self._last_duration, 1)
            self._container.mux(packets)
        self._container.close()

    def _open_stream(self, width: int, height: int) -> av.VideoStream:
        stream = self._container.add_stream("libx264", rate=30, options=self._options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        stream.codec_context.thread_count = self._threads
        return stream

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
