"""The terms that a window of one person's frames is refined by.

With x the joints, half the squares, weighed by inverse (co)variances, of
- trajectory: x less its prediction from past frames (Eq. 14 of the paper);
- reprojection: x / z less the ray of the 2D joint (Eq. 10);
- bone lengths: |x - parent| over the length that is known of the person, less 1 (Eq. 15, as a share: lengths
  that differ by millimetres would draw everything toward the camera, where they differ less);
- the integrated pose, at the root distance that `distance` has found, less x: tight, and slow in time (see `noise`).
  Without it all would shrink toward the camera, which makes every motion small at no cost to the 2D joints.

W frames, K joints; metres, camera optical frame; bones by their child joint, entries of the root are unused. What is
here of one person is so for several too, in axes before those named.
"""

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Floats, Mask
from dualpose_ros.skeleton import H36M17

NEAREST_M = 0.1
"""Reprojection says nothing of joints nearer to the camera's plane, or behind it."""

SHORTEST_M = 1e-3
PARENTS = H36M17.parents
_PARENT = np.array([max(p, 0) for p in PARENTS])
HAS_BONE = np.array([p >= 0 for p in PARENTS])
"""Of each joint, whether it hangs from another."""

CHILDREN = np.array([[float(parent == k) for parent in PARENTS] for k in range(len(PARENTS))])
"""1 in a joint's row (K, K) for those that hang from it."""


@dataclass(frozen=True)
class Terms:
    """What the window's observations say, with the weights of one iteration.

    prior (W, K, 3): integrated joints; prior_information (K, W, W) of each of their axes; rays (W, K, 2) with
    ray_information (K, W, W) of each axis; motion (W, W): position less its prediction, with motion_information (K, W);
    lengths (K,): logarithms of bones', and bone_stddev (K,): by what share a frame's bone may differ.
    """

    prior: Floats
    prior_information: Floats
    rays: Floats
    ray_information: Floats
    motion: Floats
    motion_information: Floats
    lengths: Floats
    bone_stddev: Floats


def motion_residuals(terms: Terms, joints: Floats) -> Floats:
    """Positions less their predictions: (K, W, 3)."""
    return np.asarray(terms.motion[..., None, :, :] @ np.swapaxes(joints, -3, -2))


def reprojection_residuals(joints: Floats, rays: Floats) -> Floats:
    """x / z and y / z less the rays: (W, K, 2); 0 for joints that are not in front of the camera."""
    z = joints[..., 2:]
    usable = z > NEAREST_M
    return np.asarray(np.where(usable, joints[..., :2] / np.where(usable, z, 1.0) - rays, 0.0))


def reprojection_jacobian(joints: Floats) -> Floats:
    """Derivatives (W, K, 2, 3) of `reprojection_residuals`; 0 for joints that are not in front of the camera."""
    z = joints[..., 2]
    inverse = np.where(z > NEAREST_M, 1 / np.where(z > NEAREST_M, z, 1.0), 0.0)
    jacobian = np.zeros((*joints.shape[:-1], 2, 3))
    jacobian[..., 0, 0] = jacobian[..., 1, 1] = inverse
    jacobian[..., :, 2] = -joints[..., :2] * (inverse**2)[..., None]
    return jacobian


def bone_vectors(joints: Floats) -> tuple[Floats, Floats]:
    """Unit directions (W, K, 3) from each joint's parent, and lengths (W, K); 0 for the root."""
    vector = (joints - joints[..., _PARENT, :]) * HAS_BONE[:, None]
    length = np.sqrt(np.sum(vector**2, axis=-1))
    return vector / np.maximum(length, SHORTEST_M)[..., None], length


def joints_from_bones(root: Floats, bones: Floats) -> Floats:
    """Joints (..., K, 3) of a root (..., 3) and of vectors (..., K, 3) to each joint from its parent."""
    joints = np.empty_like(bones)
    for joint, parent in enumerate(PARENTS):
        joints[..., joint, :] = joints[..., parent, :] + bones[..., joint, :] if parent >= 0 else root
    return joints


def median_of(values: Floats, chosen: Mask) -> Floats:
    """Medians (...,) over the last axis of values (..., n), of those chosen; inf where none is."""
    ordered = np.sort(np.where(chosen, values, np.inf), axis=-1)
    count = np.broadcast_to(np.maximum(np.count_nonzero(chosen, axis=-1), 1), ordered.shape[:-1])[..., None]
    low, high = (np.take_along_axis(ordered, at // 2, axis=-1)[..., 0] for at in (count - 1, count))
    return np.asarray((low + high) / 2)


def bone_residuals(joints: Floats, lengths: Floats) -> tuple[Floats, Floats]:
    """Bones over their lengths exp(lengths (K,)), less 1: derivatives (W, K, 3) by the joint, and values (W, K)."""
    direction, length = bone_vectors(joints)
    inverse = np.exp(-lengths)[..., None, :]
    return direction * inverse[..., None], np.where(HAS_BONE, length * inverse - 1, 0.0)


def cost(terms: Terms, joints: Floats) -> Floats:
    """Half the weighed squares of all terms at joints (W, K, 3): a number."""
    offset = np.swapaxes(terms.prior - joints, -3, -2)
    moved, (_, stretched) = motion_residuals(terms, joints), bone_residuals(joints, terms.lengths)
    reprojected = np.swapaxes(reprojection_residuals(joints, terms.rays), -3, -2)
    squares = np.sum(offset * (terms.prior_information @ offset), axis=(-3, -2, -1))
    squares += np.sum(terms.motion_information * np.sum(moved**2, axis=-1), axis=(-2, -1))
    squares += np.sum(reprojected * (terms.ray_information @ reprojected), axis=(-3, -2, -1))
    squares += np.sum((stretched / terms.bone_stddev[..., None, :]) ** 2, axis=(-2, -1))
    return np.asarray(squares / 2)
