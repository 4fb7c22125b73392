"""Poses to look at: humans/poses3d -> humans/markers, and with the image humans/overlay."""

from dataclasses import dataclass
from typing import Any

from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from dualpose_ros.drawing import draw_skeletons
from dualpose_ros.nodes.base import (
    RELIABLE,
    SENSOR_DATA,
    ImageNodeConfig,
    PipelineNode,
    image_qos,
    image_transport,
    run_node,
    sync_queue_size,
)
from dualpose_ros.nodes.convert import stamp_to_ns
from dualpose_ros.nodes.image_codec import decode_image
from dualpose_ros.nodes.joining.join import StampJoin
from dualpose_ros.nodes.markers import MarkerStyle, SkeletonMarkers
from dualpose_ros.nodes.wire import header_of, image_to_bytes, poses_from_bytes
from dualpose_ros.people import SEEN, TrackingState
from dualpose_ros.settings import setting, share
from dualpose_ros.sources.pictures import IntensityRange


@dataclass(frozen=True)
class VisualizationNodeConfig(ImageNodeConfig):
    """Parameters of the visualization node."""

    image_transport: str = image_transport()
    overlay: str = setting(
        "auto", "overlay image: auto draws it while somebody subscribes", choices=("auto", "always", "never")
    )
    sync_queue_size: int = sync_queue_size("images kept until their poses arrive")
    min_joint_score: float = share(
        SEEN, "joints under this score, guesses, are neither in the overlay nor among the markers", live=True
    )
    show_tentative: bool = setting(True, "show people who are not confirmed yet, faintly", live=True)
    markers: MarkerStyle = setting(MarkerStyle(), "what markers look like", live=True)


class VisualizationNode(PipelineNode):
    """MultiPersonPose3D in; MarkerArray and, joined with its image by stamp, an overlay out."""

    def __init__(self) -> None:
        super().__init__("visualization_node", VisualizationNodeConfig)

    def configure(self) -> None:
        """Make what it publishes with."""
        self._skeletons = SkeletonMarkers(self.config.markers, self.get_namespace(), self.config.min_joint_score)
        self._markers = self.create_publisher(MarkerArray, "humans/markers", RELIABLE)
        self._overlay = self.create_publisher(Image, "humans/overlay", SENSOR_DATA)

    def activate(self) -> None:
        """Take in what it works on."""
        self._join = StampJoin(("image", "poses"), self.config.sync_queue_size)
        self.take_poses("humans/poses3d", self._on_poses)
        self._intensities = IntensityRange()
        self._images: Any = None
        if self.config.overlay == "always":
            self._subscribe_to_images()
        elif self.config.overlay == "auto":
            self.create_timer(0.5, self.guarded("humans/overlay", self._follow_demand))

    def reconfigured(self) -> None:
        """A new style holds from the next frame on."""
        if self.state != "unconfigured":
            self._skeletons.style, self._skeletons.min_score = self.config.markers, self.config.min_joint_score

    def _follow_demand(self) -> None:
        """Take images only while somebody wants the overlay: they are by far the largest messages."""
        wanted = self._overlay.get_subscription_count() > 0
        if wanted and self._images is None:
            self._subscribe_to_images()
        elif not wanted and self._images is not None:
            self.leave_out_images(self._images)
            self._images = None
            self._join.clear()

    def _subscribe_to_images(self) -> None:
        qos = image_qos(self.config, depth=min(self.config.sync_queue_size, 10))
        self._images = self.take_images(self._on_image, qos)

    def _on_poses(self, cdr: bytes) -> None:
        header, poses = header_of(cdr), poses_from_bytes(cdr)
        if not self.config.show_tentative:
            poses = [pose for pose in poses if pose.state is not TrackingState.TENTATIVE]
        self._markers.publish(self._skeletons.update(poses, header))
        self.diagnostics.frame(self.time_of(header))
        if self._images is not None:
            self._draw(self._join.add("poses", stamp_to_ns(header.stamp), poses))

    def _on_image(self, message: Any) -> None:
        self._draw(self._join.add("image", stamp_to_ns(message.header.stamp), message))

    def _draw(self, joined: dict[str, Any] | None) -> None:
        if joined is None:
            return
        image = decode_image(joined["image"], self._intensities)
        overlay = draw_skeletons(image, joined["poses"], self.config.min_joint_score)
        self._overlay.publish(image_to_bytes(overlay, joined["image"].header))


def main() -> int:
    """Run the node; the exit code of its process."""
    return run_node(VisualizationNode)
