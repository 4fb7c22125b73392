"""From root-relative poses and 2D joints to absolute poses in the camera frame.

K joints of `skeleton.H36M17`, metres, camera optical frame.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dualpose_ros.camera import Camera, pixels_to_rays
from dualpose_ros.pose import Pose2D
from dualpose_ros.skeleton import H36M17

FloatArray = npt.NDArray[np.floating]

_RAY_STDDEV = 0.02
"""How far a 2D joint and a lifted one disagree, on the plane of normalised rays, 1 sigma."""


def root_position(
    camera: Camera,
    pose: Pose2D,
    joints_rel: FloatArray,
    root_depth: float,
    root_depth_stddev: float,
    min_root_score: float = 0.2,
) -> npt.NDArray[np.float64] | None:
    """Pelvis (3,) in the camera frame of a person with joints_rel (K, 3) at about `root_depth` metres.

    It lies on the pelvis's ray at `root_depth` where the pelvis was found; otherwise it is fitted to the rays of
    the joints that were. None if there are fewer than three of those.
    """
    root = H36M17.root
    rays = pixels_to_rays(camera, pose.joints_px)
    if pose.scores[root] >= min_root_score:
        return np.array([rays[root, 0] * root_depth, rays[root, 1] * root_depth, root_depth])
    if (pose.scores > 0).sum() < 3:
        return None
    return fit_translation(rays, pose.scores, joints_rel, root_depth, root_depth_stddev)


def fit_translation(
    rays: FloatArray,
    weights: FloatArray,
    joints_rel: FloatArray,
    depth: float,
    depth_stddev: float,
    ray_stddev: float = _RAY_STDDEV,
) -> npt.NDArray[np.float64]:
    """Translation t (3,) for which joints_rel + t (K, 3) lie best on rays (K, 2) = (x / z, y / z), with t_z near `depth`.

    Weighted linear least squares: residual (X + t_x) - u (Z + t_z), likewise in y, each with deviation
    ray_stddev * depth / sqrt(weight); t_z with deviation depth_stddev. ValueError if no weight is positive.
    """
    weight = np.clip(np.asarray(weights, dtype=np.float64), 0, None)
    if not weight.any() or depth <= 0:
        raise ValueError("a translation needs a joint with positive weight and a positive depth")
    joints = np.asarray(joints_rel, dtype=np.float64)
    rays = np.where(weight[:, None] > 0, rays, 0.0)
    root_weight = np.sqrt(weight) / (ray_stddev * depth)
    zero = np.zeros_like(root_weight)
    rows_x = np.stack([root_weight, zero, -root_weight * rays[:, 0]], axis=1)
    rows_y = np.stack([zero, root_weight, -root_weight * rays[:, 1]], axis=1)
    right_x = root_weight * (rays[:, 0] * joints[:, 2] - joints[:, 0])
    right_y = root_weight * (rays[:, 1] * joints[:, 2] - joints[:, 1])
    prior = 1 / max(depth_stddev, 1e-3)
    matrix = np.concatenate([rows_x, rows_y, [[0.0, 0.0, prior]]])
    right = np.concatenate([right_x, right_y, [prior * depth]])
    solution, *_ = np.linalg.lstsq(matrix, right, rcond=None)
    return np.asarray(solution, dtype=np.float64)


def absolute_stddev(
    joint_stddev: FloatArray, root: FloatArray, root_depth_stddev: float
) -> npt.NDArray[np.float64]:
    """Deviation (K,) in metres of joints in the camera frame: the relative one and the root's along its ray."""
    along_ray = root_depth_stddev * float(np.linalg.norm(root)) / max(float(root[2]), 1e-6)
    return np.hypot(np.asarray(joint_stddev, dtype=np.float64), along_ray)
