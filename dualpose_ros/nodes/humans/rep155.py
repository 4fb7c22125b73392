"""Bodies as REP-155 has them: humans/bodies/tracked, and of each body roi, skeleton2d, position and velocity.

Positions and velocities are in the frame of the poses. Joints that OpenPose's skeleton has and ours lacks (the face)
have a confidence of 0.
"""

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped, TwistStamped

from dualpose_ros.nodes.humans.bodies import body_id
from dualpose_ros.people import Pose3D
from dualpose_ros.skeleton import H36M17

_OPENPOSE = (
    "", "thorax", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "", "", "", "",
)  # fmt: skip
"""Our joint for each of hri_msgs/Skeleton2D, in its order."""


def hri_msgs() -> ModuleType | None:
    """The message package, or None where it is not installed."""
    try:
        return importlib.import_module("hri_msgs.msg")
    except ImportError:
        return None


class Rep155Bodies:
    """Publishes the bodies of each frame through a node; a body's topics are there while it is tracked."""

    def __init__(self, node: Any, messages: ModuleType) -> None:
        self._node, self._messages = node, messages
        self._kinds = {
            "roi": messages.NormalizedRegionOfInterest2D,
            "skeleton2d": messages.Skeleton2D,
            "position": PointStamped,
            "velocity": TwistStamped,
        }
        self._tracked = node.create_publisher(messages.IdsList, "humans/bodies/tracked", 1)
        self._bodies: dict[str, dict[str, Any]] = {}

    def publish(self, persons: Sequence[Pose3D], header: Any, image_size: tuple[int, int] | None) -> None:
        """Publish everybody; `image_size` (width, height), where known, gives what is on the image."""
        ids = {body_id(person.track_id): person for person in persons}
        for gone in self._bodies.keys() - ids.keys():
            for publisher in self._bodies.pop(gone).values():
                self._node.destroy_publisher(publisher)
        for name, person in ids.items():
            if name not in self._bodies:
                self._bodies[name] = {
                    topic: self._node.create_publisher(kind, f"humans/bodies/{name}/{topic}", 1)
                    for topic, kind in self._kinds.items()
                }
            self._publish_one(self._bodies[name], person, header, image_size)
        self._tracked.publish(self._messages.IdsList(header=header, ids=sorted(ids)))

    def _publish_one(
        self, topics: dict[str, Any], person: Pose3D, header: Any, image_size: tuple[int, int] | None
    ) -> None:
        position, velocity = PointStamped(header=header), TwistStamped(header=header)
        for field, at, speed in zip("xyz", person.joints_cam[H36M17.root], person.root_velocity, strict=True):
            setattr(position.point, field, float(at))
            setattr(velocity.twist.linear, field, float(speed))
        topics["position"].publish(position)
        topics["velocity"].publish(velocity)
        if image_size is not None:
            topics["roi"].publish(self._roi(person, header, image_size))
            topics["skeleton2d"].publish(self._skeleton(person, header, image_size))

    def _roi(self, person: Pose3D, header: Any, image_size: tuple[int, int]) -> Any:
        corners = np.clip(np.asarray(person.box_px, dtype=np.float64) / (*image_size, *image_size), 0, 1).tolist()
        values = dict(zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True))
        return self._messages.NormalizedRegionOfInterest2D(
            header=header, c=float(np.clip(person.score, 0, 1)), **values
        )

    def _skeleton(self, person: Pose3D, header: Any, image_size: tuple[int, int]) -> Any:
        point = self._messages.NormalizedPointOfInterest2D
        places = np.asarray(person.keypoints_px, dtype=np.float64) / image_size
        points = []
        for name in _OPENPOSE:
            joint = H36M17.index(name) if name else -1
            inside = joint >= 0 and bool(np.all((places[joint] >= 0) & (places[joint] <= 1)))
            x, y = places[joint].tolist() if inside else (0.0, 0.0)
            score = float(np.clip(person.joint_scores[joint], 0, 1)) if inside else 0.0
            points.append(point(x=x, y=y, c=score))
        return self._messages.Skeleton2D(header=header, skeleton=points)
