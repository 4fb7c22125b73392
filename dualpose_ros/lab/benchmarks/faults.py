"""Faults that a camera, its clock and the machine under a graph may have, as plans by time; chosen by a seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CAMERA_OFF = "camera off"
KILL, STOP, STARVE = "node killed", "node stopped", "processors starved"
DROP, LATE, TWICE, DISORDER = "frames dropped", "frames late", "frames doubled", "frames out of order"
CLOCK, SIZE = "clock jumps", "size and K change"
FAULTS = (KILL, STOP, STARVE, DROP, LATE, TWICE, DISORDER, CLOCK, SIZE, CAMERA_OFF)

RESETS = (KILL, CLOCK, SIZE, CAMERA_OFF, STOP)
"""Faults after which a person may have another id: what knew the old one is gone, or they were out of sight."""

REST_S = 24.0
"""The camera is off for so long that every node has done its work, be it with ten seconds of patience, and given memory
back, as it does each ten seconds."""

_CLOCK_JUMP_S = 60.0
_QUIET_S = 8.0
_REST_EVERY_S = 120.0
_MORE_KILLS = (KILL, KILL)
_KILLING_SHARE = 1 / 6


@dataclass(frozen=True)
class Fault:
    """What happens from when until when, in seconds of the run; `target` chooses the node."""

    kind: str
    start_s: float
    end_s: float
    target: int


def plan(seconds: float, seed: int, period_s: float = 12.0, first_s: float = 10.0) -> list[Fault]:
    """Faults of every kind in turn, in an order of chance, with quiet between them.

    Nodes are killed in the first and the last sixth alone, three times a turn: a process whose memory is watched has to
    live.
    """
    rng = np.random.default_rng(seed)
    faults: list[Fault] = []
    start = first_s
    while start + period_s <= seconds:
        for kind in rng.permutation((*FAULTS, *_MORE_KILLS)):
            length = REST_S if kind == CAMERA_OFF else float(rng.uniform(*((0.5, 2.0) if kind == STOP else (2.0, 4.0))))
            takes_s = max(period_s, length + _QUIET_S)
            is_watched = _KILLING_SHARE < start / seconds < 1 - _KILLING_SHARE
            if start + takes_s > seconds or (kind == KILL and is_watched):
                continue
            faults.append(Fault(str(kind), start, start + length, int(rng.integers(1 << 30))))
            start += takes_s
    return faults


def rests(seconds: float) -> list[Fault]:
    """No fault but that the camera is off now and then, for memory to be read."""
    starts = np.arange(_REST_EVERY_S, seconds - REST_S, _REST_EVERY_S)
    return [Fault(CAMERA_OFF, float(start), float(start) + REST_S, 0) for start in starts]


def fault_at(faults: Sequence[Fault], at_s: float) -> Fault | None:
    """The fault that is on at a time."""
    return next((fault for fault in faults if fault.start_s <= at_s < fault.end_s), None)


class CameraFaults:
    """Which frames a camera really sends, when and with which stamp, while it has a fault."""

    def __init__(self) -> None:
        self._held: list[tuple[int, int]] = []

    def send(self, number: int, stamp_ns: int, kind: str | None) -> list[tuple[int, int]]:
        """The frames (number, stamp) that go out instead of this one, in order."""
        if kind not in (LATE, DISORDER):
            held, self._held = self._held, []
        else:
            held = []
        if kind == CAMERA_OFF or (kind == DROP and number % 2):
            return held
        if kind == TWICE:
            return [*held, (number, stamp_ns), (number, stamp_ns)]
        if kind == CLOCK:
            return [*held, (number, stamp_ns + round(_CLOCK_JUMP_S * 1e9))]
        if kind in (LATE, DISORDER):
            self._held.append((number, stamp_ns))
            if len(self._held) < (5 if kind == LATE else 2):
                return []
            held, self._held = self._held, []
            return held if kind == LATE else held[::-1]
        return [*held, (number, stamp_ns)]
