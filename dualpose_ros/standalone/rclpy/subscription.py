"""rclpy.subscription: one topic to listen to."""

from collections.abc import Callable
from typing import Any

from dualpose_ros.standalone import dds
from dualpose_ros.standalone.messages import Message
from dualpose_ros.standalone.rclpy.logging import RcutilsLogger
from dualpose_ros.standalone.rclpy.qos import QoSProfile


class Subscription:
    """Calls a function with each message of one topic, or with its CDR bytes where it is raw."""

    def __init__(
        self,
        reader: Any,
        msg_type: type[Message],
        topic: str,
        callback: Callable[[Any], None],
        qos_profile: QoSProfile,
        logger: RcutilsLogger,
        raw: bool = False,
    ) -> None:
        self.reader = reader
        self.msg_type = msg_type
        self.topic = topic
        self.callback = callback
        self.qos_profile = qos_profile
        self.raw = raw
        self._logger = logger

    @property
    def topic_name(self) -> str:
        """The topic's absolute name."""
        return self.topic

    def take(self) -> Message | bytes | None:
        """The oldest unread message, or None; bytes that are not a message are reported and dropped, unless raw."""
        while self.reader is not None:
            sample = dds.take(self.reader)
            if sample is None:
                return None
            if self.raw:
                return sample.data
            try:
                return sample.message
            except Exception as error:
                text = f"dropped a malformed message on {self.topic}: {error}"
                self._logger.error(text, throttle_duration_sec=5.0)
        return None

    def destroy(self) -> None:
        """Stop listening."""
        self.reader = None
