"""Gauss-Newton's normal equations of the terms, by joint in the form that `tree` solves.

The block of a joint holds its coordinates, frame by frame. W frames, K joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.refinement.terms import (
    CHILDREN,
    PARENTS,
    Terms,
    bone_residuals,
    motion_residuals,
    reprojection_jacobian,
    reprojection_residuals,
)
from dualpose_ros.refinement.tree import TreeSystem


@dataclass(frozen=True)
class NormalEquations:
    """system, and its right-hand side (K, 3 W), the negative gradient."""

    system: TreeSystem
    right: Floats


def normal_equations(terms: Terms, joints: Floats, damping: float = 0.0) -> NormalEquations:
    """The equations for the change of joints (W, K, 3); damping: a share of the diagonal added to it (Marquardt)."""
    frames, count = joints.shape[:2]
    size, stiff = 3 * frames, terms.bone_stddev**-2.0
    direction, excess = bone_residuals(joints, terms.lengths)
    diagonal, above = np.zeros((count, size, size)), np.zeros((count, size, size))
    _add_positions(terms, reprojection_jacobian(joints), diagonal.reshape(count, frames, 3, frames, 3))
    _add_bones(direction, stiff, (diagonal, above), frames)
    if damping > 0:
        at = np.arange(size)
        diagonal[:, at, at] *= 1 + damping
    right = _negative_gradient(terms, joints, (stiff * excess)[..., None] * direction)
    return NormalEquations(TreeSystem(PARENTS, diagonal, above), right)


def _add_positions(terms: Terms, jacobian: Floats, blocks: Floats) -> None:
    """Prior, trajectory and reprojection of each joint's coordinates, to blocks (K, W, 3, W, 3)."""
    weighed = terms.motion[None] * np.sqrt(terms.motion_information)[:, :, None]
    same = terms.prior_information + np.swapaxes(weighed, 1, 2) @ weighed
    # Rows u (a of x, z) and v (a of y, z) of the jacobian, their zeros left out.
    across = np.ascontiguousarray(jacobian[:, :, 0, 0].T)
    along = np.moveaxis(jacobian[..., 2], 0, 1)
    scaled = terms.ray_information * across[:, :, None]
    lateral = scaled * across[:, None, :] + same
    blocks[:, :, 0, :, 0] = blocks[:, :, 1, :, 1] = lateral
    for axis in range(2):
        deep = scaled * along[:, None, :, axis]
        blocks[:, :, axis, :, 2] = deep
        blocks[:, :, 2, :, axis] = np.swapaxes(deep, 1, 2)
    both = along[:, :, None, 0] * along[:, None, :, 0] + along[:, :, None, 1] * along[:, None, :, 1]
    blocks[:, :, 2, :, 2] = terms.ray_information * both + same


def _add_bones(direction: Floats, stiff: Floats, to: tuple[Floats, Floats], frames: int) -> None:
    """Bones' pull on both of their ends: within a frame, along the bone."""
    at = np.arange(frames)
    diagonal, above = (blocks.reshape(len(stiff), frames, 3, frames, 3) for blocks in to)
    outer = stiff[:, None, None] * direction[..., :, None] * direction[..., None, :]
    diagonal[:, at, :, at, :] += outer + np.einsum("kc,tcab->tkab", CHILDREN, outer)
    above[:, at, :, at, :] = -outer


def _negative_gradient(terms: Terms, joints: Floats, pulled: Floats) -> Floats:
    """(K, 3 W), from the bones' pull (W, K, 3) on their child joints among others."""
    offset = np.swapaxes(terms.prior - joints, 0, 1)
    moved = terms.motion_information[:, :, None] * motion_residuals(terms, joints)
    descent = terms.prior_information @ offset - terms.motion.T @ moved
    reprojected = np.swapaxes(reprojection_residuals(joints, terms.rays), 0, 1)
    weighed = np.swapaxes(terms.ray_information @ reprojected, 0, 1)
    descent -= np.swapaxes(np.einsum("tkc,tkca->tka", weighed, reprojection_jacobian(joints)), 0, 1)
    tension = np.swapaxes(pulled, 0, 1)
    descent += np.tensordot(CHILDREN, tension, axes=1) - tension
    return np.ascontiguousarray(descent).reshape(len(descent), -1)
