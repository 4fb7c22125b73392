"""Which frame the fusion node publishes next, and with which branches: joining that never stops for a dead branch.

Times are seconds of any clock that never goes back; stamps are nanoseconds of the images.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

TOP_DOWN, BOTTOM_UP = "top_down", "bottom_up"
BRANCHES = (TOP_DOWN, BOTTOM_UP)

_CAPACITY = 60


@dataclass(frozen=True)
class FusedFrame:
    """What to fuse: the stamp, and what either branch said of it; None where it said nothing in time."""

    stamp_ns: int
    top_down: Any
    bottom_up: Any


class FusedFrames:
    """Collects what both branches say of a frame, by exact stamp; `take` gives the frames that need not wait.

    A frame is ready when both have spoken; when the branch that has not has already spoken of a newer frame, and so
    skipped this one; or `max_wait` seconds after the other branch spoke. The bottom-up branch waits for the top-down
    one itself, so when the top-down poses are the ones missing, `max_wait` counts from the frame's detections, where
    those were announced. A branch that `give_up` frames in a row waited for in vain is not waited for until it has
    spoken twice.

    Frames come out with strictly rising stamps; older ones are dropped, and counted in `late` by branch. A stamp more
    than `reset_ns` before the newest seen means that time was set back: everything is forgotten.
    """

    def __init__(self, max_wait: float, give_up: int = 2, reset_ns: int = 2_000_000_000) -> None:
        self._max_wait, self._give_up, self._reset_ns = max_wait, give_up, reset_ns
        self._items: dict[int, dict[str, tuple[Any, float]]] = {}
        self._announced: OrderedDict[int, float] = OrderedDict()
        self._in_vain, self._absent = dict.fromkeys(BRANCHES, 0), dict.fromkeys(BRANCHES, 0)
        self._newest: dict[str, int | None] = dict.fromkeys(BRANCHES)
        self._newest_ns: int | None = None
        self._last_out_ns: int | None = None
        self.late = dict.fromkeys(BRANCHES, 0)

    def announce(self, stamp_ns: int, now: float) -> None:
        """A frame is being worked on."""
        self._at(stamp_ns)
        self._announced.setdefault(stamp_ns, now)
        if len(self._announced) > _CAPACITY:
            self._announced.popitem(last=False)

    def add(self, branch: str, stamp_ns: int, item: Any, now: float) -> None:
        """Take in what a branch says of a frame."""
        self._at(stamp_ns)
        newest = self._newest[branch]
        self._in_vain[branch], self._absent[branch] = 0, max(self._absent[branch] - 1, 0)
        self._newest[branch] = stamp_ns if newest is None else max(stamp_ns, newest)
        if self._last_out_ns is not None and stamp_ns <= self._last_out_ns:
            self.late[branch] += 1
            return
        self._items.setdefault(stamp_ns, {}).setdefault(branch, (item, now))
        if len(self._items) > _CAPACITY:
            del self._items[min(self._items)]

    def take(self, now: float) -> FusedFrame | None:
        """The oldest frame that is ready, or None."""
        stamp_ns = next((stamp for stamp in sorted(self._items) if self._is_ready(stamp, now)), None)
        if stamp_ns is None:
            return None
        missing = self._awaited(stamp_ns)
        if missing is not None:
            self._in_vain[missing] += 1
            # The first frame of a branch that returns takes it longer than usual.
            self._absent[missing] = 2 if self._in_vain[missing] >= self._give_up else 0
        said = self._items[stamp_ns]
        top_down, bottom_up = (said[branch][0] if branch in said else None for branch in BRANCHES)
        self._last_out_ns = stamp_ns
        self._items = {stamp: item for stamp, item in self._items.items() if stamp > stamp_ns}
        return FusedFrame(stamp_ns, top_down, bottom_up)

    def clear(self) -> None:
        """Forget every item and the time reached."""
        self._items.clear()
        self._announced.clear()
        self._newest = dict.fromkeys(BRANCHES)
        self._newest_ns = self._last_out_ns = None

    def _at(self, stamp_ns: int) -> None:
        """Note how far time has come."""
        if self._newest_ns is not None and stamp_ns < self._newest_ns - self._reset_ns:
            self.clear()
        self._newest_ns = max(stamp_ns, self._newest_ns or stamp_ns)

    def _is_ready(self, stamp_ns: int, now: float) -> bool:
        missing = self._awaited(stamp_ns)
        return missing is None or now - self._since(stamp_ns, missing) >= self._max_wait

    def _awaited(self, stamp_ns: int) -> str | None:
        """The branch that may still speak of a frame, or None."""
        missing = next((branch for branch in BRANCHES if branch not in self._items[stamp_ns]), None)
        if missing is None or self._absent[missing]:
            return None
        newest = self._newest[missing]
        return None if newest is not None and newest > stamp_ns else missing

    def _since(self, stamp_ns: int, missing: str) -> float:
        """From when on the wait for a branch counts."""
        since = min(came for _, came in self._items[stamp_ns].values())
        return min(since, self._announced.get(stamp_ns, since)) if missing == TOP_DOWN else since
