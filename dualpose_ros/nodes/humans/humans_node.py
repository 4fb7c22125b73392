"""People in the robot's frames: humans/poses3d and TF -> humans/poses3d_in_frame, frames body_p<id>, REP-155's topics.

Poses wait for the transform at their image's stamp, in order and not for ever; none is taken from another time.
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import TransformStamped
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from dualpose_ros.msg import MultiPersonPose3D
from dualpose_ros.nodes.base import RELIABLE, SENSOR_DATA, NodeConfig, PipelineNode, StartupError, run_node
from dualpose_ros.nodes.convert import image_size_of, stamp_to_ns
from dualpose_ros.nodes.humans.bodies import body_id, body_pose, in_frame
from dualpose_ros.nodes.humans.rep155 import Rep155Bodies, hri_msgs
from dualpose_ros.nodes.inputs.transforms import TF, Pose, TransformError, Transforms
from dualpose_ros.nodes.wire import header_of, poses_from_bytes, poses_to_bytes
from dualpose_ros.people import Pose3D, TrackingState
from dualpose_ros.settings import setting

_TICK_S = 0.02


@dataclass(frozen=True)
class HumansNodeConfig(NodeConfig):
    """Parameters of the humans node."""

    target_frame: str = setting(
        "", "frame of humans/poses3d_in_frame (base_link, map, ...), by TF at each image's stamp; empty: not published"
    )
    transform_timeout_s: float = setting(
        0.2, "how long poses wait for the transform at their stamp", unit="s", above=0, most=10, live=True
    )
    body_frames: bool = setting(
        True, "broadcast a frame body_p<id> of everybody who is not tentative on /tf", live=True
    )
    rep155: str = setting(
        "auto", "topics below humans/bodies; auto: where hri_msgs is installed", choices=("auto", "always", "never")
    )


class HumansNode(PipelineNode):
    """MultiPersonPose3D, CameraInfo and TF in; MultiPersonPose3D in another frame, TF and REP-155's topics out."""

    def __init__(self) -> None:
        super().__init__("humans_node", HumansNodeConfig)

    def configure(self) -> None:
        """Make what it publishes with."""
        c: HumansNodeConfig = self.config
        self._framed = self.create_publisher(MultiPersonPose3D, "humans/poses3d_in_frame", RELIABLE)
        self._tf = self.create_publisher(TFMessage, "/tf", TF)
        messages = None if c.rep155 == "never" else hri_msgs()
        if c.rep155 == "always" and messages is None:
            raise StartupError("rep155: always needs the package hri_msgs, which is not installed")
        self._bodies = None if messages is None else Rep155Bodies(self, messages)

    def activate(self) -> None:
        """Take in people and transforms."""
        self._transforms = Transforms()
        self._waiting: deque[tuple[float, Any, list[Pose3D]]] = deque()
        self._image_size: tuple[int, int] | None = None
        self._counts = {"in_frame": 0, "without_transform": 0}
        self.take_poses("humans/poses3d", self._on_poses)
        self.create_subscription(CameraInfo, "camera_info", self.guarded("camera_info", self._on_info), SENSOR_DATA)
        if self.config.target_frame:
            self._transforms.listen(self)
            self.create_timer(_TICK_S, self.guarded("waiting poses", self._work))

    def _on_info(self, message: Any) -> None:
        self._image_size = image_size_of(message)

    def _on_poses(self, poses: bytes) -> None:
        header, persons = header_of(poses), poses_from_bytes(poses, finite=True)
        known = [person for person in persons if person.state is not TrackingState.TENTATIVE]
        if self.config.body_frames:
            self._broadcast(known, header)
        if self._bodies is not None:
            self._bodies.publish(known, header, self._image_size)
        if self.config.target_frame:
            self._waiting.append((time.monotonic(), header, persons))
            self._work()
        else:
            self.diagnostics.frame(self.time_of(header))
        self.diagnostics.extra = {name: str(count) for name, count in self._counts.items()}

    def _work(self) -> None:
        """Publish what has its transform, oldest first; give up what has waited too long."""
        while self._waiting:
            since, header, persons = self._waiting[0]
            try:
                frame = self._transforms.look_up(self.config.target_frame, header.frame_id, stamp_to_ns(header.stamp))
            except TransformError as error:
                if time.monotonic() - since < self.config.transform_timeout_s:
                    return
                self._counts["without_transform"] += 1
                self.report(f"{error}: poses are left out after {self.config.transform_timeout_s:g} s")
                self._waiting.popleft()
                continue
            self._waiting.popleft()
            self._publish(header, persons, frame)

    def _publish(self, header: Any, persons: Sequence[Pose3D], frame: Pose) -> None:
        framed = Header(stamp=header.stamp, frame_id=self.config.target_frame)
        self._framed.publish(poses_to_bytes([in_frame(person, frame) for person in persons], framed))
        self._counts["in_frame"] += 1
        self.diagnostics.frame(self.time_of(header))

    def _broadcast(self, persons: Sequence[Pose3D], header: Any) -> None:
        transforms = []
        for person in persons:
            pose = body_pose(person.joints_cam)
            if pose is not None:
                transforms.append(_stamped(pose, header, f"body_{body_id(person.track_id)}"))
        if transforms:
            self._tf.publish(TFMessage(transforms=transforms))


def _stamped(pose: Pose, header: Any, child: str) -> Any:
    """geometry_msgs/TransformStamped of a frame in that of a header."""
    message = TransformStamped(header=header, child_frame_id=child)
    move, turn = message.transform.translation, message.transform.rotation
    move.x, move.y, move.z = pose.translation.tolist()
    turn.x, turn.y, turn.z, turn.w = pose.rotation.as_quat().tolist()
    return message


def main() -> int:
    """Run the node; the exit code of its process."""
    return run_node(HumansNode)
