"""rclpy.serialization: messages to and from CDR bytes."""

from __future__ import annotations

from typing import Any

from dualpose_ros.standalone import messages
from dualpose_ros.standalone.messages import Message


def serialize_message(message: Message) -> bytes:
    """The message's CDR bytes."""
    return messages.serialize(message)


def deserialize_message(serialized_message: bytes, message_type: type[Message]) -> Any:
    """The message in CDR bytes. rosbags' SerdeError where they are not one of that type."""
    return messages.deserialize(serialized_message, message_type.TYPE)
