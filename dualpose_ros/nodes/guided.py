"""Which frame the bottom-up node works on next, and whether with heatmaps: joining that does not wait for ever.

Times are seconds of any clock that never goes back; stamps are nanoseconds of the images.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

IMAGE, CAMERA_INFO, DETECTIONS, HEATMAPS = "image", "camera_info", "detections", "heatmaps"

_LONGEST_PATIENCE = 10.0


@dataclass(frozen=True)
class GuidedFrame:
    """What to work on: the image, its camera_info, the heatmaps of the same stamp or None, and whether the frame
    was chosen by the detector (`asked`) or for want of one."""

    stamp_ns: int
    image: Any
    camera_info: Any
    heatmaps: Any
    asked: bool


class GuidedFrames:
    """Collects images, camera_infos, detections (whose stamps alone count) and heatmaps by exact stamp.

    `take` gives the newest frame that detections or heatmaps have come for and that is complete. A frame goes without
    heatmaps once none, of it or any other, have come for `max_wait` seconds since its detections: while they do
    come, the top-down branch is behind or has skipped the frame, and a newer one will be ready soon. After `give_up`
    such frames in a row it is taken for dead, and nothing waits until heatmaps come again. Where
    neither came for `patience` seconds, or three times as long as a slow detector took for its last frame, the newest
    image is taken, at most `max_rate` a second. Frames come out with strictly rising stamps; older ones are
    dropped. A stamp more than `reset_ns` before the newest seen means that time was set back: everything is forgotten.
    """

    def __init__(
        self,
        capacity: int,
        max_wait: float,
        patience: float,
        max_rate: float,
        now: float,
        give_up: int = 3,
        reset_ns: int = 2_000_000_000,
    ) -> None:
        self._rings: dict[str, OrderedDict[int, Any]] = {
            name: OrderedDict() for name in (IMAGE, CAMERA_INFO, DETECTIONS, HEATMAPS)
        }
        self._capacity, self._reset_ns = capacity, reset_ns
        self._max_wait, self._patience, self._period = max_wait, patience, 1 / max_rate
        self._heard = self._last_detections = now
        self._last_heatmaps = float("-inf")
        self._give_up, self._in_vain = give_up, 0
        self._slowness = 0.0
        self._last_alone = now - self._period
        self._newest_ns: int | None = None
        self._last_out_ns: int | None = None
        self.late_heatmaps = 0

    def add(self, name: str, stamp_ns: int, item: Any, now: float) -> None:
        """Take in one item of an input."""
        if self._newest_ns is not None and stamp_ns < self._newest_ns - self._reset_ns:
            self.clear()
        if self._newest_ns is None or name in (DETECTIONS, HEATMAPS):
            self._heard = now
        if name == HEATMAPS:
            self._last_heatmaps, self._in_vain = now, 0
        if name == DETECTIONS:
            self._slowness, self._last_detections = now - self._last_detections, now
        self._newest_ns = max(stamp_ns, self._newest_ns or stamp_ns)
        if self._last_out_ns is not None and stamp_ns <= self._last_out_ns:
            self.late_heatmaps += name == HEATMAPS
            return
        ring = self._rings[name]
        # Of detections, what counts is when the first came.
        ring.setdefault(stamp_ns, now) if name == DETECTIONS else ring.update({stamp_ns: item})
        if len(ring) > self._capacity:
            ring.popitem(last=False)

    def take(self, now: float, overdue: bool = True) -> GuidedFrame | None:
        """The frame to work on now, or None. overdue False: none for which heatmaps should have come, but did not."""
        stamp_ns = self._ready(now, overdue)
        asked = stamp_ns is not None
        patience = max(self._patience, min(3 * self._slowness, _LONGEST_PATIENCE))
        if stamp_ns is None and overdue and now - self._heard >= patience:
            stamp_ns = self._alone(now)
        if stamp_ns is None:
            return None
        image, info = self._rings[IMAGE][stamp_ns], self._rings[CAMERA_INFO][stamp_ns]
        frame = GuidedFrame(stamp_ns, image, info, self._rings[HEATMAPS].get(stamp_ns), asked)
        self._last_out_ns = stamp_ns
        self._in_vain += asked and frame.heatmaps is None
        for ring in self._rings.values():
            for old in [stamp for stamp in ring if stamp <= stamp_ns]:
                del ring[old]
        return frame

    def clear(self) -> None:
        """Forget every item and the time reached."""
        for ring in self._rings.values():
            ring.clear()
        self._newest_ns = self._last_out_ns = None

    def _ready(self, now: float, overdue: bool) -> int | None:
        """The newest stamp that was asked for and need not wait any longer."""
        came, heatmaps = self._rings[DETECTIONS], self._rings[HEATMAPS]
        quiet_since = self._last_heatmaps
        max_wait = self._max_wait if self._in_vain < self._give_up else 0.0
        waited = {stamp for stamp, since in came.items() if overdue and now - max(since, quiet_since) >= max_wait}
        return max(((waited | heatmaps.keys()) & self._whole()), default=None)

    def _alone(self, now: float) -> int | None:
        """The newest image, if it is time for one."""
        newest = max(self._whole(), default=None)
        if newest is None or now - self._last_alone < self._period:
            return None
        self._last_alone = now
        return newest

    def _whole(self) -> set[int]:
        """Stamps of the images that have their camera_info."""
        return self._rings[IMAGE].keys() & self._rings[CAMERA_INFO].keys()
