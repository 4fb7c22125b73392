"""Which number a frame has in its source, and which file it is: what comes of it has a stamp alone."""

from bisect import bisect_right

from dualpose_ros.nodes.joining.stamps import StampRing

# Frames whose poses may still be on their way.
_MOST_IN_WORK = 1000

FRAME_NUMBER = "dualpose/frame_number"
"""A frame's stamp and, as frame_id, its number in the source and, of a picture, a space and its file's name.

Said of each picture, and of a film's frames where some before them could not be had.
"""


class FrameNumbers:
    """Frames counted as they come, and on from what the camera says where some could not be had.

    `stamps_ns` are those of all frames in order. What the camera says of one may come before the frame or after it.
    """

    def __init__(self) -> None:
        self.stamps_ns: list[int] = []
        self._places = StampRing[int](_MOST_IN_WORK)
        self._files = StampRing[str](_MOST_IN_WORK)
        self._said: dict[int, int] = {}
        self._begins: list[int] = []
        self._left_out: list[int] = []

    def come(self, stamp_ns: int) -> None:
        """A frame has come; more than once is once."""
        if self._places.get(stamp_ns) is not None:
            return
        self._places.add(stamp_ns, len(self.stamps_ns))
        self.stamps_ns.append(stamp_ns)
        self._count_on(stamp_ns)

    def said(self, stamp_ns: int, what: str) -> None:
        """The camera says a frame's number, and its file where it has one."""
        number, _, file = what.partition(" ")
        if file:
            self._files.add(stamp_ns, file)
        self._said[stamp_ns] = int(number)
        self._count_on(stamp_ns)

    def file_of(self, stamp_ns: int) -> str:
        """The name of a frame's file; empty where it has none, or came long ago."""
        return self._files.get(stamp_ns) or ""

    def of(self, stamp_ns: int) -> int | None:
        """A frame's number; None where it has not come, or long ago."""
        place = self._places.get(stamp_ns)
        return None if place is None else place + self._left_out_before(place)

    def _count_on(self, stamp_ns: int) -> None:
        place = self._places.get(stamp_ns)
        if stamp_ns not in self._said or place is None:
            return
        left_out = self._said.pop(stamp_ns) - place
        if left_out != self._left_out_before(place):
            at = bisect_right(self._begins, place)
            self._begins.insert(at, place)
            self._left_out.insert(at, left_out)

    def _left_out_before(self, place: int) -> int:
        at = bisect_right(self._begins, place)
        return self._left_out[at - 1] if at else 0
