"""Which inputs a node has waited for too long, in words that say where to look.

Times are seconds of any clock that never goes back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LATE_S = 2.0
"""An input that has said nothing for so long is missing."""

_WINDOW_S = 5.0
_FEWEST = 20
_LOST_SHARE = 0.5
# What a 720p image takes on its way: the kernel's default buffer holds a twelfth of it.
MEND = (
    "large images are lost where receive buffers are small: run `sudo sysctl -w net.core.rmem_max=8388608`, and before "
    'every node `export CYCLONEDDS_URI=\'<CycloneDDS><Domain><Internal><SocketReceiveBufferSize min="8MB"/></Internal>'
    "</Domain></CycloneDDS>'`; or set image_reliability: reliable, if the camera offers that"
)

NO_CLOCK = "use_sim_time is true and nothing has come on /clock: play the bag with --clock, or leave use_sim_time false"


def dropped_packets() -> int:
    """UDP packets that this machine's receive buffers had no room for so far; 0 where nobody counts them."""
    try:
        lines = Path("/proc/net/snmp").read_text(encoding="ascii").splitlines()
        names, counts = (line.split() for line in lines if line.startswith("Udp:"))
        return int(counts[names.index("RcvbufErrors")])
    except (OSError, ValueError):
        return 0


@dataclass
class WatchedInput:
    """One input: what it is called and how it is taken, when a message last came, since when they have come without a
    pause, and whether one serves for ever."""

    topic: str
    kind: str
    qos: str
    once: bool
    since_s: float
    last_s: float | None = None
    begun_s: float | None = None
    count: int = 0

    @property
    def can_lose(self) -> bool:
        """Whether it goes on for ever, and what is lost of it is not sent again."""
        return not self.once and self.qos.startswith("best effort")

    def is_missing(self, now_s: float) -> bool:
        """Whether a message should have come by now."""
        if self.last_s is None:
            return now_s - self.since_s > LATE_S
        return not self.once and now_s - self.last_s > LATE_S

    def goes_on(self, now_s: float) -> bool:
        """Whether messages come, and have come for long enough for others to have come with them."""
        is_coming = self.last_s is not None and now_s - self.last_s < LATE_S
        return is_coming and self.begun_s is not None and now_s - self.begun_s > LATE_S


class InputWatch:
    """The inputs of a node that somebody else has to send.

    While no input that goes on for ever comes, one that is needed once (camera_info) is not asked after: the whole
    camera is away. `rates_hz` has how often each came of late, by topic.
    """

    def __init__(self, now_s: float, dropped: Callable[[], int] = dropped_packets) -> None:
        self._counted_since_s = self._looked_s = now_s
        self._dropped, self._dropped_before, self._drops = dropped, dropped(), 0
        self._losses = ""
        self.rates_hz: dict[str, float] = {}
        self._inputs: dict[str, WatchedInput] = {}
        self._left: set[str] = set()

    def looked(self, now_s: float) -> None:
        """Somebody looks, as once a second: a node that was not served for longer, its process still making others,
        could take nothing."""
        if now_s - self._looked_s > LATE_S:
            self._counted_since_s = now_s
            for item in self._inputs.values():
                item.since_s = now_s
                item.last_s = None if item.last_s is None else now_s
        self._looked_s = now_s

    def expect(self, topic: str, kind: str, qos: str, now_s: float, *, once: bool = False) -> None:
        """Name an input that is taken from now on: topic, message type, quality of service in words."""
        self._inputs[topic] = WatchedInput(topic, kind, qos, once, now_s)
        self._count_from(now_s)

    def forget(self, topic: str) -> None:
        """Ask after an input no more."""
        self._inputs.pop(topic, None)
        self._left.add(topic)

    def came(self, topic: str, now_s: float) -> None:
        """A message came."""
        item = self._inputs.get(topic)
        if item is not None:
            is_first = item.last_s is None or now_s - item.last_s > LATE_S
            item.begun_s = now_s if is_first else item.begun_s
            item.last_s = now_s
            item.count += 1

    def losses(self, now_s: float) -> str:
        """One line where images come far less often than their camera_info, which is small, or where packets of images
        that nobody sends again are dropped; else an empty string."""
        if now_s - self._counted_since_s >= _WINDOW_S:
            infos = max((item.count for item in self._inputs.values() if item.once), default=0)
            few = [item for item in self._inputs.values() if not item.once and item.count < (1 - _LOST_SHARE) * infos]
            self._losses = ""
            if few and infos >= _FEWEST:
                seconds = now_s - self._counted_since_s
                came = f"{few[0].count} of {few[0].topic} came with {infos} camera_info in {seconds:.0f} s"
                self._losses = f"{came}: {MEND}"
            seconds = now_s - self._counted_since_s
            before, self._dropped_before = self._dropped_before, self._dropped()
            self._drops = self._dropped_before - before
            if not self._losses and self._drops >= _FEWEST and any(item.can_lose for item in self._inputs.values()):
                self._losses = f"receive buffers had no room for {self._drops} packets in {seconds:.0f} s: {MEND}"
            self.rates_hz = {item.topic: item.count / seconds for item in self._inputs.values()}
            self._count_from(now_s)
        return self._losses

    def _count_from(self, now_s: float) -> None:
        self._counted_since_s = now_s
        for item in self._inputs.values():
            item.count = 0

    def last_s(self, topic: str) -> float | None:
        """When a message of an input last came."""
        return self._inputs[topic].last_s

    def missing(self, now_s: float) -> WatchedInput | None:
        """The input that is missing, the one that goes on for ever first."""
        late = [item for item in self._inputs.values() if item.is_missing(now_s)]
        return min(late, key=lambda item: item.once, default=None)

    def describe(self, item: WatchedInput, publishers: int, now_s: float) -> str:
        """One line on a missing input: topic, type, quality of service, age of the last message, what to look at."""
        if item.last_s is None:
            last = f"none has come in {now_s - item.since_s:.0f} s"
        else:
            last = f"the last one came {now_s - item.last_s:.0f} s ago"
        if not item.once and any(other.once and other.goes_on(now_s) for other in self._inputs.values()):
            advice = f"its camera_info comes: {MEND}"
        elif publishers and item.can_lose and self._drops >= _FEWEST:
            advice = f"packets are dropped: {MEND}"
        elif not publishers:
            advice = "nobody publishes it: check the camera's driver, the topic's name and remapping"
        elif item.last_s is None and item.topic not in self._left:
            advice = f"publishers: {publishers}; check that their type and QoS fit these, and that they send"
        else:
            advice = f"publishers: {publishers}; check that they still send"
        return f"no {item.topic} ({item.kind}, {item.qos}): {last}; {advice}"
