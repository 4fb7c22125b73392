"""What a film's cuts are to the nodes that remember: time set back, by the time that they tell their stage."""

from dualpose_ros.nodes.joining.stamps import StampRing

CUTS = "dualpose/cuts"
"""Topic of the headers of frames with which a film cuts to another shot."""

_BACK_NS = 3_600_000_000_000
_MOST_KEPT = 100


class CutTimes:
    """The cuts that were told of, by the stamp of the first frame of each new shot, in nanoseconds.

    A stage starts all anew where time goes back. So its time goes back by an hour with the first frame of a shot, or,
    where that is skipped or the cut was told too late, with the next one.
    """

    def __init__(self) -> None:
        self._told: StampRing[bool] = StampRing(_MOST_KEPT)
        self.passed = 0

    def add(self, stamp_ns: int) -> None:
        """A shot begins there; said again, it counts once."""
        self._told.add(stamp_ns, False, first_counts=True)

    def stage_ns(self, stamp_ns: int, time_ns: int) -> int:
        """What the stage is told of a frame: its time, set back by the cuts until then."""
        for cut_ns in [told for told, is_passed in self._told.items() if told <= stamp_ns and not is_passed]:
            self._told.add(cut_ns, True)
            self.passed += 1
        return time_ns - self.passed * _BACK_NS
