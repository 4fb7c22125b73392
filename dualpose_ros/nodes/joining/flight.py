"""How many frames in work at once are worth it: as few as reach nearly the highest frame rate.

On several cores the stages work on different frames, and the slowest sets the rate once enough frames are on their
way; more of them only wait for it, and come out late. Times are seconds of any clock that never goes back.
"""

from __future__ import annotations

FIRST, MOST = 2, 8
"""Frames in work at the start, and at the most."""

_EPOCH_FRAMES, _EPOCH_S = 12, 1.0
_WORTH = 0.9
"""Share of the highest rate that is enough: the last frames cost more in delay than they bring."""

_KNOWN_S = 30.0
"""How long a rate counts as known; then it is tried again, for machines have other things to do too."""


class FlightControl:
    """Tries neighbouring numbers of frames in work, and keeps the one that `_WORTH` asks for.

    Only what comes out while images wait for room tells anything: otherwise it is the camera that sets the rate.
    """

    def __init__(self) -> None:
        self.limit = FIRST
        self._rates: dict[int, tuple[float, float]] = {}
        self._restart()

    def _restart(self) -> None:
        self._skipped = self._counted = 0
        self._since: float | None = None

    def came_out(self, now: float, waited: bool) -> None:
        """A frame has come out; `waited`: whether an image had waited for room since the last one."""
        if not waited:
            self._restart()
            return
        # Those that were in work under another limit say nothing of this one.
        if self._skipped < max(self.limit, 2):
            self._skipped += 1
            self._since = now
            return
        assert self._since is not None
        self._counted += 1
        if self._counted >= _EPOCH_FRAMES and now - self._since >= _EPOCH_S:
            self._rates[self.limit] = (self._counted / (now - self._since), now)
            self._choose(now)
            self._restart()

    def _choose(self, now: float) -> None:
        """What to try, or to keep to, next."""
        known = {limit: rate for limit, (rate, when) in self._rates.items() if now - when < _KNOWN_S}
        enough = min(limit for limit, rate in known.items() if rate >= _WORTH * max(known.values()))
        unknown = [limit for limit in (enough + 1, enough - 1) if limit not in known and 1 <= limit <= MOST]
        self.limit = unknown[0] if unknown else enough
