"""rclpy.duration: spans of time."""

from __future__ import annotations

from typing import Any

from dualpose_ros.standalone.messages import Message, message_class

_SECOND = 1_000_000_000


class Duration:
    """A span of time in whole nanoseconds, negative allowed."""

    def __init__(self, *, seconds: float = 0, nanoseconds: int = 0) -> None:
        total = int(seconds * _SECOND) + int(nanoseconds)
        if not -(2**63) <= total < 2**63:
            raise OverflowError("Total nanoseconds value is too large to store in C duration.")
        self._nanoseconds = total

    @property
    def nanoseconds(self) -> int:
        """The span in nanoseconds."""
        return self._nanoseconds

    def to_msg(self) -> Message:
        """The span as builtin_interfaces/Duration."""
        seconds, nanoseconds = divmod(self._nanoseconds, _SECOND)
        return message_class("builtin_interfaces/msg/Duration")(sec=seconds, nanosec=nanoseconds)

    @classmethod
    def from_msg(cls, msg: Any) -> Duration:
        """The span in a builtin_interfaces/Duration."""
        return cls(seconds=msg.sec, nanoseconds=msg.nanosec)

    def __repr__(self) -> str:
        return f"Duration(nanoseconds={self._nanoseconds})"

    def __hash__(self) -> int:
        return hash(self._nanoseconds)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and self._nanoseconds == other._nanoseconds

    def __lt__(self, other: Duration) -> bool:
        return self._nanoseconds < other._nanoseconds

    def __le__(self, other: Duration) -> bool:
        return self._nanoseconds <= other._nanoseconds

    def __gt__(self, other: Duration) -> bool:
        return self._nanoseconds > other._nanoseconds

    def __ge__(self, other: Duration) -> bool:
        return self._nanoseconds >= other._nanoseconds
