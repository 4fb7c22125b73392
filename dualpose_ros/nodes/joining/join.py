"""Joining the inputs of a node by stamp, out of a small ring of recent frames."""

from collections.abc import Sequence
from typing import Any

from dualpose_ros.nodes.joining.stamps import StampRings


class StampJoin:
    """Collects one item for each named input and stamp; hands out a set once it is complete.

    A set is made of one item of the first input, and of each other input the one whose stamp is nearest to its within
    the tolerance (0: the same stamp), which should be less than half of the time between frames. Sets come out with
    strictly rising stamps; what is older is late and dropped. Each input keeps at most `capacity` items, the newest
    arrivals. Time that is set back: see StampRings.
    """

    def __init__(self, inputs: Sequence[str], capacity: int, tolerance_ns: int = 0) -> None:
        self._inputs, self._tolerance_ns = tuple(inputs), tolerance_ns
        self._rings: StampRings[Any] = StampRings(inputs, capacity)

    @property
    def late(self) -> int:
        """Items that came when their set, or a newer one, was out."""
        return sum(self._rings.late.values())

    def add(self, name: str, stamp_ns: int, item: Any) -> dict[str, Any] | None:
        """Take one item; the set {input: item} that it completes, if it was the last one missing."""
        if not self._rings.add(name, stamp_ns, item):
            return None
        of_ns = self._rings[self._inputs[0]].nearest_ns(stamp_ns, self._tolerance_ns)
        if of_ns is None:
            return None
        found = {key: self._rings[key].nearest_ns(of_ns, self._tolerance_ns) for key in self._inputs}
        stamps = {key: stamp for key, stamp in found.items() if stamp is not None}
        if len(stamps) < len(found):
            return None
        joined = {key: self._rings[key].get(stamp) for key, stamp in stamps.items()}
        self._rings.hand_out(max(stamps.values()))
        return joined

    def clear(self) -> None:
        """Forget every item and the time reached."""
        self._rings.clear()

    def waiting(self, name: str) -> int:
        """Number of items of one input that wait for the others."""
        return len(self._rings[name])
