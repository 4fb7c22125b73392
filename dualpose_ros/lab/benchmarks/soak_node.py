"""The camera and the listener of a soak, as one node in the process that measures."""

import time
from typing import Any

import numpy as np

from dualpose_ros.arrays import Floats, RgbImage
from dualpose_ros.camera import Camera
from dualpose_ros.nodes.base import RELIABLE
from dualpose_ros.nodes.convert import camera_to_info, ns_to_stamp, poses_from_message, stamp_to_ns
from dualpose_ros.nodes.image_codec import encode_image
from dualpose_ros.skeleton import H36M17

from rclpy.node import Node  # isort: skip
from sensor_msgs.msg import CameraInfo, Image  # isort: skip
from std_msgs.msg import Header  # isort: skip

from dualpose_ros.msg import MultiPersonPose3D  # isort: skip

_IMAGE_SUBSCRIBERS = 3


class SoakNode(Node):  # type: ignore[misc, unused-ignore]
    """Sends images with their CameraInfo, and takes down when which people came."""

    def __init__(self, outputs: list[tuple[float, int, list[int], Floats]]) -> None:
        super().__init__("soak")
        self._outputs = outputs
        self.started = time.monotonic()
        self._images = self.create_publisher(Image, "image_raw", RELIABLE)
        self._infos = self.create_publisher(CameraInfo, "camera_info", RELIABLE)
        self.create_subscription(MultiPersonPose3D, "humans/poses3d", self._on_poses, RELIABLE)

    def is_ready(self) -> bool:
        """Whether the graph takes images and has an end."""
        takers = self._images.get_subscription_count()
        return takers >= _IMAGE_SUBSCRIBERS and self.count_publishers("humans/poses3d") > 0

    def send(self, image: RgbImage, camera: Camera, stamp_ns: int) -> None:
        """Publish an image and its camera."""
        header = Header(stamp=ns_to_stamp(stamp_ns), frame_id="camera_optical_frame")
        self._infos.publish(camera_to_info(camera, header))
        self._images.publish(encode_image(np.ascontiguousarray(image), header))

    def _on_poses(self, message: Any) -> None:
        people = poses_from_message(message)
        roots = np.array([person.joints_cam[H36M17.root] for person in people]).reshape(-1, 3)
        at_s = time.monotonic() - self.started
        self._outputs.append((at_s, stamp_to_ns(message.header.stamp), [p.track_id for p in people], roots))
