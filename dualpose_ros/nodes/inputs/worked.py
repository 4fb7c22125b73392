"""The images that the graph works on, for nodes behind the detection node: those that it passes on.

A camera sends more images than are worked on, and a message of an image costs whoever takes it a millisecond.
"""

import time
from collections.abc import Callable
from typing import Any

from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from dualpose_ros.nodes.base import RELIABLE, PipelineNode
from dualpose_ros.nodes.wire import ImageBytes

TOPIC = "dualpose/image"

_TICK_S = 0.1
_QUIET_S, _LONGEST_QUIET_S, _PERIODS = 0.7, 5.0, 3
"""How long none is passed on until the camera's own are taken: a detection node that is dead, or another that passes on
none. Longer where they come seldom."""


def are_passed_on(node: PipelineNode) -> bool:
    """Whether it is worth it: not where every image is worked on, images are small, or are handed over as they are."""
    config = node.config
    return bool(node.bus is None and config.image_transport == "raw" and not config.every_frame)


class PassedOn:
    """What the detection node passes images on with."""

    def __init__(self, node: PipelineNode) -> None:
        self._publisher = node.create_publisher(Image, TOPIC, RELIABLE) if are_passed_on(node) else None

    def send(self, image: ImageBytes) -> None:
        """To whoever takes them: the bytes as they came."""
        if self._publisher is not None and self._publisher.get_subscription_count():
            self._publisher.publish(image.data.obj)


class WorkedImages:
    """A subscription of images: those that are passed on, and while there are none, the camera's own."""

    def __init__(self, node: PipelineNode, callback: Callable[[Any], None], qos: QoSProfile) -> None:
        self._node, self._callback, self._qos = node, callback, qos
        self._own: Any = node.take_images(callback, qos)
        self._last_s, self._period_s = float("-inf"), 0.0
        if are_passed_on(node):
            node.create_subscription(Image, TOPIC, node.guarded(TOPIC, self._receive), RELIABLE, raw=True)
            node.create_timer(_TICK_S, node.guarded(TOPIC, self._look))

    def _receive(self, cdr: bytes) -> None:
        now = time.monotonic()
        period_s, self._last_s = now - self._last_s, now
        # After a pause it says nothing of how often they come.
        self._period_s = period_s if period_s < _LONGEST_QUIET_S else 0.0
        if self._own is not None:
            self._node.leave_out_images(self._own)
            self._own = None
        self._callback(ImageBytes.of(cdr))

    def _look(self) -> None:
        quiet_s = max(_QUIET_S, min(_PERIODS * self._period_s, _LONGEST_QUIET_S))
        if self._own is None and time.monotonic() - self._last_s >= quiet_s:
            self._own = self._node.take_images(self._callback, self._qos)
