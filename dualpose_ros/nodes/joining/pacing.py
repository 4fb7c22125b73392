"""How many frames the graph has in work at once: none is started while those before are still on the way.

Times are seconds of any clock that never goes back; stamps are nanoseconds of the images.
"""

from typing import Any

from dualpose_ros.inference.cpu import usable_cores
from dualpose_ros.nodes.joining.flight import FlightControl
from dualpose_ros.nodes.joining.stamps import RESET_NS, UNSET_NS, StampClock, StampRing, StampStream

AUTO = -1
_MOST_IN_WORK = 1000
_FIRST_WAIT_S, _START_S = 0.1, 3.0


class Pacer:
    """Keeps the newest image until there is room for it.

    There is room while fewer than `limit` frames are in work: started, and neither they nor a newer one has come out.
    With a limit of 0 there is always room, with one of AUTO as much as raises the frame rate (see `flight`). So there
    is from when a frame in work has seen nothing come out for `timeout` seconds until something does: a graph whose end
    is dead is not waited for. Where time was set back, nothing is in work any more.

    Until the graph has answered once, its first frame may take it a second, or have found nobody to listen yet: each
    frame is then started twice as long after the first as the one before. Who has said nothing in three seconds is not
    waited for.
    """

    def __init__(self, limit: int, timeout: float) -> None:
        self._fixed, self._timeout = limit, timeout
        self._control = FlightControl(usable_cores()) if limit == AUTO else None
        self._has_waited = False
        self._clock, self._stream = StampClock(spare_stray=True), StampStream()
        self._in_work: StampRing[float] = StampRing(_MOST_IN_WORK)
        self._waiting: Any | None = None
        self._answers = False
        self._last_out = float("-inf")
        self._starts: tuple[float, float] | None = None
        self.timed_out = self.late = self.late_in_a_row = 0

    def offer(self, stamp_ns: int, image: Any) -> None:
        """A new image; the one that waits, if any, is dropped for it. One that others overtook, or a second copy, is
        dropped itself."""
        newest_ns = self._clock.newest_ns
        stays_back = self._stream.stays_back(stamp_ns)
        if self._clock.was_set_back(stamp_ns) or stays_back:
            self._clock.newest_ns = stamp_ns
            self._in_work.clear()
        elif newest_ns is not None and UNSET_NS != stamp_ns <= newest_ns:
            self.late += 1
            self.late_in_a_row += 1
            return
        self.late_in_a_row = 0
        self._waiting = image

    @property
    def limit(self) -> int:
        """Most frames in work now, 0 for any number."""
        return self._fixed if self._control is None else self._control.limit

    def came_out(self, stamp_ns: int, now: float) -> None:
        """The graph has put a frame out; older ones won't come any more."""
        if self._control is not None and self._answers:
            self._control.came_out(now, self._has_waited)
        self._has_waited = False
        self._answers, self._last_out = True, now
        self._in_work.drop_until(stamp_ns)

    def take(self, now: float) -> Any | None:
        """The image to work on now, if there is one and room for it; `started` tells when it is on its way."""
        self._expire(now)
        if self.limit and (self._is_full() if self._answers else self._is_starting(now)):
            self._has_waited |= self._waiting is not None
            return None
        image, self._waiting = self._waiting, None
        return image

    def _is_full(self) -> bool:
        return len(self._in_work) >= self.limit

    def _is_starting(self, now: float) -> bool:
        """Whether an image has to wait for the graph's first answer."""
        if self._starts is None or self._last_out > float("-inf"):
            return False
        first, last = self._starts
        return now - first < min(max(2 * (last - first), _FIRST_WAIT_S), _START_S)

    def started(self, stamp_ns: int, now: float) -> None:
        """A frame was handed to the graph, and is expected to come out."""
        if self.limit:
            self._in_work.add(stamp_ns, now)
            self._starts = (now if self._starts is None else self._starts[0], now)

    def _expire(self, now: float) -> None:
        since = max(self._last_out, min((since for _, since in self._in_work.items()), default=now))
        if now - since >= self._timeout:
            self.timed_out += len(self._in_work)
            self._in_work.clear()
            self._answers = False


RECORDED = "dualpose/recorded"
"""Headers of the frames whose poses a run has recorded."""


class AnsweredFrames:
    """Frames that were sent and whose answers are waited for, so that the graph sets the pace and nothing is dropped.

    What is not answered within `timeout` seconds is sent again, `tries` times in all: a node may have died with it.
    Where one is known to be back, `all_again` sends it at once. Answers come in order, so what a newer frame's answer
    has overtaken is lost, and counted.
    """

    def __init__(self, limit: int, timeout: float, tries: int = 3) -> None:
        self._limit, self._timeout, self._tries = limit, timeout, tries
        self._frames: dict[int, tuple[Any, float, int]] = {}
        self.lost = 0

    def __len__(self) -> int:
        return len(self._frames)

    def has_room(self, stamp_ns: int) -> bool:
        """Whether another frame may be sent: of two far apart in time that cross on their way, nodes would take the
        older one for time that was set back."""
        return len(self._frames) < self._limit and stamp_ns - min(self._frames, default=stamp_ns) < RESET_NS // 2

    def sent(self, stamp_ns: int, item: Any, now: float) -> None:
        """A frame was sent."""
        self._frames[stamp_ns] = (item, now, 1)

    def answered(self, stamp_ns: int) -> None:
        """The graph has put a frame out."""
        if stamp_ns in self._frames:
            done = [stamp for stamp in self._frames if stamp <= stamp_ns]
            self.lost += len(done) - 1
            for stamp in done:
                del self._frames[stamp]

    def longest_wait_s(self, now: float) -> float:
        """How long the oldest answer that is waited for has been so."""
        return max((now - since for _, since, _ in self._frames.values()), default=0.0)

    def all_again(self, now: float) -> list[tuple[int, Any]]:
        """All that is waited for, oldest first, to be sent again; no try is used up."""
        self._frames = {stamp_ns: (item, now, tries) for stamp_ns, (item, _, tries) in self._frames.items()}
        return [(stamp_ns, item) for stamp_ns, (item, _, _) in self._frames.items()]

    def to_send_again(self, now: float) -> list[tuple[int, Any]]:
        """What has waited too long, oldest first; a frame whose tries are used up is lost."""
        again = []
        for stamp_ns, (item, since, tries) in list(self._frames.items()):
            if now - since < self._timeout:
                continue
            if tries >= self._tries:
                del self._frames[stamp_ns]
                self.lost += 1
            else:
                self._frames[stamp_ns] = (item, now, tries + 1)
                again.append((stamp_ns, item))
        return again
