"""Captured motion on the reference adult: the same movement with the same joint definitions."""

import numpy as np
import numpy.typing as npt

from dualpose_ros.arrays import Floats
from dualpose_ros.lab.synthetic.motion.kinematics import (
    ANKLES,
    ELBOWS,
    HEAD_TOP,
    HIPS,
    KNEES,
    NECK,
    PELVIS,
    REST_JOINTS_M,
    SHANK_M,
    SHOULDERS,
    SPINE,
    THIGH_M,
    THORAX,
    WRISTS,
)
from dualpose_ros.lab.synthetic.motion.script import Motion
from dualpose_ros.skeleton import H36M17


def from_clip(clip_joints_m: npt.ArrayLike, fps: float) -> Motion:
    """A captured clip (T, 17, 3), y up, as a motion of the reference adult.

    Limbs keep their directions; pelvis and chest keep their orientation, with the reference's
    own joint places in them; the path is scaled by leg length so that feet don't slide. The
    head's forward direction is the chest's, turned by the head's own tilt: captured skeletons
    of 17 joints don't hold more. Raises ValueError for another shape or values not finite.
    """
    clip = np.asarray(clip_joints_m, dtype=np.float64)
    if clip.ndim != 3 or clip.shape[1:] != (H36M17.num_joints, 3) or len(clip) == 0:
        raise ValueError(f"clip has shape {clip.shape}, not (frames, {H36M17.num_joints}, 3)")
    if not np.all(np.isfinite(clip)):
        raise ValueError("clip holds joints that are not finite")
    rest = REST_JOINTS_M
    joints = np.zeros_like(clip)
    hip_middle = clip[:, list(HIPS)].mean(axis=1)
    pelvis = _frame(clip[:, SPINE] - hip_middle, clip[:, HIPS[0]] - clip[:, HIPS[1]])
    shoulder_middle = clip[:, list(SHOULDERS)].mean(axis=1)
    chest = _frame(shoulder_middle - clip[:, SPINE], clip[:, SHOULDERS[0]] - clip[:, SHOULDERS[1]])
    joints[:, list(HIPS)] = np.einsum("tij,sj->tsi", pelvis, rest[list(HIPS)] - rest[PELVIS])
    joints[:, SPINE] = pelvis @ (rest[SPINE] - rest[PELVIS])
    joints[:, THORAX] = joints[:, SPINE] + chest @ (rest[THORAX] - rest[SPINE])
    shoulders = np.einsum("tij,sj->tsi", chest, rest[list(SHOULDERS)] - rest[THORAX])
    joints[:, list(SHOULDERS)] = joints[:, THORAX][:, None] + shoulders
    neck = _unit(clip[:, NECK] - clip[:, THORAX])
    head = _unit(clip[:, HEAD_TOP] - clip[:, THORAX])
    joints[:, NECK] = joints[:, THORAX] + neck * np.linalg.norm(rest[NECK] - rest[THORAX])
    joints[:, HEAD_TOP] = joints[:, NECK] + head * np.linalg.norm(rest[HEAD_TOP] - rest[NECK])
    for chain in ((HIPS, KNEES, ANKLES), (SHOULDERS, ELBOWS, WRISTS)):
        for near, far in ((chain[0], chain[1]), (chain[1], chain[2])):
            for parent, child in zip(near, far, strict=True):
                length = np.linalg.norm(rest[child] - rest[parent])
                joints[:, child] = joints[:, parent] + length * _unit(clip[:, child] - clip[:, parent])
    joints += _path(clip, joints, hip_middle)[:, None]
    forward = np.cross(chest[..., 0], head)
    return Motion(joints, fps, _unit(forward))


def _path(clip: Floats, joints: Floats, hip_middle: Floats) -> Floats:
    """Where the pelvis goes (T, 3): the clip's path scaled by leg length, the lowest foot at its height."""
    bones = ((HIPS[0], KNEES[0]), (KNEES[0], ANKLES[0]))
    theirs = sum(np.linalg.norm(clip[:, b] - clip[:, a], axis=1).mean() for a, b in bones)
    scale = (THIGH_M + SHANK_M) / theirs
    path = hip_middle * scale
    low = (path[:, 1] + joints[:, list(ANKLES), 1].min(axis=1)).min()
    path[:, 1] += REST_JOINTS_M[ANKLES[0], 1] - low
    return path


def _unit(vector: Floats) -> Floats:
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)


def _frame(up: Floats, left: Floats) -> Floats:
    """Rotations (T, 3, 3) whose columns are left, up and forward; `left` decides exactly."""
    x = _unit(left)
    z = _unit(np.cross(x, up))
    return np.stack([x, np.cross(z, x), z], axis=-1)
