"""How many frames in work at once are worth it: as few as reach nearly the highest frame rate.

On several cores the stages work on different frames, and the slowest sets the rate once enough frames are on their
way; more of them only wait for it, and come out late. Times are seconds of any clock that never goes back.
"""

from dataclasses import dataclass

MOST = 8
"""Frames in work at the most."""

_EPOCH_FRAMES = 16
_TURNS = 4
"""Epochs of either number that a comparison takes, in turns: what people do, and other programs, changes the rate by
more than what is to be seen."""

_WORTH = 0.04
"""What one more has to raise the rate by."""

_REST_EPOCHS, _LONGEST_REST_EPOCHS = 8, 64
_PAUSE_S = 1.0
"""Where nothing comes out for so long, it is not for how many were in work."""

_MANY = 0.75
"""Share of frames before which an image had to wait for room, from which the graph is what sets the rate."""


@dataclass
class _Tally:
    """What came out under one limit: frames, the time that they took, and before how many of them an image waited."""

    frames: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.frames / max(self.seconds, 1e-9)

    @property
    def share_waited(self) -> float:
        """Of the frames, those before which an image waited."""
        return self.waited / max(self.frames, 1)


class FlightControl:
    """Compares the number of frames in work with its neighbours now and then, in turns, and keeps the better one.

    Only while images wait for room: else it is the camera that sets the rate. One more is better where it raises the
    rate, or where with it images hardly wait any more; one less where that takes next to nothing from the rate.
    """

    def __init__(self, cores: int) -> None:
        """`cores`: to share; on one of them nothing is gained by a second frame, on two hardly anything by a third."""
        self.limit = self._kept = min(max(cores, 1), 3)
        self._trial: int | None = None
        self._try_less = False
        self._rest = self._rests = _REST_EPOCHS
        self._turns = 0
        self._tallies: dict[int, _Tally] = {}
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        # Those that were in work under another limit say nothing of this one.
        self._left_out = max(self.limit, 2)
        self._since = self._last = float("-inf")
        self._epoch = _Tally()

    def came_out(self, now: float, waited: bool) -> None:
        """A frame has come out; `waited`: whether an image had waited for room since the last one."""
        pause_s, self._last = now - self._last, now
        if pause_s > _PAUSE_S and not self._left_out:
            self._begin_epoch()
        if self._left_out:
            self._left_out -= 1
            self._since = now
            return
        self._epoch.frames += 1
        self._epoch.waited += waited
        if self._epoch.frames >= _EPOCH_FRAMES:
            self._epoch.seconds = now - self._since
            self._end_epoch()
            self._begin_epoch()

    def _end_epoch(self) -> None:
        if self._trial is None:
            self._rests -= 1
            if self._rests <= 0 and self._epoch.share_waited >= _MANY:
                self._compare()
            return
        tally = self._tallies[self.limit]
        tally.frames += self._epoch.frames
        tally.seconds += self._epoch.seconds
        tally.waited += self._epoch.waited
        self._turns -= 1
        if not self._turns:
            self._decide(self._trial)
        else:
            self.limit = self._trial if self.limit == self._kept else self._kept

    def _compare(self) -> None:
        """Try one less or one more, by turns."""
        step = -1 if self._kept == MOST or (self._try_less and self._kept > 1) else 1
        self._try_less = not self._try_less
        self._trial = self.limit = self._kept + step
        self._tallies = {self._kept: _Tally(), self._trial: _Tally()}
        self._turns = 2 * _TURNS

    def _decide(self, trial: int) -> None:
        fewer, more = (self._tallies[limit] for limit in sorted((self._kept, trial)))
        is_worth_it = more.rate > (1 + _WORTH) * fewer.rate or more.share_waited < _MANY <= fewer.share_waited
        before, self._kept = self._kept, max(self._kept, trial) if is_worth_it else min(self._kept, trial)
        if self._kept == before:
            self._rest = min(2 * self._rest, _LONGEST_REST_EPOCHS)
        else:
            # Soon, whether the next is better yet.
            self._rest, self._try_less = 1, self._kept < before
        self.limit, self._trial, self._rests = self._kept, None, self._rest
