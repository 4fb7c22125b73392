"""Joining the inputs of a node by exact stamp, out of a small ring of recent frames."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any


class StampJoin:
    """Collects one item for each named input and stamp; hands out a set once it is complete.

    Sets come out with strictly increasing stamps: a set older than the last one handed out
    is late and dropped. A stamp that lies more than `reset_ns` before the newest seen means
    that time was set back (a bag looping, a simulation restarted): everything is forgotten.
    Each input keeps at most `capacity` items, the newest arrivals.
    """

    def __init__(self, inputs: Sequence[str], capacity: int, reset_ns: int = 2_000_000_000) -> None:
        if capacity < 1:
            raise ValueError(f"the ring of a join needs a capacity of at least 1, not {capacity}")
        self._rings: dict[str, OrderedDict[int, Any]] = {name: OrderedDict() for name in inputs}
        self._capacity = capacity
        self._reset_ns = reset_ns
        self._newest_ns: int | None = None
        self._last_out_ns: int | None = None
        self.late = 0
        self.evicted = 0

    def add(self, name: str, stamp_ns: int, item: Any) -> dict[str, Any] | None:
        """Take one item; the complete set {input: item} of its stamp if this was the last one missing."""
        if self._newest_ns is not None and stamp_ns < self._newest_ns - self._reset_ns:
            self.clear()
        self._newest_ns = max(stamp_ns, self._newest_ns or stamp_ns)
        if self._last_out_ns is not None and stamp_ns <= self._last_out_ns:
            self.late += 1
            return None
        ring = self._rings[name]
        ring[stamp_ns] = item
        if len(ring) > self._capacity:
            ring.popitem(last=False)
            self.evicted += 1
        if any(stamp_ns not in other for other in self._rings.values()):
            return None
        joined = {key: other[stamp_ns] for key, other in self._rings.items()}
        self._last_out_ns = stamp_ns
        for other in self._rings.values():
            for old in [stamp for stamp in other if stamp <= stamp_ns]:
                del other[old]
        return joined

    def clear(self) -> None:
        """Forget every item and the time reached."""
        for ring in self._rings.values():
            ring.clear()
        self._newest_ns = self._last_out_ns = None

    def waiting(self, name: str) -> int:
        """Number of items of one input that wait for the others."""
        return len(self._rings[name])
