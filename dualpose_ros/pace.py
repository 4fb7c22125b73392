"""How often frames come, for memories that have to reach from one frame to the next however seldom that is."""

SLOWEST_S = 5.0
"""Frames further apart are no stream."""


class FramePeriod:
    """The usual time between frames: the shorter of the last two intervals, so that a single gap is none of it.

    last_ns: stamp of the frame that was seen last, None before the first.
    """

    def __init__(self) -> None:
        self.last_ns: int | None = None
        self._interval_s: float | None = None

    def see(self, stamp_ns: int) -> float:
        """Take note of a frame; the usual time between frames in seconds, 0 until a second one and after time went
        back."""
        last_ns, before_s = self.last_ns, self._interval_s
        self.last_ns = stamp_ns
        if last_ns is None or stamp_ns < last_ns:
            self._interval_s = None
            return 0.0
        self._interval_s = (stamp_ns - last_ns) * 1e-9
        usual_s = self._interval_s if before_s is None else min(self._interval_s, before_s)
        return usual_s if usual_s <= SLOWEST_S else 0.0
