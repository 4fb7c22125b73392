"""Poses as visualization_msgs markers: bones, joints and a label for each person.

Marker ids are track ids, so a person's markers keep theirs while the person stays; each has
a lifetime, and those of people who are gone are deleted at once. In a node's namespace the
markers' namespaces lie in it too, so that one display can show those of several graphs.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from visualization_msgs.msg import Marker

from dualpose_ros.arrays import Floats, Mask
from dualpose_ros.drawing import label_of, seen_joints, track_colour
from dualpose_ros.nodes.wire import LITTLE, header_bytes, string_bytes
from dualpose_ros.people import SEEN, Pose3D, TrackingState
from dualpose_ros.settings import Settings, setting
from dualpose_ros.skeleton import H36M17

BONES, JOINTS, LABEL = "bones", "joints", "label"
_NAMESPACES = (BONES, JOINTS, LABEL)
# A marker on the wire: id, type, action; place, orientation, scale, colour, lifetime, not locked to the frame, points;
# and what no marker has: colours of points, a texture with its coordinates, and, after the text, a mesh.
_KIND, _SHAPE = struct.Struct("<3i"), struct.Struct("<10d4f2iB3xI")
_NO_TEXT = string_bytes("", "<")
_BEFORE_TEXT = b"".join((bytes(4), _NO_TEXT, bytes(8), _NO_TEXT, _NO_TEXT, bytes(8)))
_AFTER_TEXT = b"".join((_NO_TEXT, _NO_TEXT, bytes(5)))
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

    def update(self, poses: Sequence[Pose3D], header: Any) -> bytes:
        """CDR bytes of a visualization_msgs/MarkerArray: the people in this frame, and DELETE for those of the frame
        before who aren't."""
        start, markers, shown = header_bytes(header), list[_Marker](), set()
        for pose in poses:
            usable = seen_joints(pose, self.min_score)
            if usable.any():
                shown.add(int(pose.track_id))
                markers += self._person(pose, usable)
        markers += [
            _Marker(self._prefix + namespace, (gone, 0, Marker.DELETE))
            for gone in sorted(self._shown - shown)
            for namespace in _NAMESPACES
        ]
        self._shown = shown
        out = bytearray(struct.pack("<I", len(markers)))
        for marker in markers:
            marker.write(out, start)
        return LITTLE + bytes(out)

    def _person(self, pose: Pose3D, usable: Mask) -> list[_Marker]:
        joints, style = np.asarray(pose.joints_cam, dtype="<f8"), self.style
        red, green, blue = (channel / 255 for channel in track_colour(pose.track_id))
        rest = (red, green, blue, _ALPHA[pose.state], *divmod(round(style.lifetime_s * 1e9), 1_000_000_000), 0)
        nowhere = (0.0,) * 3

        def marker(namespace: str, kind: int, scale: Sequence[float], place: Sequence[float] = nowhere,
                   points: Floats = joints[:0], text: str = "") -> _Marker:  # fmt: skip
            shape = (*place, 0.0, 0.0, 0.0, 1.0, *scale, *rest, len(points))
            return _Marker(self._prefix + namespace, (int(pose.track_id), kind, Marker.ADD), shape, points, text)

        pairs = [pair for pair in H36M17.bones if usable[pair[0]] and usable[pair[1]]]
        # Up is -y in the optical frame: above the highest joint.
        x, y, z = joints[usable][np.argmin(joints[usable][:, 1])].tolist()
        made = [
            marker(JOINTS, Marker.SPHERE_LIST, (style.joint_diameter_m,) * 3, points=joints[usable]),
            marker(LABEL, Marker.TEXT_VIEW_FACING, (0.0, 0.0, style.text_height_m),
                   (x, y - style.text_height_m, z), text=label_of(pose)),
        ]  # fmt: skip
        # A line list without points is refused by RViz.
        if pairs:
            lines = joints[np.array(pairs).ravel()]
            made.insert(0, marker(BONES, Marker.LINE_LIST, (style.bone_width_m, 0.0, 0.0), points=lines))
        return made


@dataclass(frozen=True)
class _Marker:
    """kind: id, type and action; shape: all numbers of _SHAPE; points (P, 3)."""

    namespace: str
    kind: tuple[int, int, int]
    shape: tuple[float, ...] = (0.0,) * 6 + (1.0,) + (0.0,) * 7 + (0,) * 4
    points: Floats | None = None
    text: str = ""

    def write(self, out: bytearray, header: bytes) -> None:
        """Add its bytes: words stand at multiples of 4, doubles of 8."""
        out += b"".join((bytes(-len(out) % 4), header, string_bytes(self.namespace, "<"), _KIND.pack(*self.kind)))
        out += bytes(-len(out) % 8) + _SHAPE.pack(*self.shape)
        out += b"" if self.points is None else self.points.tobytes()
        out += b"".join((_BEFORE_TEXT, string_bytes(self.text, "<"), _AFTER_TEXT))
