"""Poses from patches around tracked people: image, camera_info and detections -> poses3d, heatmaps.

The three inputs are joined by exact stamp. Only the newest detections are waited for, so a
node that falls behind skips frames instead of lagging.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import Detection2DArray

from dualpose_ros.msg import Heatmaps, MultiPersonPose3D
from dualpose_ros.nodes.base import (
    RELIABLE,
    ImageNodeConfig,
    PipelineNode,
    image_qos,
    rectified,
    run_node,
    sync_queue_size,
)
from dualpose_ros.nodes.convert import (
    PERSON_CLASS,
    camera_for_image,
    heatmaps_to_message,
    poses_to_message,
    stamp_to_ns,
    tracks_from_message,
)
from dualpose_ros.nodes.image_codec import decode_image
from dualpose_ros.nodes.joining.join import StampJoin
from dualpose_ros.settings import setting
from dualpose_ros.top_down.stage import TopDownConfig, TopDownStage


@dataclass(frozen=True)
class TopDownNodeConfig(ImageNodeConfig):
    """Parameters of the node itself; those of the stage are the fields of TopDownConfig."""

    sync_queue_size: int = sync_queue_size("images kept until their detections arrive")
    rectified: bool = rectified()
    person_classes: tuple[str, ...] = setting((PERSON_CLASS,), "class ids of detections that are people")


class TopDownNode(PipelineNode):
    """Image, CameraInfo and Detection2DArray in; MultiPersonPose3D and Heatmaps out."""

    def __init__(self) -> None:
        super().__init__("top_down_node", TopDownNodeConfig, TopDownConfig)
        self._stage = TopDownStage(self.stage_configs[0])
        self._join = StampJoin(("image", "camera_info", "detections"), self.config.sync_queue_size)
        self._poses = self.create_publisher(MultiPersonPose3D, "dualpose/top_down/poses3d", RELIABLE)
        self._heatmaps = self.create_publisher(Heatmaps, "dualpose/top_down/heatmaps", RELIABLE)
        images = image_qos(self.config, depth=min(self.config.sync_queue_size, 10))
        newest = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE)
        self._subscribe(Image, "image_raw", "image", images)
        self._subscribe(CameraInfo, "camera_info", "camera_info", images)
        self._subscribe(Detection2DArray, "dualpose/detections", "detections", newest)
        self.get_logger().info("ready")

    def _subscribe(self, message_type: type[Any], topic: str, name: str, qos: QoSProfile) -> None:
        def receive(message: Any) -> None:
            joined = self._join.add(name, stamp_to_ns(message.header.stamp), message)
            if joined is not None:
                self._on_frame(joined["image"], joined["camera_info"], joined["detections"])

        self.create_subscription(message_type, topic, self.guarded(topic, receive), qos)

    def _on_frame(self, image_message: Any, info: Any, detections: Any) -> None:
        stamp_ns = stamp_to_ns(image_message.header.stamp)
        image = decode_image(image_message)
        camera = camera_for_image(info, image, self.config.rectified)
        tracks = tracks_from_message(detections, self.config.person_classes)
        result = self._stage.process(image, stamp_ns, camera, tracks)
        header = image_message.header
        self._poses.publish(poses_to_message(result.persons, header, (camera.width, camera.height)))
        if self._heatmaps.get_subscription_count():
            self._heatmaps.publish(heatmaps_to_message(result.heatmaps, header))
        self.diagnostics.frame(stamp_ns)
        self.diagnostics.extra = {"late_inputs": str(self._join.late), "persons": str(len(result.persons))}


def main(args: Sequence[str] | None = None) -> int:
    """Run the node; the exit code of its process."""
    return run_node(TopDownNode, args)


if __name__ == "__main__":
    sys.exit(main())
