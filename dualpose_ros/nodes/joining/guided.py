"""Which frame the bottom-up node works on next, and whether with heatmaps: joining that does not wait for ever.

Times are seconds of any clock that never goes back; stamps are nanoseconds of the images.
"""

from dataclasses import dataclass
from typing import Any

from dualpose_ros.nodes.joining.stamps import StampRings

IMAGE, DETECTIONS, HEATMAPS = "image", "detections", "heatmaps"

_LONGEST_PATIENCE = 10.0


@dataclass(frozen=True)
class GuidedFrame:
    """What to work on: the image, the heatmaps of the same stamp or None, and whether the frame was chosen by the
    detector (`asked`) or for want of one."""

    stamp_ns: int
    image: Any
    heatmaps: Any
    asked: bool


class GuidedFrames:
    """Collects images, detections (whose stamps alone count) and heatmaps by exact stamp.

    `take` gives the newest frame that detections or heatmaps have come for and whose image is there. A frame goes
    without heatmaps once none, of it or any other, have come for `max_wait` seconds since its detections: while they
    do come, the top-down branch is behind or has skipped the frame, and a newer one will be ready soon. After `give_up`
    such frames in a row it is taken for dead, and nothing waits until heatmaps come again. Where neither came for
    `patience` seconds, or three times as long as a slow detector took for its last frame, the newest image is taken, at
    most `max_rate` a second. With `every`, whose source waits for the graph, nothing is skipped or done without: the
    oldest frame that has its heatmaps is next. Frames come out with strictly rising stamps; older ones are dropped.
    Time that is set back: see StampRings.
    """

    def __init__(
        self,
        capacity: int,
        max_wait: float,
        patience: float,
        max_rate: float,
        now: float,
        give_up: int = 3,
        every: bool = False,
    ) -> None:
        self._rings: StampRings[Any] = StampRings((IMAGE, DETECTIONS, HEATMAPS), capacity)
        self._max_wait, self._patience, self._period = max_wait, patience, 1 / max_rate
        self._every = every
        self._heard = self._last_detections = now
        self._last_heatmaps = float("-inf")
        self._give_up, self._in_vain = give_up, 0
        self._slowness = 0.0
        self._last_alone = now - self._period

    @property
    def late_heatmaps(self) -> int:
        """Heatmaps that came when their frame, or a newer one, was out."""
        return self._rings.late[HEATMAPS]

    def add(self, name: str, stamp_ns: int, item: Any, now: float) -> None:
        """Take in one item of an input."""
        if self._rings.is_new or name in (DETECTIONS, HEATMAPS):
            self._heard = now
        if name == HEATMAPS:
            self._last_heatmaps, self._in_vain = now, 0
        if name == DETECTIONS:
            self._slowness, self._last_detections = now - self._last_detections, now
            # What counts of them is when the first came.
            item = now
        self._rings.add(name, stamp_ns, item, first_counts=name == DETECTIONS)

    def take(self, now: float, overdue: bool = True) -> GuidedFrame | None:
        """The frame to work on now, or None. overdue False: none for which heatmaps should have come, but did not."""
        stamp_ns = self._ready(now, overdue)
        asked = stamp_ns is not None
        patience = max(self._patience, min(3 * self._slowness, _LONGEST_PATIENCE))
        if stamp_ns is None and overdue and not self._every and now - self._heard >= patience:
            stamp_ns = self._alone(now)
        if stamp_ns is None:
            return None
        image, heatmaps = (self._rings[name].get(stamp_ns) for name in (IMAGE, HEATMAPS))
        frame = GuidedFrame(stamp_ns, image, heatmaps, asked)
        self._in_vain += asked and heatmaps is None
        self._rings.hand_out(stamp_ns)
        return frame

    def _ready(self, now: float, overdue: bool) -> int | None:
        """The newest stamp that was asked for and need not wait any longer."""
        if self._every:
            return min(self._rings[HEATMAPS].stamps() & self._rings[IMAGE].stamps(), default=None)
        came, guided = self._rings[DETECTIONS].items(), self._rings[HEATMAPS].stamps()
        quiet_since = self._last_heatmaps
        max_wait = self._max_wait if self._in_vain < self._give_up else 0.0
        waited = {stamp for stamp, since in came if overdue and now - max(since, quiet_since) >= max_wait}
        return max(((waited | guided) & self._rings[IMAGE].stamps()), default=None)

    def _alone(self, now: float) -> int | None:
        """The newest image, if it is time for one."""
        newest = max(self._rings[IMAGE].stamps(), default=None)
        if newest is None or now - self._last_alone < self._period:
            return None
        self._last_alone = now
        return newest
