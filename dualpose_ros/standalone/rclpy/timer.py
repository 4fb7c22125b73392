"""rclpy.timer: callbacks at a steady pace."""

import time
from collections.abc import Callable

from dualpose_ros.standalone.rclpy.exceptions import InvalidHandle


class Timer:
    """Calls a function every `timer_period_ns`; calls that were missed are left out, the pace is kept.

    Errors: RuntimeError, as rclpy's RCLError is one, for a negative period and for a call while cancelled;
    InvalidHandle once it is destroyed.
    """

    def __init__(self, callback: Callable[[], None], timer_period_ns: int) -> None:
        if timer_period_ns < 0:
            raise RuntimeError("failed to create timer: timer period must be non-negative")
        self.callback = callback
        self._period = timer_period_ns
        self._destroyed = False
        self._cancelled = False
        self._next = time.monotonic_ns() + self._period

    @property
    def timer_period_ns(self) -> int:
        """The period in nanoseconds."""
        self._check()
        return self._period

    @timer_period_ns.setter
    def timer_period_ns(self, period_ns: int) -> None:
        self._check()
        if period_ns < 0:
            raise RuntimeError("failed to exchange timer period: timer period must be non-negative")
        self._period = int(period_ns)

    def _check(self) -> None:
        if self._destroyed:
            raise InvalidHandle("Cannot use Destroyable because destruction was requested")

    def is_ready(self) -> bool:
        """Whether the callback is due."""
        self._check()
        return not self._cancelled and time.monotonic_ns() >= self._next

    def cancel(self) -> None:
        """Call no more, until reset."""
        self._check()
        self._cancelled = True

    def reset(self) -> None:
        """Start anew, from now."""
        self._check()
        self._cancelled = False
        self._next = time.monotonic_ns() + self._period

    def time_until_next_call(self) -> int | None:
        """Nanoseconds to the next call, negative where it is late; None where cancelled."""
        self._check()
        return None if self._cancelled else self._next - time.monotonic_ns()

    def destroy(self) -> None:
        """End it for good."""
        self._cancelled = self._destroyed = True

    def call(self) -> None:
        """Run the callback and set the next time, a whole number of periods after the last one."""
        self._check()
        if self._cancelled:
            raise RuntimeError("failed to call timer: timer is canceled")
        missed = max(time.monotonic_ns() - self._next, 0) // self._period if self._period else 0
        self._next += (missed + 1) * self._period
        self.callback()
