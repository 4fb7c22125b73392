"""Messages of which a node needs little: their stamp, or what has changed since the last one of their sender."""

from typing import Any

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo

from dualpose_ros.nodes.convert import stamp_to_ns
from dualpose_ros.nodes.wire import stamp_ns_of

_STAMP = slice(4, 12)
"""Where the bytes of a message that begins with a header have its stamp."""


def stamp_of(message: Any) -> int:
    """Nanoseconds of the stamp of a header or a message with one, or of its CDR bytes; MessageError for too few."""
    if isinstance(message, bytes):
        return stamp_ns_of(message)
    return stamp_to_ns(getattr(message, "header", message).stamp)


class LastInfo:
    """A camera's CameraInfo. Most cameras say the same with every image: what differs by its stamp alone is not decoded
    anew, and whoever made something of the message can tell by its being the same."""

    def __init__(self) -> None:
        self._said: tuple[bytes, bytes] | None = None
        self._info: Any = None

    def read(self, message: Any) -> Any:
        """The message, or that of CDR bytes, with the stamp of the first that said the same."""
        if not isinstance(message, bytes):
            return message
        said = (message[: _STAMP.start], message[_STAMP.stop :])
        if said != self._said:
            self._info, self._said = deserialize_message(message, CameraInfo), said
        return self._info
