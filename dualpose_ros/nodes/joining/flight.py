"""How many frames in work at once are worth it: as many as keep the newest pose that is out youngest.

On several cores the stages work on different frames, and the slowest sets the rate once enough frames are on their
way; more of them only wait for it, and come out late. Where cores are shared, or two of them are one core's threads,
frames in work slow each other down long before. Times are seconds of any clock that never goes back.
"""

from __future__ import annotations

FIRST, MOST = 2, 8
"""Frames in work at the start, and at the most."""

_EPOCH_FRAMES, _EPOCH_S = 12, 1.0
_KNOWN_S = 30.0
"""How long a rate counts as known; then it is tried again, for machines have other things to do too."""


class FlightControl:
    """Tries neighbouring numbers of frames in work, and keeps the one at which poses are at most as old as can be.

    A pose is oldest just before the next one comes: by then by what its frame took, which with n in work at r frames a
    second is n / r, and a period more. So a second frame has to raise the rate by half, a third by a third.

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
        best = min(known, key=lambda limit: (limit + 1) / known[limit])
        unknown = [limit for limit in (best - 1, best + 1) if limit not in known and 1 <= limit <= MOST]
        self.limit = unknown[0] if unknown else best
