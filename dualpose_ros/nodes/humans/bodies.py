"""Where a body is and which way it faces (REP-155), and poses in another frame.

K joints of `skeleton.H36M17`, metres.
"""

import dataclasses

import numpy as np
from scipy.spatial.transform import Rotation

from dualpose_ros.arrays import AnyFloats
from dualpose_ros.nodes.inputs.transforms import Pose
from dualpose_ros.people import Pose3D
from dualpose_ros.skeleton import H36M17

_RIGHT_HIP, _LEFT_HIP = H36M17.index("right_hip"), H36M17.index("left_hip")
_THORAX = H36M17.index("thorax")
_LEAST_M = 0.02
"""Hips closer together than this, or a trunk shorter, tell no direction."""


def body_id(track_id: int) -> str:
    """The id of a person in names of topics and frames, which may not begin with a digit."""
    return f"p{track_id}"


def body_pose(joints: AnyFloats) -> Pose | None:
    """The frame of a body in that of its joints (K, 3): origin amid the hips, z to the head, x forward, y to its left.

    None where the joints are not finite or tell no direction.
    """
    right, left, thorax = np.asarray(joints, dtype=np.float64)[[_RIGHT_HIP, _LEFT_HIP, _THORAX]]
    middle = (right + left) / 2
    up = thorax - middle
    if not np.isfinite(up).all() or np.linalg.norm(up) < _LEAST_M:
        return None
    z = up / np.linalg.norm(up)
    across = (left - right) - np.dot(left - right, z) * z
    if np.linalg.norm(across) < _LEAST_M:
        return None
    y = across / np.linalg.norm(across)
    return Pose(Rotation.from_matrix(np.stack([np.cross(y, z), y, z], axis=1)), middle)


def in_frame(pose: Pose3D, frame: Pose) -> Pose3D:
    """A person in another frame, `frame` being the pose of the one that they are in; what is in pixels stays."""
    joints = frame.rotation.apply(pose.joints_cam) + frame.translation
    return dataclasses.replace(pose, joints_cam=joints, root_velocity=frame.rotation.apply(pose.root_velocity))
