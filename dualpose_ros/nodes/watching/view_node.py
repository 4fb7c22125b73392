"""A live view in a browser, and a recording of it: humans/poses3d, image, camera_info, TF, diagnostics -> view.rrd."""

import os
import webbrowser
from dataclasses import dataclass
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import ReliabilityPolicy

from dualpose_ros.camera import Camera, GroundConfig
from dualpose_ros.nodes.base import (
    SENSOR_DATA,
    ImageNodeConfig,
    PipelineNode,
    ground_frame,
    image_transport,
    rectified,
    run_node,
    sync_queue_size,
)
from dualpose_ros.nodes.convert import camera_from_info, stamp_to_ns
from dualpose_ros.nodes.image_codec import decode_image
from dualpose_ros.nodes.joining.join import StampJoin
from dualpose_ros.nodes.joining.stamps import UNSET_NS
from dualpose_ros.nodes.wire import header_of, poses_from_bytes
from dualpose_ros.paths import user_path
from dualpose_ros.people import SEEN
from dualpose_ros.settings import setting, share
from dualpose_ros.sources.pictures import IntensityRange
from dualpose_ros.view.page import check_rerun

NICENESS = 5
"""Who watches must not slow down what is watched."""


@dataclass(frozen=True)
class ViewNodeConfig(ImageNodeConfig):
    """Parameters of the view node."""

    web_port: int = setting(9090, "port of the page, on loopback; its data has the next one", least=1, most=65534)
    open_browser: bool = setting(True, "open the page in the browser")
    save_to: str = setting("", "file to keep what was seen in (view.rrd); empty: none")
    save_limit_mb: float = setting(
        2000.0, "size at which that file is finished, and nothing more kept", unit="MB", above=0, most=1e6
    )
    image_rate_hz: float = setting(10.0, "most images shown a second", unit="Hz", above=0, most=1000, live=True)
    jpeg_quality: int = setting(75, "quality of the images shown", least=1, most=100, live=True)
    min_joint_score: float = share(SEEN, "joints under this score, guesses, are not shown", live=True)
    image_transport: str = image_transport()
    rectified: bool = rectified()
    sync_queue_size: int = sync_queue_size("images kept until their poses arrive")
    ground: GroundConfig = setting(GroundConfig(), "where the ground's grid is, for a camera that does not tilt")
    ground_frame: str = ground_frame()


class ViewNode(PipelineNode):
    """MultiPersonPose3D, Image, CameraInfo and diagnostics in; a page on loopback and a file out."""

    def __init__(self) -> None:
        check_rerun()
        super().__init__("view_node", ViewNodeConfig)

    def configure(self) -> None:
        """Open the page and the file."""
        from dualpose_ros.view.live import LiveView

        c: ViewNodeConfig = self.config
        save_to = user_path(c.save_to) if c.save_to else None
        self._view: LiveView | None = LiveView(c.web_port, save_to, c.ground.ground(), c.save_limit_mb)
        self.get_logger().info(f"live view at {self._view.url}")
        if c.open_browser:
            webbrowser.open(self._view.url)

    def activate(self) -> None:
        """Take in what is shown; images as they can be had, so that nobody waits for this node."""
        self._join = StampJoin(("image", "poses"), self.config.sync_queue_size)
        self._stamp_ns = self._image_ns = 0
        self._camera: Camera | None = None
        self.take_poses("humans/poses3d", self._on_poses)
        self._intensities = IntensityRange()
        self.take_images(self._on_image, SENSOR_DATA)
        self.take_camera_info(self._on_info, ReliabilityPolicy.BEST_EFFORT)
        self._ground, self._told = list[float](), False
        if self.config.ground_frame:
            from dualpose_ros.nodes.inputs.transforms import Transforms

            self._transforms = Transforms()
            self._transforms.listen(self)
        topic = "/diagnostics"
        self.create_subscription(DiagnosticArray, topic, self.guarded(topic, self._on_diagnostics), 10)

    def release(self) -> None:
        """Finish the file and close the page."""
        view, self._view = getattr(self, "_view", None), None
        if view is not None:
            view.close()

    def destroy_node(self) -> None:
        """As rclpy's; the file is finished first."""
        self.release()
        super().destroy_node()

    def _on_poses(self, cdr: bytes) -> None:
        header, poses = header_of(cdr), poses_from_bytes(cdr)
        self._stamp_ns = self.time_of(header)
        if self._view is not None:
            self._show_ground(self._view, header)
            if self._camera is not None:
                self._view.add_camera(self._stamp_ns, self._camera)
            self._view.add_people(self._stamp_ns, poses, self.config.min_joint_score)
        self.diagnostics.frame(self._stamp_ns)
        self._show(self._join.add("poses", stamp_to_ns(header.stamp), self._stamp_ns))

    def _show_ground(self, view: Any, header: Any) -> None:
        """The ground by TF, where it is asked for and has moved; where it is not known it stays as it was."""
        c: ViewNodeConfig = self.config
        if not c.ground_frame:
            return
        try:
            ground = self._transforms.ground(c.ground_frame, header, c.ground.accuracy)
        except ValueError as error:
            self.get_logger().warning(f"no ground: {error}", throttle_duration_sec=5.0)
            return
        place = [*np.round(ground.down, 3).tolist(), round(ground.height_m, 3)]
        if place != self._ground:
            self._ground = place
            view.add_ground(self._stamp_ns, ground)

    def _on_image(self, message: Any) -> None:
        self._show(self._join.add("image", stamp_to_ns(message.header.stamp), message))

    def _show(self, joined: dict[str, Any] | None) -> None:
        """An image whose poses are there too, unless one was shown just before; a time set back starts anew."""
        if joined is None or self._view is None:
            return
        since_ns = joined["poses"] - self._image_ns
        if 0 <= since_ns < 0.99e9 / self.config.image_rate_hz:
            return
        self._image_ns = joined["poses"]
        self._view.add_image(self._image_ns, decode_image(joined["image"], self._intensities), self.config.jpeg_quality)
        if self._view.full and not self._told:
            self._told = True
            c: ViewNodeConfig = self.config
            self.get_logger().warning(f"{c.save_to} has reached save_limit_mb, {c.save_limit_mb:g} MB, and is finished")

    def _on_info(self, stamp_ns: int, info: Any) -> None:
        if self._view is not None:
            camera = camera_from_info(info, self.config.rectified)
            # Said without a time it holds from the next frame on; the clock's may be far from a recording's.
            self._camera = camera if stamp_ns == UNSET_NS else None
            if stamp_ns != UNSET_NS:
                self._view.add_camera(stamp_ns, camera)

    def _on_diagnostics(self, message: Any) -> None:
        # By the images' time: diagnostics have that of the clock, which in a recording is another.
        if self._view is None or not self._stamp_ns:
            return
        for status in message.status:
            node = status.name.partition(":")[0]
            self._view.add_latencies(self._stamp_ns, node, {entry.key: entry.value for entry in status.values})


def main() -> int:
    """Run the node, after all others where processors are short; the exit code of its process."""
    os.nice(NICENESS)
    return run_node(ViewNode)
