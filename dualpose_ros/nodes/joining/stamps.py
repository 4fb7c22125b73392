"""Items by the stamp of their image: the recent ones, the newest, the late ones, and time that is set back.

Whatever joins messages, counts frames in work or remembers cameras stands on this. Stamps are nanoseconds.
"""

from collections import OrderedDict
from collections.abc import ItemsView, KeysView, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")

RESET_NS = 2_000_000_000
"""A stamp further than this before the newest is none that was delayed on its way."""

UNSET_NS = 0
"""The stamp of a message whose sender set none: it says nothing of time, and is neither late nor early."""

_STAYS_BACK = 3


class StampRing(Generic[Item]):
    """The items of one input that came last, at most `capacity` of them, by stamp."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a ring of stamps needs a capacity of at least 1, not {capacity}")
        self._items: OrderedDict[int, Item] = OrderedDict()
        self.capacity = capacity

    def __len__(self) -> int:
        return len(self._items)

    def add(self, stamp_ns: int, item: Item, *, first_counts: bool = False) -> None:
        """Take in an item; of several with one stamp the last stays, or the first where that counts."""
        if first_counts and stamp_ns in self._items:
            return
        self._items[stamp_ns] = item
        self._items.move_to_end(stamp_ns)
        if len(self._items) > self.capacity:
            self._items.popitem(last=False)

    def get(self, stamp_ns: int) -> Item | None:
        """The item of exactly this stamp."""
        return self._items.get(stamp_ns)

    def nearest_ns(self, stamp_ns: int, tolerance_ns: int = 0) -> int | None:
        """The stamp of an item that is nearest, the later of two equally near; None beyond the tolerance."""
        if stamp_ns in self._items:
            return stamp_ns
        near = [stamp for stamp in self._items if abs(stamp - stamp_ns) <= tolerance_ns] if tolerance_ns else []
        return min(near, key=lambda stamp: (abs(stamp - stamp_ns), -stamp), default=None)

    def last(self) -> Item | None:
        """The item that came last."""
        return next(reversed(self._items.values()), None)

    def stamps(self) -> KeysView[int]:
        """The stamps of all items, in order of arrival."""
        return self._items.keys()

    def items(self) -> ItemsView[int, Item]:
        """All items with their stamps, in order of arrival."""
        return self._items.items()

    def drop_until(self, stamp_ns: int) -> None:
        """Forget the items up to a stamp, its own included."""
        for old in [stamp for stamp in self._items if stamp <= stamp_ns]:
            del self._items[old]

    def clear(self) -> None:
        """Forget all items."""
        self._items.clear()


class StampStream:
    """Whether the stamps of one sender have gone back by however little, and stay back.

    One sender's stamps rise: some in a row that rise among themselves, all of them before the newest, are a bag that
    was started again, while a single one is a message that was delayed.
    """

    def __init__(self) -> None:
        self._newest_ns: int | None = None
        self._back_ns: list[int] = []

    def stays_back(self, stamp_ns: int) -> bool:
        """Take note of a stamp; True where it is the one that shows that time was set back."""
        if stamp_ns == UNSET_NS:
            return False
        if self._newest_ns is None or stamp_ns >= self._newest_ns:
            self._newest_ns, self._back_ns = stamp_ns, []
            return False
        if self._back_ns and stamp_ns <= self._back_ns[-1]:
            self._back_ns = []
        self._back_ns.append(stamp_ns)
        if len(self._back_ns) < _STAYS_BACK:
            return False
        self._newest_ns, self._back_ns = stamp_ns, []
        return True


class StampClock:
    """How far time has come by the stamps of several senders, and whether it was set back: a bag that loops, say.

    Time is set back where a stamp lies more than `reset_ns` before the newest; with `spare_stray` only where the next
    one does too, so that it stays back. For less than `reset_ns` see StampStream.
    """

    def __init__(self, *, spare_stray: bool = False, reset_ns: int = RESET_NS) -> None:
        self._spare_stray, self._reset_ns = spare_stray, reset_ns
        self._stray_ns: int | None = None
        self.newest_ns: int | None = None

    def is_back(self, stamp_ns: int) -> bool:
        """Whether a stamp lies where only time set back, or a stray, can be."""
        return self.newest_ns is not None and UNSET_NS != stamp_ns < self.newest_ns - self._reset_ns

    def was_set_back(self, stamp_ns: int) -> bool:
        """Take note of a stamp; True where it is the one that shows that time was set back."""
        if stamp_ns == UNSET_NS:
            return False
        back, stray_ns = self.is_back(stamp_ns), self._stray_ns
        if back and self._spare_stray and stray_ns is None:
            self._stray_ns = stamp_ns
            return False
        before_ns = stray_ns if back else self.newest_ns
        self.newest_ns = stamp_ns if before_ns is None else max(stamp_ns, before_ns)
        self._stray_ns = None
        return back


class StampRings(Generic[Item]):
    """A ring for each of several inputs; frames are handed out with strictly rising stamps.

    An item that is not newer than the last frame handed out is late: dropped, and counted in `late`. Where time was
    set back everything is forgotten, counted in `restarts`, and what came since stays (but for the first few where it
    was set back by less than `reset_ns`); a single stray is late. Items whose stamp was never set are joined as they
    arrive.
    """

    def __init__(self, inputs: Sequence[str], capacity: int, reset_ns: int = RESET_NS) -> None:
        self._rings: dict[str, StampRing[Item]] = {name: StampRing(capacity) for name in inputs}
        self._clock = StampClock(spare_stray=True, reset_ns=reset_ns)
        self._streams = {name: StampStream() for name in inputs}
        self._stray: tuple[str, int, Item] | None = None
        self._newest: dict[str, int] = {}
        self._last_out_ns: int | None = None
        self.late = dict.fromkeys(inputs, 0)
        self.restarts = 0

    def __getitem__(self, name: str) -> StampRing[Item]:
        """The ring of an input."""
        return self._rings[name]

    @property
    def is_new(self) -> bool:
        """Whether nothing has come, or nothing since everything was forgotten."""
        return not self._newest

    def newest_ns(self, name: str) -> int | None:
        """The newest stamp that an input has had, late ones too."""
        return self._newest.get(name)

    def add(self, name: str, stamp_ns: int, item: Item, *, first_counts: bool = False) -> bool:
        """Take in an item (see StampRing.add); False where it is late."""
        if self._clock.was_set_back(stamp_ns):
            stray = self._stray
            self._forget()
            self.restarts += 1
            if stray is not None:
                self._put(*stray)
        elif self._clock.is_back(stamp_ns):
            self._stray = (name, stamp_ns, item)
            return False
        elif self._stray is not None:
            self.late[self._stray[0]] += 1
            self._stray = None
        if self._streams[name].stays_back(stamp_ns):
            self._forget()
            self.restarts += 1
            self._clock.newest_ns = stamp_ns
        return self._put(name, stamp_ns, item, first_counts)

    def _put(self, name: str, stamp_ns: int, item: Item, first_counts: bool = False) -> bool:
        self._newest[name] = max(stamp_ns, self._newest.get(name, stamp_ns))
        if self._last_out_ns is not None and UNSET_NS != stamp_ns <= self._last_out_ns:
            self.late[name] += 1
            return False
        self._rings[name].add(stamp_ns, item, first_counts=first_counts)
        return True

    def hand_out(self, stamp_ns: int) -> None:
        """A frame goes out: it and what is older will not again."""
        self._last_out_ns = stamp_ns
        for ring in self._rings.values():
            ring.drop_until(stamp_ns)

    def clear(self) -> None:
        """Forget every item and the time reached; the counts of late ones stay."""
        self._forget()
        self._clock.newest_ns = None

    def _forget(self) -> None:
        for ring in self._rings.values():
            ring.clear()
        self._newest.clear()
        self._streams = {name: StampStream() for name in self._rings}
        self._stray = self._last_out_ns = None
