"""Poses as visualization_msgs markers: bones, joints and a label for each person.

Marker ids are track ids, so a person's markers keep theirs while the person stays; each has
a lifetime, and those of people who are gone are deleted at once. In a node's namespace the
markers' namespaces lie in it too, so that one display can show those of several graphs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from dualpose_ros.drawing import label_of, seen_joints, track_colour
from dualpose_ros.people import SEEN, Pose3D, TrackingState
from dualpose_ros.settings import Settings, setting
from dualpose_ros.skeleton import H36M17

BONES, JOINTS, LABEL = "bones", "joints", "label"
_NAMESPACES = (BONES, JOINTS, LABEL)
_ALPHA = {TrackingState.TENTATIVE: 0.35, TrackingState.CONFIRMED: 1.0, TrackingState.COASTING: 0.5}


@dataclass(frozen=True)
class MarkerStyle(Settings):
    """What markers look like."""

    lifetime_s: float = setting(
        0.5, "time after which markers vanish if nothing new comes; 0: never", unit="s", least=0, most=60
    )
    bone_width_m: float = setting(0.03, "width of bones", unit="m", least=0, most=1)
    joint_diameter_m: float = setting(0.05, "diameter of joints", unit="m", least=0, most=1)
    text_height_m: float = setting(0.18, "height of the labels' letters", unit="m", least=0, most=1)


class SkeletonMarkers:
    """Makes the MarkerArray of each frame; remembers who was in the one before."""

    def __init__(self, style: MarkerStyle, namespace: str = "/", min_joint_score: float = SEEN) -> None:
        """Joints with a lower score than `min_joint_score`, and their bones, are not shown."""
        self.style, self.min_score = style, min_joint_score
        self._prefix = f"{namespace.strip('/')}/".lstrip("/")
        self._shown: set[int] = set()

    def update(self, poses: Sequence[Pose3D], header: Any) -> Any:
        """Markers of the people in this frame, and DELETE for those of the frame before who aren't."""
        message = MarkerArray()
        markers: list[Any] = []
        shown = set()
        for pose in poses:
            usable = seen_joints(pose, self.min_score)
            if usable.any():
                shown.add(int(pose.track_id))
                markers += self._person(pose, usable, header)
        markers += [_deleted(i, self._prefix + ns, header) for i in sorted(self._shown - shown) for ns in _NAMESPACES]
        self._shown = shown
        message.markers = markers
        return message

    def _person(self, pose: Pose3D, usable: Any, header: Any) -> list[Any]:
        joints = np.asarray(pose.joints_cam, dtype=np.float64)
        bones = self._marker(pose, BONES, Marker.LINE_LIST, header)
        bones.scale.x = self.style.bone_width_m
        pairs = [pair for pair in H36M17.bones if usable[pair[0]] and usable[pair[1]]]
        points = [Point(x=x, y=y, z=z) for x, y, z in joints.tolist()]
        bones.points = [points[joint] for pair in pairs for joint in pair]
        balls = self._marker(pose, JOINTS, Marker.SPHERE_LIST, header)
        diameter = self.style.joint_diameter_m
        balls.scale = Vector3(x=diameter, y=diameter, z=diameter)
        balls.points = [points[joint] for joint in np.flatnonzero(usable)]
        label = self._marker(pose, LABEL, Marker.TEXT_VIEW_FACING, header)
        label.scale.z = self.style.text_height_m
        # Up is -y in the optical frame: above the highest joint.
        highest = joints[usable][np.argmin(joints[usable][:, 1])]
        label.pose.position = _point(highest - (0.0, self.style.text_height_m, 0.0))
        label.text = label_of(pose)
        # A line list without points is refused by RViz.
        return [marker for marker in (bones, balls, label) if marker is not bones or pairs]

    def _marker(self, pose: Pose3D, namespace: str, kind: int, header: Any) -> Any:
        marker = Marker()
        marker.header = header
        marker.ns, marker.id = self._prefix + namespace, int(pose.track_id)
        marker.type, marker.action = kind, Marker.ADD
        red, green, blue = (channel / 255 for channel in track_colour(pose.track_id))
        marker.color = ColorRGBA(r=red, g=green, b=blue, a=_ALPHA[pose.state])
        marker.pose.orientation.w = 1.0
        marker.lifetime.sec, marker.lifetime.nanosec = divmod(round(self.style.lifetime_s * 1e9), 1_000_000_000)
        return marker


def _deleted(track_id: int, namespace: str, header: Any) -> Any:
    marker = Marker()
    marker.header = header
    marker.ns, marker.id, marker.action = namespace, track_id, Marker.DELETE
    return marker


def _point(values: Iterable[float]) -> Any:
    x, y, z = (float(value) for value in values)
    return Point(x=x, y=y, z=z)
