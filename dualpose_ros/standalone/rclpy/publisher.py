"""rclpy.publisher: one topic to send on."""

import contextlib
from typing import Any

from dualpose_ros.standalone import dds
from dualpose_ros.standalone.messages import Message
from dualpose_ros.standalone.rclpy.exceptions import InvalidHandle
from dualpose_ros.standalone.rclpy.qos import QoSProfile


class Publisher:
    """Sends messages of one type on one topic."""

    def __init__(self, writer: Any, msg_type: type[Message], topic: str, qos_profile: QoSProfile) -> None:
        self.writer = writer
        self.msg_type = msg_type
        self.topic = topic
        self.qos_profile = qos_profile
        self.dropped = 0

    @property
    def topic_name(self) -> str:
        """The topic's absolute name."""
        return self.topic

    def publish(self, msg: Any) -> None:
        """Send a message, or the CDR bytes of one as they are.

        TypeError where it is of another type; InvalidHandle after the publisher was destroyed.

        A message that a slow reliable reader holds up for too long is dropped and counted in `dropped`.
        """
        if not isinstance(msg, (self.msg_type, bytes)):
            raise TypeError(f"Expected {self.msg_type.TYPE}, got {type(msg).__name__}")
        if self.writer is None:
            raise InvalidHandle(f"publisher of {self.topic} was destroyed")
        if not dds.write(self.writer, msg):
            self.dropped += 1

    def get_subscription_count(self) -> int:
        """How many subscriptions it is matched with. InvalidHandle after it was destroyed."""
        while (writer := self.writer) is not None:
            # Cyclone asks for their number first, then for so many: a reader may come between.
            with contextlib.suppress(IndexError):
                return len(writer.get_matched_subscriptions())
        raise InvalidHandle(f"publisher of {self.topic} was destroyed")

    def destroy(self) -> None:
        """Stop sending."""
        self.writer = None
