"""rclpy.clock: the system's clocks (simulated time needs ROS 2)."""

from __future__ import annotations

import time

from dualpose_ros.standalone.rclpy.clock_type import ClockType
from dualpose_ros.standalone.rclpy.time import Time

__all__ = ["Clock", "ClockType", "ROSClock"]


class Clock:
    """A clock of one kind; ROS time is system time here."""

    def __init__(self, *, clock_type: ClockType = ClockType.SYSTEM_TIME) -> None:
        self._clock_type = clock_type

    @property
    def clock_type(self) -> ClockType:
        """The kind of clock."""
        return self._clock_type

    def now(self) -> Time:
        """The time now."""
        steady = self._clock_type == ClockType.STEADY_TIME
        return Time(nanoseconds=time.monotonic_ns() if steady else time.time_ns(), clock_type=self._clock_type)


class ROSClock(Clock):
    """The clock of nodes."""

    def __init__(self) -> None:
        super().__init__(clock_type=ClockType.ROS_TIME)
