"""Video files and network streams through FFmpeg (PyAV): every codec that it has, by presentation time.

Pixels are made square by the stated sample aspect ratio, and pictures upright, and unmirrored, by the display matrix.
"""

import heapq
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from dualpose_ros.arrays import RgbImage, UInt8s
from dualpose_ros.sources.source import DEFAULT_FPS, SourceError, SourceInfo, printable

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v")
_MOST_BROKEN_PACKETS = 1000
_MOST_WAITING = 1000
_LARGEST_SIDE_PX = 16384
_MOST_BACK_NS = 500_000_000
_FASTEST_FPS, _FASTEST_GUESSED_FPS, _SHORTEST_STEP_NS = 20_000, 1000, 50_000


class Decoder:
    """The pictures of one open file or stream, one after the other."""

    def __init__(
        self, url: str | Path, *, timeout_s: tuple[float, float] | None = None, options: dict[str, str] | None = None
    ) -> None:
        """SourceError where it can't be opened or has no video; `timeout_s` to open it, and for each read."""
        # A file's name may be like a protocol's: 10:20:30.mp4.
        name = f"file:{url}" if isinstance(url, Path) else url
        try:
            self._container = av.open(name, timeout=timeout_s, options=options or {}, metadata_errors="replace")
        except (OSError, av.error.FFmpegError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise SourceError(f"video {printable(url)} cannot be read: {why}") from None
        # The first may be a film's cover, or one of several films.
        stream: Any = self._container.streams.best("video")
        # One whose codec is unknown has no context.
        refused = "it holds no video, or of an unknown codec" if stream is None or stream.codec_context is None else ""
        if not refused and stream.codec_context.name == "ansi":
            refused = "it is a text, which FFmpeg would show line by line"
        if not refused and stream.disposition & Disposition.dependent:
            refused = "it is a picture in tiles, as phones write HEIC: convert it to JPEG or PNG"
        if refused:
            self._container.close()
            raise SourceError(f"video {printable(url)} cannot be read: {refused}")
        self.url = url
        self._stream: av.VideoStream = stream
        self._stream.codec_context.thread_count = 1
        self._frames = self._decoded()
        # One for all: a frame's own makes its tables, and threads, anew.
        self._reformatter = VideoReformatter()
        self._first: Fraction | None = None
        self.broken = 0
        self.time_ns = self.number = -1
        self._starts_anew, self._newest = False, Fraction(-(10**6))
        # AVI tells no presentation times: FFmpeg guesses them, and wrongly where frames are stored in another order.
        self._tells_no_pts = self._container.format.name == "avi"
        self._waiting: list[tuple[int, Fraction]] = []
        self._films_read = self._films_shown = self._passed = 0
        self._aspect = self._stream.sample_aspect_ratio
        self._coded_aspect: Fraction | None = Fraction(0)

    @property
    def fps(self) -> float:
        """Mean frames a second, as stated."""
        rates = (self._stream.average_rate, _FASTEST_FPS), (self._stream.guessed_rate, _FASTEST_GUESSED_FPS)
        return next((float(rate) for rate, most in rates if rate and 0 < rate <= most), DEFAULT_FPS)

    @property
    def count(self) -> int | None:
        """Number of frames, where it is stated; those that an edit list leaves out don't count."""
        count, length, base = self._stream.frames, self._stream.duration, self._stream.time_base
        rate = self._stream.average_rate
        if not count or not length or not base or not rate or not self._container.format.name.startswith("mov"):
            return count or None
        return min(count, max(round(float(length * base * rate)), 1))

    @property
    def is_endless(self) -> bool:
        """Whether it states no length, as what is sent live does."""
        return not self._container.duration

    def read(self) -> RgbImage | None:
        """The next picture, None at the end; `time_ns` is then its presentation time from the first one on."""
        frame = next((frame for frame in self._frames if not self._is_late(frame)), None)
        if frame is None:
            return None
        step_ns = max(round(1e9 / self.fps), 1)
        at = self._time_of(frame)
        following_ns = self.time_ns + step_ns if self.time_ns >= 0 else 0
        # Times begin with the first frame that has one, and anew where films were joined that each began at zero.
        if at is not None and (self._first is None or self._is_back(at)):
            self._films_shown += self._first is not None
            self._first = at - Fraction(following_ns, 10**9)
            self._starts_anew = False
        if at is None or self._first is None:
            self.time_ns = following_ns
        else:
            # Some files repeat a time or step back by a tick.
            stated_ns = round((at - self._first) * 10**9)
            is_repeated = 0 <= self.time_ns > stated_ns - min(_SHORTEST_STEP_NS, step_ns // 10)
            self.time_ns = self.time_ns + step_ns // 10 + 1 if is_repeated else max(stated_ns, 0)
        self.number = self._number_at(at)
        return self._square_and_upright(frame)

    def close(self) -> None:
        """Release the file."""
        self._container.close()

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Frames, past packets that are broken."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is not None:
                    self._note_times(packet)
                frames = [] if packet is None else packet.decode()
            except (av.error.FFmpegError, UnicodeDecodeError):
                self.broken += 1
                if self.broken > _MOST_BROKEN_PACKETS:
                    return
                continue
            if packet is None:
                return
            yield from (frame for frame in frames if isinstance(frame, av.VideoFrame))

    def _time_of(self, item: av.Packet | av.VideoFrame) -> Fraction | None:
        at = item.dts if self._tells_no_pts else item.pts
        return None if at is None or item.time_base is None else at * item.time_base

    def _note_times(self, packet: av.Packet) -> None:
        # An edit list leaves these out: they are no frames of the film.
        if packet.is_discard:
            return
        if packet.dts is not None and packet.time_base is not None:
            stored_at = packet.dts * packet.time_base
            is_next_film = stored_at < self._newest - Fraction(_MOST_BACK_NS, 10**9)
            self._films_read += is_next_film
            self._starts_anew |= is_next_film
            self._newest = stored_at
        at = self._time_of(packet)
        if at is not None:
            heapq.heappush(self._waiting, (self._films_read, at))
            # Of a stream whose clock jumps some are never passed.
            del self._waiting[_MOST_WAITING:]

    def _is_back(self, at: Fraction) -> bool:
        """Whether a time is too far before that of the last picture to be a tick of its."""
        return self._first is not None and (at - self._first) * 10**9 < self.time_ns - _MOST_BACK_NS

    def _is_late(self, frame: av.VideoFrame) -> bool:
        """Whether a picture comes long after its place: decoders hold some back where the file is damaged."""
        at = self._time_of(frame)
        return at is not None and not self._starts_anew and self._is_back(at)

    def _number_at(self, at: Fraction | None) -> int:
        """The place in the file of the frame of a time: a packet before it that was broken held a picture, too."""
        while at is not None and self._waiting and self._waiting[0] <= (self._films_shown, at):
            heapq.heappop(self._waiting)
            self._passed += 1
        if self._tells_no_pts and self.number < 0:
            # As many packets as the decoder looks ahead have passed besides.
            self._passed = self.broken + 1
        return max(self.number + 1, self._passed - 1)

    def _square_and_upright(self, frame: av.VideoFrame) -> RgbImage:
        coded = self._stream.codec_context.sample_aspect_ratio
        if frame.key_frame and coded != self._coded_aspect:
            # What the container says of the film goes before what its first frame does, but not where that changes.
            self._aspect = self._aspect if self._coded_aspect == 0 else coded
            self._coded_aspect = coded
        ratio = self._aspect or Fraction(1)
        if not Fraction(1, 8) <= ratio <= 8:
            ratio = Fraction(1)
        # The longer side of a pixel is drawn out, so that no detail is lost.
        width = round(frame.width * ratio) if ratio > 1 else frame.width
        height = round(frame.height / ratio) if ratio < 1 else frame.height
        if max(width, height) > _LARGEST_SIDE_PX:
            raise SourceError(f"video {printable(self.url)} has pictures of {width}x{height}, which is absurd")
        image = self._reformatter.reformat(frame, width, height, "rgb24").to_ndarray()
        return np.ascontiguousarray(_as_displayed(np.asarray(image, dtype=np.uint8), frame))


def _as_displayed(image: UInt8s, frame: av.VideoFrame) -> UInt8s:
    """The picture turned by quarters and mirrored, as its display matrix says: x' = a x + c y, y' = b x + d y."""
    try:
        stated: Any = frame.side_data
        matrix = stated.get(Type.DISPLAYMATRIX)
    except ValueError:
        # FFmpeg has kinds of such data, EXIF among them, that PyAV does not know, and reads none beside them.
        return np.rot90(image, frame.rotation // 90)
    if matrix is None:
        return image
    a, b, _, c, d, *_ = np.frombuffer(matrix, dtype=np.int32).tolist()
    if abs(b) > abs(a):
        image, a, d = image.swapaxes(0, 1), c, b
    return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


class VideoFile:
    """The frames of a video file, or of a film that a server sends."""

    file = ""

    def __init__(self, path: Path | str, decoder: Decoder | None = None) -> None:
        self._path = path
        self._decoder = decoder or Decoder(path)
        self.time_ns = self.number = 0
        first = self._decoder.read()
        if first is None:
            self._decoder.close()
            raise SourceError(f"video {printable(path)} cannot be read: no frame in it can be decoded")
        self._first: RgbImage | None = first
        height, width = first.shape[:2]
        self.info = SourceInfo(width, height, self._decoder.fps, self._decoder.count, False)

    def read(self) -> RgbImage | None:
        """The next image, None at the end."""
        image, self._first = self._first, None
        if image is None:
            image = self._decoder.read()
        self.time_ns, self.number = self._decoder.time_ns, self._decoder.number
        return image

    def rewind(self) -> None:
        """Start again at the first frame: opened anew, since seeking is inexact in some containers."""
        self._decoder.close()
        self._decoder, self._first = Decoder(self._path), None

    def close(self) -> None:
        """Release the file."""
        self._decoder.close()
