"""rclpy.time: points in time."""

from __future__ import annotations

from typing import Any

from dualpose_ros.standalone.messages import Message, message_class

_SECOND = 1_000_000_000


class Time:
    """A point in time in whole nanoseconds."""

    def __init__(self, *, seconds: float = 0, nanoseconds: int = 0) -> None:
        if seconds < 0:
            raise ValueError("Seconds value must not be negative")
        if nanoseconds < 0:
            raise ValueError("Nanoseconds value must not be negative")
        self._nanoseconds = int(seconds * _SECOND) + int(nanoseconds)

    @property
    def nanoseconds(self) -> int:
        """Nanoseconds since the clock's start."""
        return self._nanoseconds

    def to_msg(self) -> Message:
        """The time as builtin_interfaces/Time."""
        seconds, nanoseconds = divmod(self._nanoseconds, _SECOND)
        return message_class("builtin_interfaces/msg/Time")(sec=seconds, nanosec=nanoseconds)

    @classmethod
    def from_msg(cls, msg: Any) -> Time:
        """The time in a builtin_interfaces/Time."""
        return cls(seconds=msg.sec, nanoseconds=msg.nanosec)

    def __repr__(self) -> str:
        return f"Time(nanoseconds={self._nanoseconds})"
