"""Which number a frame has in its source, and which file it is: what comes of it has a stamp alone."""

from collections.abc import Callable

from dualpose_ros.nodes.joining.stamps import StampRing

# Frames whose poses may still be on their way, and those whose poses may be there before their number.
_MOST_IN_WORK, _MOST_AHEAD = 1000, 50

FRAME_NUMBER = "dualpose/frame_number"
"""Of each frame of a film or of pictures: its stamp and, as frame_id, its number in the source, those that could not
be had counted, and of a picture a space and its file's name."""


class FrameNumbers:
    """Frames numbered as the camera says or, of one that says nothing, counted as they come.

    `stamps_ns` are those of all frames in order. What the camera says of one may come before the frame or after it, and
    even after its poses.
    """

    def __init__(self, are_said: bool = False) -> None:
        """`are_said`: the camera says the number of each frame, as is known anyway from its first word on."""
        self.stamps_ns: list[int] = []
        self._places, self._said = StampRing[int](_MOST_IN_WORK), StampRing[tuple[int, str]](_MOST_IN_WORK)
        self._are_said = are_said
        self._ahead: dict[int, list[Callable[[], None]]] = {}

    def come(self, stamp_ns: int) -> None:
        """A frame has come; more than once is once."""
        if self._places.get(stamp_ns) is None:
            self._places.add(stamp_ns, len(self.stamps_ns))
            self.stamps_ns.append(stamp_ns)

    def said(self, stamp_ns: int, what: str) -> None:
        """The camera says a frame's number, and its file where it has one."""
        number, _, file = what.partition(" ")
        self._said.add(stamp_ns, (int(number), file))
        self._are_said = True
        self._do(stamp_ns)

    def of(self, stamp_ns: int) -> tuple[int | None, str]:
        """A frame's number, None where that is not known, or no longer; and the name of its file, where it has one."""
        return self._said.get(stamp_ns) or (None if self._are_said else self._places.get(stamp_ns), "")

    def when_said(self, stamp_ns: int, act: Callable[[], None]) -> None:
        """Do something once a frame's number is there: at once where the camera says none, or has."""
        if not self._are_said or self._said.get(stamp_ns) is not None:
            act()
            return
        self._ahead.setdefault(stamp_ns, []).append(act)
        if len(self._ahead) > _MOST_AHEAD:
            self._do(next(iter(self._ahead)))

    def wait_no_longer(self) -> None:
        """Do what still waits for a number."""
        while self._ahead:
            self._do(next(iter(self._ahead)))

    def _do(self, stamp_ns: int) -> None:
        for act in self._ahead.pop(stamp_ns, ()):
            act()
