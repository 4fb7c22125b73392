"""rclpy.serialization: messages as CDR bytes."""

from __future__ import annotations

from dualpose_ros.standalone import messages
from dualpose_ros.standalone.messages import Message


def serialize_message(message: Message) -> bytes:
    """The message's CDR bytes."""
    return messages.serialize(message)
