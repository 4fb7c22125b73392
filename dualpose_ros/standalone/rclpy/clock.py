"""rclpy.clock: the system's clock (simulated time needs ROS 2)."""

import time
from enum import IntEnum

from dualpose_ros.standalone.rclpy.time import Time


class ClockType(IntEnum):
    """Whose time a clock has."""

    ROS_TIME = 1
    SYSTEM_TIME = 2
    STEADY_TIME = 3


class Clock:
    """A clock; ROS time is system time here."""

    def __init__(self, *, clock_type: ClockType = ClockType.SYSTEM_TIME) -> None:
        self.clock_type = clock_type

    def now(self) -> Time:
        """The time now."""
        is_steady = self.clock_type == ClockType.STEADY_TIME
        return Time(nanoseconds=time.monotonic_ns() if is_steady else time.time_ns())


class ROSClock(Clock):
    """The clock of nodes."""

    def __init__(self) -> None:
        super().__init__(clock_type=ClockType.ROS_TIME)
