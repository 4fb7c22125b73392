"""Frames of a run on disk as JPEG, read back by stamp: memory stays bounded however long a run is."""

import contextlib
import os
from collections import OrderedDict
from contextlib import AbstractContextManager
from pathlib import Path

import cv2
import numpy as np

from dualpose_ros.arrays import RgbImage
from dualpose_ros.recording.disk import Disk

_MOST_AWAITED = 64
_FEWEST_HELD = 3
"""However large they are: as many as a source that waits for the graph has it work on at once."""


class FrameStore(AbstractContextManager["FrameStore"]):
    """Holds the newest frames in a ring and keeps, on disk, those that a pose arrived for.

    A frame waits in the ring, uncompressed, until `keep` asks for its stamp; the ring takes at most `ring_bytes` or
    three frames, the file `most_bytes` (after which `is_full`, and no more are kept), where the disk is full nothing.
    """

    def __init__(
        self, path: Path, *, ring_bytes: int = 96 << 20, most_bytes: int = 2 << 30, disk: Disk | None = None
    ) -> None:
        self._path = path
        self._stream = path.open("w+b") if disk is None else disk.open(path, "w+b")
        if disk is not None:
            disk.when_full(self._make_room)
        self._most_bytes, self._bytes = most_bytes, 0
        self.is_full = False
        self._ring: OrderedDict[int, RgbImage] = OrderedDict()
        self._ring_bytes = ring_bytes
        self._held_bytes = 0
        self._awaited: OrderedDict[int, None] = OrderedDict()
        self._spans: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._spans)

    @property
    def stamps_ns(self) -> list[int]:
        """Stamps of the kept frames, oldest first."""
        return sorted(self._spans)

    def add(self, stamp_ns: int, image: RgbImage) -> None:
        """Put an RGB frame (H, W, 3) into the ring; the oldest fall out where it is full."""
        if self.is_full:
            return
        if stamp_ns in self._awaited:
            del self._awaited[stamp_ns]
            self._store(stamp_ns, image)
            return
        self._ring[stamp_ns] = image
        self._held_bytes += image.nbytes
        while self._held_bytes > self._ring_bytes and len(self._ring) > _FEWEST_HELD:
            self._drop_oldest()

    def keep(self, stamp_ns: int) -> None:
        """Keep the frame of a stamp on disk: now, or when it arrives if its poses overtook it."""
        if self.is_full:
            return
        if stamp_ns not in self._ring:
            self._awaited[stamp_ns] = None
            while len(self._awaited) > _MOST_AWAITED:
                self._awaited.popitem(last=False)
            return
        self._store(stamp_ns, self._ring[stamp_ns])
        while self._ring and next(iter(self._ring)) <= stamp_ns:
            self._drop_oldest()

    def read(self, stamp_ns: int) -> RgbImage:
        """The kept RGB frame (H, W, 3) of a stamp; KeyError if there is none."""
        start, length = self._spans[stamp_ns]
        self._stream.seek(start)
        data = np.frombuffer(self._stream.read(length), dtype=np.uint8)
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if bgr is None:
            raise OSError(f"{self._path} was damaged: the frame at byte {start} can't be decoded")
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    def discard(self) -> None:
        """Close and delete the file; harmless when that was done."""
        self._ring.clear()
        with contextlib.suppress(OSError):
            self._stream.close()
        self._path.unlink(missing_ok=True)

    def __exit__(self, *_: object) -> None:
        self.discard()

    def _store(self, stamp_ns: int, image: RgbImage) -> None:
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        ok, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])
        if not ok:
            raise ValueError(f"OpenCV could not encode a frame of shape {image.shape}")
        if self._bytes + len(data) > self._most_bytes:
            self.is_full = True
            return
        start = self._stream.seek(0, 2)
        self._stream.write(data.tobytes())
        self._bytes += len(data)
        if not self.is_full:
            self._spans[stamp_ns] = (start, len(data))

    def _make_room(self) -> None:
        """No space is left on the disk: what is kept makes room for what must be finished."""
        self.is_full = True
        self._spans.clear()
        self._ring.clear()
        os.ftruncate(self._stream.fileno(), 0)

    def _drop_oldest(self) -> None:
        _, image = self._ring.popitem(last=False)
        self._held_bytes -= image.nbytes
