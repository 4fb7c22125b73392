"""Which frame the fusion node publishes next, and with which branches: joining that never stops for a dead branch.

Times are seconds of any clock that never goes back; stamps are nanoseconds of the images.
"""

from dataclasses import dataclass
from typing import Any

from dualpose_ros.nodes.joining.stamps import UNSET_NS, StampRing, StampRings

TOP_DOWN, BOTTOM_UP = "top_down", "bottom_up"
BRANCHES = (TOP_DOWN, BOTTOM_UP)

_ANNOUNCED = "announced"
_CAPACITY = 60

LONGEST_WAIT_S = 1.0
"""A branch that takes longer is not slow, but was away."""

_MARGIN, _FORGET = 1.25, 0.1


@dataclass(frozen=True)
class FusedFrame:
    """What to fuse: the stamp, and what either branch said of it; None where it said nothing in time."""

    stamp_ns: int
    top_down: Any
    bottom_up: Any


class FusedFrames:
    """Collects what both branches say of a frame, by exact stamp; `take` gives the frames that need not wait.

    A frame is ready when both have spoken; when the branch that has not has already spoken of a newer frame, and so
    skipped this one; or `max_wait` seconds after the other branch spoke, longer where the branch is known to take
    longer (up to LONGEST_WAIT_S): on a busy machine frames are skipped, but none loses a branch that is at work. The
    bottom-up branch waits for the top-down one itself, so when the top-down poses are the ones missing, the wait counts
    from the frame's detections, where those were announced. A branch that `give_up` frames in a row waited for in vain
    is not waited for until it has spoken twice.

    Frames come out with strictly rising stamps; older ones are dropped, and counted in `late` by branch. Time that is
    set back: see StampRings.
    """

    def __init__(self, max_wait: float, give_up: int = 2) -> None:
        self._max_wait, self._give_up = max_wait, give_up
        self._said: StampRings[tuple[Any, float]] = StampRings((*BRANCHES, _ANNOUNCED), _CAPACITY)
        self._in_vain, self._absent = dict.fromkeys(BRANCHES, 0), dict.fromkeys(BRANCHES, 0)
        self._usual_s = dict.fromkeys(BRANCHES, 0.0)
        self._left_waiting = {branch: StampRing[float](_CAPACITY) for branch in BRANCHES}

    @property
    def late(self) -> dict[str, int]:
        """How much of what each branch said came too late."""
        return {branch: self._said.late[branch] for branch in BRANCHES}

    def announce(self, stamp_ns: int, now: float) -> None:
        """A frame is being worked on."""
        self._said.add(_ANNOUNCED, stamp_ns, (None, now), first_counts=True)

    def add(self, branch: str, stamp_ns: int, item: Any, now: float) -> None:
        """Take in what a branch says of a frame."""
        self._learn(branch, stamp_ns, now)
        self._in_vain[branch], self._absent[branch] = 0, max(self._absent[branch] - 1, 0)
        self._said.add(branch, stamp_ns, (item, now), first_counts=True)

    def take(self, now: float) -> FusedFrame | None:
        """The oldest frame that is ready, or None."""
        stamps = sorted(self._said[TOP_DOWN].stamps() | self._said[BOTTOM_UP].stamps())
        stamp_ns = next((stamp for stamp in stamps if self._is_ready(stamp, now)), None)
        if stamp_ns is None:
            return None
        missing = self._awaited(stamp_ns)
        if missing is not None:
            self._in_vain[missing] += 1
            # The first frame of a branch that returns takes it longer than usual.
            self._absent[missing] = 2 if self._in_vain[missing] >= self._give_up else 0
            since = self._since(stamp_ns, missing)
            self._left_waiting[missing].add(stamp_ns, now if since is None else since)
        said = [self._said[branch].get(stamp_ns) for branch in BRANCHES]
        top_down, bottom_up = (None if one is None else one[0] for one in said)
        self._said.hand_out(stamp_ns)
        return FusedFrame(stamp_ns, top_down, bottom_up)

    def waiting(self) -> int:
        """Number of items kept: of both branches, and announced frames."""
        return sum(len(self._said[name]) for name in (*BRANCHES, _ANNOUNCED))

    def _is_ready(self, stamp_ns: int, now: float) -> bool:
        missing = self._awaited(stamp_ns)
        if missing is None:
            return True
        since = self._since(stamp_ns, missing)
        return since is not None and now - since >= self.patience_s(missing)

    def patience_s(self, branch: str) -> float:
        """Seconds that a frame waits for a branch: by what it is known to take, `max_wait` at the least."""
        return max(self._max_wait, min(_MARGIN * self._usual_s[branch], LONGEST_WAIT_S))

    def _learn(self, branch: str, stamp_ns: int, now: float) -> None:
        """How long a branch has let a frame wait: more counts at once, less by and by."""
        since = self._since(stamp_ns, branch)
        since = self._left_waiting[branch].get(stamp_ns) if since is None else since
        # Where nothing has been said of the frame, nothing waits for it.
        took = 0.0 if since is None else now - since
        if took <= LONGEST_WAIT_S:
            usual = self._usual_s[branch]
            self._usual_s[branch] = max(took, usual + _FORGET * (took - usual))

    def _awaited(self, stamp_ns: int) -> str | None:
        """The branch that may still speak of a frame, or None."""
        missing = next((branch for branch in BRANCHES if self._said[branch].get(stamp_ns) is None), None)
        if missing is None or self._absent[missing]:
            return None
        newest_ns = self._said.newest_ns(missing)
        return None if newest_ns is not None and newest_ns > stamp_ns != UNSET_NS else missing

    def _since(self, stamp_ns: int, missing: str) -> float | None:
        """From when on the wait for a branch counts; None where nothing is known of the frame."""
        others = (BOTTOM_UP, _ANNOUNCED) if missing == TOP_DOWN else (TOP_DOWN,)
        known = (self._said[name].get(stamp_ns) for name in others)
        return min((said[1] for said in known if said is not None), default=None)
