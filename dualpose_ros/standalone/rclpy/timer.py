"""rclpy.timer: callbacks at a steady pace."""

from __future__ import annotations

import time
from collections.abc import Callable


class Timer:
    """Calls a function every `timer_period_ns`; calls that were missed are left out, the pace is kept."""

    def __init__(self, callback: Callable[[], None], timer_period_ns: int) -> None:
        self.callback = callback
        self._period = timer_period_ns
        self._cancelled = False
        self._next = time.monotonic_ns() + self._period

    @property
    def timer_period_ns(self) -> int:
        """The period in nanoseconds."""
        return self._period

    @timer_period_ns.setter
    def timer_period_ns(self, period_ns: int) -> None:
        self._period = period_ns

    def is_ready(self) -> bool:
        """Whether the callback is due."""
        return not self._cancelled and time.monotonic_ns() >= self._next

    def cancel(self) -> None:
        """Call no more, until reset."""
        self._cancelled = True

    def reset(self) -> None:
        """Start anew, from now."""
        self._cancelled = False
        self._next = time.monotonic_ns() + self._period

    def time_until_next_call(self) -> int | None:
        """Nanoseconds to the next call, negative where it is late; None where cancelled."""
        return None if self._cancelled else self._next - time.monotonic_ns()

    def destroy(self) -> None:
        """End it for good."""
        self.cancel()

    def call(self) -> None:
        """Run the callback and set the next time, a whole number of periods after the last one."""
        missed = max(time.monotonic_ns() - self._next, 0) // self._period if self._period else 0
        self._next += (missed + 1) * self._period
        self.callback()
