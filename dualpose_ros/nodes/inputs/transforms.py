"""Where frames are to each other at a time, from what /tf and /tf_static said: tf2's look-up of one moment.

With no tf2, as the standalone graph has none; exact between two transforms of an edge, nothing beyond the last.
Metres; nanoseconds.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from scipy.spatial.transform import Rotation, Slerp

from dualpose_ros.arrays import Floats
from dualpose_ros.camera import Ground, GroundAccuracy
from dualpose_ros.nodes.convert import stamp_to_ns

from tf2_msgs.msg import TFMessage  # isort: skip

TF = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
_TF_STATIC = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
KEPT_NS = 10_000_000_000
_DEEPEST = 64
"""Edges up to a tree's root, so that frames in a circle end."""


class TransformError(ValueError):
    """Why there is no transform; the message names the frames."""


@dataclass(frozen=True)
class Pose:
    """Of a frame in another: rotation, and translation (3,)."""

    rotation: Rotation
    translation: Floats

    def __matmul__(self, inner: Pose) -> Pose:
        return Pose(self.rotation * inner.rotation, self.translation + self.rotation.apply(inner.translation))

    @property
    def inverse(self) -> Pose:
        """Of the other frame in this one."""
        back = self.rotation.inv()
        return Pose(back, -back.apply(self.translation))


@dataclass
class _Edge:
    """A frame in its parent: stamps, ascending, and poses; a static one holds at all times."""

    parent: str
    is_static: bool
    samples: list[tuple[int, Pose]] = field(default_factory=list)

    def at(self, stamp_ns: int) -> Pose | None:
        if self.is_static:
            return self.samples[-1][1]
        after = bisect_left(self.samples, stamp_ns, key=lambda sample: sample[0])
        if after < len(self.samples) and self.samples[after][0] == stamp_ns:
            return self.samples[after][1]
        if not 0 < after < len(self.samples):
            return None
        (t0, one), (t1, other) = self.samples[after - 1 : after + 1]
        share = (stamp_ns - t0) / (t1 - t0)
        turn = Slerp([0, 1], Rotation.concatenate([one.rotation, other.rotation]))(share)
        return Pose(turn, one.translation + share * (other.translation - one.translation))


class Transforms:
    """What was heard on /tf and /tf_static, for KEPT_NS."""

    def __init__(self) -> None:
        self._edges: dict[str, _Edge] = {}

    def listen(self, node: Any) -> None:
        """Take in what a node of ours hears from now on."""
        for name, qos, is_static in (("/tf", TF, False), ("/tf_static", _TF_STATIC, True)):
            receive = node.guarded(name, partial(self.add, is_static=is_static))
            node.create_subscription(TFMessage, name, receive, qos)

    def ground(self, frame: str, header: Any, accuracy: GroundAccuracy) -> Ground:
        """The x-y plane of a frame, z up, before the camera of an image's header, at its stamp.

        TransformError as `look_up`; GroundError where the camera is not above it.
        """
        return ground_of(self.look_up(frame, header.frame_id, stamp_to_ns(header.stamp)), accuracy)

    def add(self, message: Any, is_static: bool = False) -> None:
        """Take in a tf2_msgs/TFMessage; transforms that are not finite, or turn by no quaternion, are left out."""
        for item in message.transforms:
            move, turn = item.transform.translation, item.transform.rotation
            translation = np.array([move.x, move.y, move.z], dtype=np.float64)
            quaternion = np.array([turn.x, turn.y, turn.z, turn.w], dtype=np.float64)
            if not np.isfinite(translation).all() or not np.linalg.norm(quaternion) > 0.5:
                continue
            child, parent = item.child_frame_id.lstrip("/"), item.header.frame_id.lstrip("/")
            edge = self._edges.get(child)
            if edge is None or is_static or edge.is_static or edge.parent != parent:
                edge = self._edges[child] = _Edge(parent, is_static)
            stamp_ns = stamp_to_ns(item.header.stamp)
            sample = (stamp_ns, Pose(Rotation.from_quat(quaternion), translation))
            if edge.samples and edge.samples[-1][0] - stamp_ns > KEPT_NS:
                edge.samples.clear()  # time went back: a bag played again
            at = bisect_left(edge.samples, stamp_ns, key=lambda entry: entry[0])
            # The last of one stamp holds: a sender that sets none would fill the memory.
            known = at < len(edge.samples) and edge.samples[at][0] == stamp_ns
            edge.samples[at : at + known] = [sample]
            oldest = edge.samples[-1][0] - KEPT_NS
            del edge.samples[: bisect_left(edge.samples, oldest, key=lambda entry: entry[0])]

    def look_up(self, target: str, source: str, stamp_ns: int) -> Pose:
        """The pose of `source` in `target` at a time.

        TransformError for frames that are not connected, or not known at that time yet.
        """
        up, down = self._to_root(source.lstrip("/"), stamp_ns), self._to_root(target.lstrip("/"), stamp_ns)
        common = next((frame for frame in up if frame in down), None)
        if common is None:
            raise TransformError(f"TF does not connect '{source}' with '{target}' at the image's stamp")
        return down[common].inverse @ up[common]

    def _to_root(self, frame: str, stamp_ns: int) -> dict[str, Pose]:
        """Poses of a frame in itself and in all above it, as far as they are known at that time."""
        found = {frame: Pose(Rotation.identity(), np.zeros(3))}
        for _ in range(_DEEPEST):
            edge = self._edges.get(frame)
            step = edge.at(stamp_ns) if edge is not None else None
            if edge is None or step is None or edge.parent in found:
                break
            found[edge.parent] = step @ found[frame]
            frame = edge.parent
        return found


def ground_of(camera: Pose, accuracy: GroundAccuracy) -> Ground:
    """The x-y plane of a frame, z up, before a camera (optical frame) whose pose in it is given.

    GroundError where the camera is not above it.
    """
    return Ground(camera.rotation.inv().apply([0.0, 0.0, -1.0]), float(camera.translation[2]), accuracy)
