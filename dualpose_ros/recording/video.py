"""H.264 video from frames with stamps: each frame is shown from its stamp until the next one's."""

from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from dualpose_ros.arrays import RgbImage

_TICKS = 90_000


class VideoWriter(AbstractContextManager["VideoWriter"]):
    """Encodes RGB frames into an MP4 with a variable frame rate; `close` makes the file playable.

    The size is the first frame's, rounded down to even numbers as H.264 with 4:2:0 needs; a frame of another size is
    scaled to fit into it, on black.
    """

    def __init__(self, path: Path, *, quality: int = 24, preset: str = "veryfast") -> None:
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        self._options = {"crf": str(quality), "preset": preset}
        self._stream: av.VideoStream | None = None
        self._first_ns = 0
        self._last_tick = -1
        self._last_duration = 0

    def write(self, image: RgbImage, stamp_ns: int) -> None:
        """Append an RGB frame (H, W, 3); a stamp not after the last one is moved just behind it."""
        if self._stream is None:
            self._stream = self._open_stream(max(image.shape[1] // 2 * 2, 2), max(image.shape[0] // 2 * 2, 2))
            self._first_ns = stamp_ns
        width, height = self._stream.width, self._stream.height
        if (image.shape[1] // 2 * 2, image.shape[0] // 2 * 2) != (width, height):
            image = _fitted(image, width, height)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
        frame.time_base = Fraction(1, _TICKS)
        frame.pts = max((stamp_ns - self._first_ns) * _TICKS // 10**9, self._last_tick + 1)
        self._last_duration = frame.pts - self._last_tick if self._last_tick >= 0 else _TICKS
        self._last_tick = frame.pts
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Flush the encoder and finish the file."""
        if self._stream is not None:
            packets = self._stream.encode(None)
            for packet in packets:
                # Without it the last frame has no length, and players read a frame rate that is too high; one that
                # is alone is shown for a second.
                packet.duration = max(self._last_duration, 1)
            self._container.mux(packets)
        self._container.close()

    def _open_stream(self, width: int, height: int) -> av.VideoStream:
        stream = self._container.add_stream("libx264", rate=30, options=self._options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        stream.codec_context.thread_count = 2
        return stream

    def __exit__(self, *_: object) -> None:
        self.close()


def _fitted(image: RgbImage, width: int, height: int) -> RgbImage:
    """The picture as large as fits into a size, in the middle of black."""
    scale = min(width / image.shape[1], height / image.shape[0])
    inner = max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
    return canvas
