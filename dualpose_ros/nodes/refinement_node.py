"""Poses that hold together over time: dualpose/fused/poses3d and camera_info -> humans/poses3d, the end of the graph.

Whatever comes in goes out, once and in order, its header and its poses of the same frame: where a frame can't be
refined (no camera is known yet, an error), its poses pass through as they are. A frame never waits for its camera_info.
"""

import dataclasses
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.qos import ReliabilityPolicy
from std_msgs.msg import Header

from dualpose_ros.camera import Camera, Ground
from dualpose_ros.msg import MultiPersonPose3D
from dualpose_ros.nodes.base import (
    RELIABLE,
    NodeConfig,
    PipelineNode,
    ground_frame,
    rectified,
    run_node,
    sync_queue_size,
)
from dualpose_ros.nodes.convert import camera_from_info, stamp_to_ns
from dualpose_ros.nodes.inputs.alone import OnePublisher
from dualpose_ros.nodes.joining.cameras import RecentCameras
from dualpose_ros.nodes.joining.cuts import CUTS, CutTimes
from dualpose_ros.nodes.wire import header_of, poses_from_bytes, poses_to_bytes
from dualpose_ros.people import Pose3D
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.refinement.ground.words import ground_found_words, ground_warning
from dualpose_ros.refinement.stage import RefinedFrame, RefinementStage
from dualpose_ros.settings import setting

_GROUND_WARNING_S = 60.0
_REST_S = 0.5
"""Without a new frame for so long, those that wait for later ones (`lag_frames`) go out as they are by then."""


@dataclass(frozen=True)
class RefinementNodeConfig(NodeConfig):
    """Parameters of the node itself; those of the stage are the fields of RefinementConfig."""

    sync_queue_size: int = sync_queue_size("camera_info kept until their poses arrive", default=60)
    rectified: bool = rectified()
    track_id_offset: int = setting(
        0, "added to the ids that are published, so that several cameras' differ", least=0, most=2_000_000_000
    )
    ground_frame: str = ground_frame()


class RefinementNode(PipelineNode):
    """MultiPersonPose3D and CameraInfo in, MultiPersonPose3D out."""

    def __init__(self) -> None:
        super().__init__("refinement_node", RefinementNodeConfig, RefinementConfig)

    def configure(self) -> None:
        """Make the solver, and what it publishes with."""
        self._stage = RefinementStage(self._refinement)
        self._poses = self.create_publisher(MultiPersonPose3D, "humans/poses3d", RELIABLE)

    def activate(self) -> None:
        """Take in what it works on."""
        self._cameras = RecentCameras[Camera | None](self.config.sync_queue_size)
        self._known: tuple[Any, Camera | None] = None, None
        # What came in and is still to go out: headers, bytes and people, oldest first, as the stage holds them too.
        self._waiting: deque[tuple[Any, bytes, list[Pose3D]]] = deque()
        self._counts = {"refined": 0, "passed_through": 0}
        self._ground = ""
        self._coasting = 0
        self._cuts = CutTimes()
        self.take_stamps(Header, CUTS, self._cuts.add, RELIABLE)
        self.take_poses("dualpose/fused/poses3d", self._on_poses)
        self.take_camera_info(self._on_info, ReliabilityPolicy.BEST_EFFORT)
        OnePublisher(self, "humans/poses3d", "another graph runs here too; end it, or give each a namespace")
        if self.config.ground_frame:
            # Here, not at the top: a third of the time in which a node that died is back, and few ask for it.
            from dualpose_ros.nodes.inputs.transforms import Transforms

            self._transforms = Transforms()
            self._transforms.listen(self)
        if self._refinement.lag_frames:
            self._rest = self.create_timer(_REST_S, self.guarded("waiting frames", self._on_rest))

    @property
    def _refinement(self) -> RefinementConfig:
        config: RefinementConfig = self.stage_configs[0]
        return config

    def _on_info(self, stamp_ns: int, info: Any) -> None:
        if info is not self._known[0]:
            self._known = info, camera_from_info(info, self.config.rectified)
            if doubt := self._known[1].doubt or self._doubt_of_rectified(self._known[1]):
                self.report(f"camera_info: {doubt}")
        self._cameras.add(stamp_ns, info.header.frame_id, self._known[1])

    def _doubt_of_rectified(self, camera: Camera) -> str:
        """By the name that image_proc gives to what it rectifies; this node does not take images, but knows theirs."""
        images = self.resolve_topic_name("image_raw")
        if (
            self.config.rectified
            or not any(camera.distortion)
            or not images.rpartition("/")[2].startswith("image_rect")
        ):
            return ""
        return f"{images} seems rectified, and is undistorted once more by D: set rectified to true for every node"

    def _on_poses(self, poses: bytes) -> None:
        header = header_of(poses)
        if self.answers_again(header):
            return
        persons = poses_from_bytes(poses, finite=True)
        camera = self._camera_of(stamp_to_ns(header.stamp), header)
        time_ns = self._cuts.stage_ns(stamp_to_ns(header.stamp), self.time_of(header))
        self._waiting.append((header, poses, persons))
        if self._refinement.lag_frames:
            self._rest.reset()
        ground = self._ground_of(header)
        self._publish_due(lambda: self._stage.process(time_ns, camera, persons, ground))

    def _on_rest(self) -> None:
        """Nothing has come for a while: what waits for later frames goes out without them."""
        if self._waiting:
            self._publish_due(self._stage.flush)

    def _camera_of(self, stamp_ns: int, header: Any) -> Camera | None:
        if not self._refinement.enabled:
            return None
        camera = self._cameras.find(stamp_ns, header.frame_id)
        if camera is None:
            self._warn(f"no usable camera_info of frame '{header.frame_id}' yet: poses pass through unrefined")
        return camera

    def _ground_of(self, header: Any) -> Ground | None:
        """The ground by TF; None where none is asked for, or TF does not have it: then that of the settings holds."""
        if not self.config.ground_frame or not self._refinement.enabled:
            return None
        try:
            ground = self._transforms.ground(self.config.ground_frame, header, self._refinement.ground.accuracy)
        except ValueError as error:
            self._ground = str(error)
            self._warn(f"no ground: {error}")
            return None
        self._ground = f"camera {ground.height_m:.2f} m above {self.config.ground_frame}"
        return ground

    def _publish_due(self, work: Callable[[], Sequence[RefinedFrame]]) -> None:
        """Publish the frames that the stage gives; after an error, all that wait, as they came in."""
        try:
            for frame in self.diagnostics.timed(work):
                self._publish(frame)
        except Exception as error:
            # What the stage remembers may be half of a frame, or what it fell over.
            self._stage.reset()
            self.report(f"poses pass through unrefined: {type(error).__name__}: {error}")
            while self._waiting:
                self._publish(None)

    def _publish(self, frame: RefinedFrame | None) -> None:
        """Publish the oldest message that waits, with the people of its frame: as they came in for None."""
        header, poses, persons = self._waiting[0]
        refined = frame is not None and frame.camera is not None
        self._coasting = 0
        if frame is not None and frame.camera is not None:
            for person in frame.persons:
                if not (np.isfinite(person.joints_cam).all() and np.isfinite(person.joint_stddev).all()):
                    raise ValueError(f"person {person.track_id} came out with joints that are not finite")
            poses = poses_to_bytes(frame.persons, header, (frame.camera.width, frame.camera.height))
            self._coasting = len({person.track_id for person in frame.persons} - {p.track_id for p in persons})
        self._waiting.popleft()
        self.answer(header, (self._poses, _with_ids_from(self.config.track_id_offset, poses)))
        self.diagnostics.frame(self.time_of(header))
        self._counts["refined" if refined else "passed_through"] += 1
        self.diagnostics.extra = self._extra(len(persons))

    def _warn(self, message: str) -> None:
        self.get_logger().warning(message, throttle_duration_sec=5.0)
        self.diagnostics.error(message)

    def _extra(self, persons: int) -> dict[str, str]:
        """Named values of the diagnostics."""
        counts = {**self._counts, "borrowed_camera_info": self._cameras.borrowed}
        counts |= {"persons": persons, "coasting": self._coasting}
        values = {name: str(count) for name, count in counts.items()}
        if self._ground:
            values["ground"] = self._ground
        if found := self._stage.ground_found:
            values["ground_off"] = ground_found_words(found)
            if warning := ground_warning(found):
                self.get_logger().warning(warning, throttle_duration_sec=_GROUND_WARNING_S)
        return values


def _with_ids_from(offset: int, poses: bytes) -> bytes:
    """The message with an offset added to the ids of tracked people."""
    if not offset:
        return poses
    persons = poses_from_bytes(poses, finite=True)
    moved = [dataclasses.replace(p, track_id=p.track_id + offset * (p.track_id >= 0)) for p in persons]
    return poses_to_bytes(moved, header_of(poses))


def main() -> int:
    """Run the node; the exit code of its process."""
    return run_node(RefinementNode)
