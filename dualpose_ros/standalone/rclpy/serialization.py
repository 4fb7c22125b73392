"""rclpy.serialization: messages as CDR bytes."""

from dualpose_ros.standalone import messages
from dualpose_ros.standalone.messages import Message


def serialize_message(message: Message) -> bytes:
    """The message's CDR bytes."""
    return messages.serialize(message)


def deserialize_message(serialized_message: bytes, message_type: type[Message]) -> Message:
    """The message in CDR bytes; what rosbags raises where they are none."""
    return messages.deserialize(serialized_message, message_type.TYPE)
