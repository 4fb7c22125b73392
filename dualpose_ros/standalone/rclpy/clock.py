"""rclpy.clock: the system's clock (simulated time needs ROS 2)."""

import time

from dualpose_ros.standalone.rclpy.time import Time


class ROSClock:
    """The clock of nodes; ROS time is system time here."""

    def now(self) -> Time:
        """The time now."""
        return Time(nanoseconds=time.time_ns())
