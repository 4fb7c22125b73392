"""rclpy.time: points in time."""

from __future__ import annotations

from typing import Any

from dualpose_ros.standalone.messages import Message, message_class
from dualpose_ros.standalone.rclpy.clock_type import ClockType
from dualpose_ros.standalone.rclpy.duration import Duration

_SECOND = 1_000_000_000


class Time:
    """A point in time in whole nanoseconds, read from one kind of clock."""

    def __init__(
        self, *, seconds: float = 0, nanoseconds: int = 0, clock_type: ClockType = ClockType.SYSTEM_TIME
    ) -> None:
        if seconds < 0:
            raise ValueError("Seconds value must not be negative")
        if nanoseconds < 0:
            raise ValueError("Nanoseconds value must not be negative")
        self._nanoseconds = int(seconds * _SECOND) + int(nanoseconds)
        self._clock_type = clock_type

    @property
    def nanoseconds(self) -> int:
        """Nanoseconds since the clock's start."""
        return self._nanoseconds

    @property
    def clock_type(self) -> ClockType:
        """The kind of clock."""
        return self._clock_type

    def seconds_nanoseconds(self) -> tuple[int, int]:
        """Whole seconds, and the nanoseconds beyond them."""
        return divmod(self._nanoseconds, _SECOND)

    def to_msg(self) -> Message:
        """The time as builtin_interfaces/Time."""
        seconds, nanoseconds = self.seconds_nanoseconds()
        return message_class("builtin_interfaces/msg/Time")(sec=seconds, nanosec=nanoseconds)

    @classmethod
    def from_msg(cls, msg: Any, clock_type: ClockType = ClockType.ROS_TIME) -> Time:
        """The time in a builtin_interfaces/Time."""
        return cls(seconds=msg.sec, nanoseconds=msg.nanosec, clock_type=clock_type)

    def __repr__(self) -> str:
        return f"Time(nanoseconds={self._nanoseconds}, clock_type={self._clock_type.name})"

    def __add__(self, other: Duration) -> Time:
        if not isinstance(other, Duration):
            return NotImplemented
        return Time(nanoseconds=self._nanoseconds + other.nanoseconds, clock_type=self._clock_type)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, Time):
            return Duration(nanoseconds=self._nanoseconds - self._comparable(other))
        if isinstance(other, Duration):
            return Time(nanoseconds=self._nanoseconds - other.nanoseconds, clock_type=self._clock_type)
        return NotImplemented

    def _comparable(self, other: Time) -> int:
        if self._clock_type != other._clock_type:
            raise TypeError("Can't compare times with different clock types")
        return other._nanoseconds

    def __hash__(self) -> int:
        return hash((self._nanoseconds, self._clock_type))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Time) and self._nanoseconds == self._comparable(other)

    def __lt__(self, other: Time) -> bool:
        return self._nanoseconds < self._comparable(other)

    def __le__(self, other: Time) -> bool:
        return self._nanoseconds <= self._comparable(other)

    def __gt__(self, other: Time) -> bool:
        return self._nanoseconds > self._comparable(other)

    def __ge__(self, other: Time) -> bool:
        return self._nanoseconds >= self._comparable(other)
